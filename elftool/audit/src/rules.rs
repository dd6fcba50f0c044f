//! The table of rules. A rule is one entry here, one check, one page in `docs/rules`, and a folder of
//! images in `tests/fixtures`.

use solo5_abi::Target;
use solo5_report::Severity;

use crate::finding::Finding;
use crate::subject::Subject;
use crate::{loadable, notes, protection, provenance, surface};

/// One rule.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Its stable code; the first two characters are the family.
    pub code: &'static str,
    /// The severity of its findings in an image that a tender of this suite loads.
    pub severity: Severity,
    /// What it finds, in a few words; the title of its page.
    pub title: &'static str,
    /// What to do about it.
    pub help: &'static str,
    pub(crate) check: fn(&Subject<'_>, &mut Vec<Finding>),
}

impl Rule {
    /// Whether it must be selected explicitly: S4 and S5.
    pub fn is_opt_in(&self) -> bool {
        matches!(self.family(), "S4" | "S5")
    }

    /// The severity of its findings in this image. If the target has no tender in this suite, an error
    /// becomes a warning, unless the image cannot be read at all or the rule is about such targets. The
    /// bindings of virtio read the manifest themselves, and do not start without one.
    pub fn severity_in(&self, subject: &Subject<'_>) -> Severity {
        let loaded_elsewhere = subject.target().is_some_and(|target| !target.has_tender());
        let refused_there = self.code == FLAT
            || self.code == notes::NO_MANIFEST && subject.target() == Some(Target::Virtio);
        if self.severity == Severity::Error && loaded_elsewhere && !refused_there {
            Severity::Warning
        } else {
            self.severity
        }
    }

    /// The family, `S1` to `S5`.
    pub fn family(&self) -> &'static str {
        self.code.get(..2).unwrap_or(self.code)
    }

    /// The rule with this code, upper or lower case.
    pub fn find(code: &str) -> Option<&'static Rule> {
        RULES.iter().find(|rule| rule.code.eq_ignore_ascii_case(code))
    }
}

/// What a family is about.
pub const FAMILIES: [(&str, &str); 5] = [
    ("S1", "loadable"),
    ("S2", "memory protection"),
    ("S3", "notes and manifest"),
    ("S4", "provenance and hardening; with --all or --select"),
    ("S5", "size and attack surface; with --all or --select"),
];

const fn error(
    code: &'static str,
    title: &'static str,
    help: &'static str,
    check: fn(&Subject<'_>, &mut Vec<Finding>),
) -> Rule {
    let severity = Severity::Error;
    Rule { code, severity, title, help, check }
}

const fn warning(
    code: &'static str,
    title: &'static str,
    help: &'static str,
    check: fn(&Subject<'_>, &mut Vec<Finding>),
) -> Rule {
    let severity = Severity::Warning;
    Rule { code, severity, title, help, check }
}

const fn note(
    code: &'static str,
    title: &'static str,
    help: &'static str,
    check: fn(&Subject<'_>, &mut Vec<Finding>),
) -> Rule {
    let severity = Severity::Note;
    Rule { code, severity, title, help, check }
}

/// The rule that is only about images for machines.
const FLAT: &str = "S118";

/// Every rule, by code.
pub const RULES: &[Rule] = &[
    error(
        "S101",
        "headers cannot be read",
        "check that the file is complete and is the unikernel you mean",
        loadable::headers,
    ),
    error(
        "S102",
        "not a static 64-bit executable",
        "link it with solo5-cc or solo5-ld, without -r, -shared or -pie",
        loadable::kind,
    ),
    error(
        "S103",
        "machine unknown to Solo5",
        "build it for x86_64, aarch64 or ppc64le",
        loadable::machine,
    ),
    error(
        "S104",
        "entry point below the lowest address",
        "link it with the target's linker script, which sets entry and base",
        loadable::entry,
    ),
    error(
        "S105",
        "segment outside the address range",
        "link it with the target's linker script; segments start at its base",
        loadable::range,
    ),
    error(
        "S106",
        "segments out of order",
        "sort the PT_LOAD entries of the linker script's PHDRS by address",
        loadable::order,
    ),
    error(
        "S107",
        "segments overlap",
        "align the start of each segment to a page in the linker script",
        loadable::overlap,
    ),
    error(
        "S108",
        "segment not on page boundaries",
        "link with -z max-page-size of the architecture's page, as solo5-ld does",
        loadable::alignment,
    ),
    error(
        "S109",
        "segment smaller in memory than in the file",
        "link it again; no linker writes such a header",
        loadable::sizes,
    ),
    error(
        "S110",
        "segment content missing from the file",
        "copy or link the file again; it was cut short",
        loadable::content,
    ),
    warning(
        "S111",
        "does not fit the default memory",
        "start it with a larger --mem, or make its static data smaller",
        loadable::memory,
    ),
    warning(
        "S112",
        "dynamically linked",
        "link with -static and without -pie; nothing links a unikernel when it starts",
        loadable::dynamic,
    ),
    warning(
        "S113",
        "function resolved at start (IFUNC)",
        "build the library without IFUNC; nothing resolves them in a unikernel",
        loadable::ifunc,
    ),
    warning(
        "S114",
        "undefined symbol",
        "link the library that defines it, and drop --unresolved-symbols",
        loadable::undefined,
    ),
    warning(
        "S115",
        "relocations left over",
        "link without -q, --emit-relocs and -pie; nothing applies them at start",
        loadable::relocations,
    ),
    warning(
        "S116",
        "thread-local storage contradicts itself",
        "link it with the target's linker script, which has one TLS segment",
        loadable::tls,
    ),
    error(
        "S117",
        "larger than the memory of any guest",
        "make its static data or its stack smaller; no --mem is large enough",
        loadable::most_memory,
    ),
    error(
        FLAT,
        "not one piece for a Multiboot loader",
        "align no section with content above 1 MiB, and link it with the target's linker script",
        loadable::flat,
    ),
    error(
        "S201",
        "segment writable and executable",
        "keep code and data in different sections, and drop the W or X flag",
        protection::write_exec_segment,
    ),
    warning(
        "S202",
        "section writable and executable",
        "give the section \"aw\" for data or \"ax\" for code, not both",
        protection::write_exec_section,
    ),
    warning(
        "S203",
        "executable stack requested",
        "add .note.GNU-stack to assembler sources, or link with -z noexecstack",
        protection::stack,
    ),
    warning(
        "S204",
        "section without the access it needs",
        "name the section in the linker script, in the segment of its kind",
        protection::misplaced_section,
    ),
    error(
        "S205",
        "entry point not in executable memory",
        "make the entry symbol a function in .text; keep it with KEEP or -u",
        protection::entry,
    ),
    warning(
        "S206",
        "notes marked executable",
        "give note sections the flags \"a\" only",
        protection::executable_notes,
    ),
    error(
        "S207",
        "segment with content but no access",
        "give the segment FLAGS in the linker script's PHDRS",
        protection::no_access,
    ),
    warning(
        "S208",
        "zeroed memory marked executable",
        "drop the X flag; loaders map it readable and writable",
        protection::executable_bss,
    ),
    warning(
        "S209",
        "constants in writable memory",
        "place .rodata and the like in a segment of their own, without the W flag",
        protection::writable_constants,
    ),
    error(
        "S301",
        "no ABI note",
        "link with -z solo5-abi=TARGET, which adds the target's bindings",
        notes::no_abi,
    ),
    error(
        "S302",
        "ABI target unknown",
        "link it with the bindings of hvt, spt, virtio, muen or xen",
        notes::target,
    ),
    error(
        "S303",
        "ABI version not supported",
        "link it again with current bindings, or use the release it was made for",
        notes::version,
    ),
    error(
        notes::NO_MANIFEST,
        "no manifest",
        "link with -z solo5-manifest=FILE; if the manifest's object is in an archive, \
         add -u __solo5_mft1_note",
        notes::no_manifest,
    ),
    error(
        "S305",
        "note malformed",
        "link it again with the target's linker script; no tool should edit notes",
        notes::malformed,
    ),
    error(
        "S306",
        "manifest malformed",
        "compile the manifest again with solo5-mft",
        notes::manifest,
    ),
    error("S307", "device name invalid", "use 1 to 67 letters and digits", notes::device_name),
    error(
        "S308",
        "device declared twice",
        "give each device of a type its own name",
        notes::duplicate_device,
    ),
    error("S309", "device type unknown", "use BLOCK_BASIC or NET_BASIC", notes::device_type),
    error(
        "S310",
        "manifest field preset that only a tender may fill in",
        "compile the manifest again with solo5-mft; nothing may edit it",
        notes::preset,
    ),
    error(
        "S311",
        "manifest properties malformed",
        "compile the manifest again with solo5-mft, and link both notes together",
        notes::properties,
    ),
    error(
        "S312",
        "manifest properties twice",
        "link one manifest object only",
        notes::second_properties,
    ),
    warning(
        "S313",
        "ABI or manifest note twice",
        "link one manifest object and the bindings of one target; the first note counts",
        notes::duplicates,
    ),
    warning(
        "S314",
        "manifest properties in no PT_NOTE",
        "place .note.solo5.manifest* in the PT_NOTE of the linker script",
        notes::lost_properties,
    ),
    warning(
        "S315",
        "direct execution is not prevented",
        "keep .interp in the linker script: KEEP (*(.interp))",
        notes::interp,
    ),
    note(
        "S316",
        "OpenBSD note is not the first PT_NOTE",
        "list the PT_NOTE of .note.solo5.not_openbsd first in the linker script",
        notes::openbsd,
    ),
    warning(
        "S317",
        "declared memory is too little to load it",
        "raise memory.minimum in the manifest",
        notes::memory_minimum,
    ),
    warning(
        "S318",
        "manifest in memory its bindings cannot write",
        "place .note.solo5.manifest with the writable data, as the target's script does",
        notes::read_only_manifest,
    ),
    warning(
        "S319",
        "notes cannot be found by section name",
        "keep the section headers: strip symbols with strip, not with sstrip",
        notes::section_names,
    ),
    warning(
        "S320",
        "manifest note is not 8-aligned",
        "make .note.solo5.manifest the first section of its page",
        notes::manifest_alignment,
    ),
    error(
        "S321",
        "bindings lack a feature that the manifest needs",
        "link it with the bindings of this release, or remove the key from the manifest",
        notes::features,
    ),
    warning(
        "S322",
        "declared memory is more than a guest can have",
        "lower memory.minimum or memory.recommended in the manifest, or build it for spt",
        notes::memory_beyond,
    ),
    warning(
        "S401",
        "no function checks its stack",
        "compile C with solo5-cc, which adds -fstack-protector-strong; if that was done, no function needs a check",
        provenance::stack_protector,
    ),
    warning(
        "S402",
        "path of a build folder",
        "compile with -ffile-prefix-map=$PWD=. or rustc's --remap-path-prefix",
        provenance::build_paths,
    ),
    warning(
        "S403",
        "time of the build",
        "set SOURCE_DATE_EPOCH, and use no __DATE__ or __TIME__",
        provenance::build_times,
    ),
    note(
        "S404",
        "no packaging note",
        "give the manifest a package: section, and link with solo5-ld",
        provenance::no_package,
    ),
    warning(
        "S405",
        "packaging note wrong",
        "let solo5-ld make the note from the manifest's package: section",
        provenance::package,
    ),
    note(
        "S406",
        "debug information shipped",
        "keep a copy for debugging, and deploy the output of strip --strip-debug",
        provenance::debug_info,
    ),
    note(
        "S407",
        "symbols shipped",
        "deploy the output of strip, unless traces must name functions",
        provenance::unstripped,
    ),
    warning(
        "S408",
        "functions compiled without stack protector",
        "compile every C file with solo5-cc, also those of libraries",
        provenance::unprotected,
    ),
    note(
        "S409",
        "no guard below the stack",
        "give the manifest a stack:, such as `stack: 256KiB`",
        notes::no_stack,
    ),
    warning(
        "S501",
        "device or feature used but not declared",
        "declare it in the manifest, or link without the code that uses it",
        surface::undeclared,
    ),
    note(
        "S502",
        "device or feature declared but not used",
        "remove it from the manifest, or make the device optional",
        surface::unused,
    ),
    warning(
        "S503",
        "larger than budgeted",
        "find what grew with diff; make it smaller, or raise the budget",
        surface::budgets,
    ),
    note(
        "S504",
        "largest sections",
        "link with --gc-sections and compile with -ffunction-sections to drop what is unused",
        surface::largest,
    ),
];
