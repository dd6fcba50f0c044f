//! The programs of the suite: one table, which the build, the parts of an installation and the packages
//! take their lists from. A new program is a row of [`PROGRAMS`]. Its manual page is `docs/man/NAME.1` and its
//! completions are `docs/completions/SHELL/NAME`; a program without them prints them: `NAME man` and
//! `NAME completions SHELL`, or with `--` in front of those words.

use solo5_abi::{Arch, Target};

use crate::part::Part;

/// A program of the suite.
pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) package: &'static str,
    pub(crate) kind: Kind,
    pub(crate) part: Part,
    /// What it does, as the end of a sentence that begins with its name.
    pub(crate) purpose: &'static str,
    /// The program whose manual page describes this one too.
    pub(crate) page_of: Option<&'static str>,
    /// The machines that it runs on.
    pub(crate) architectures: &'static [Arch],
}

/// What sort of program it is.
#[derive(PartialEq)]
pub(crate) enum Kind {
    /// A command line tool. Linked at a fixed address, which starts faster.
    Tool,
    /// A tool whose verbs are not its own: upstream's of that name has none, or runc has them. It has options for
    /// its page and completions.
    ToolWithoutVerbs,
    /// The toolchain program: a tool under other names.
    Toolchain,
    /// A tender. It is position-independent: at a fixed address it would lie where guest memory belongs.
    Tender(Target),
    /// A tender with what debugging needs.
    DebugTender,
    /// A program that has another one run unikernels.
    Runner,
}

/// What ends up in `bin/`.
pub(crate) const PROGRAMS: &[Program] = &[
    Program {
        name: "solo5-mft",
        package: "solo5-manifest",
        kind: Kind::Tool,
        part: Part::Tools,
        purpose: "compiles manifests",
        page_of: None,
        architectures: &Arch::ALL,
    },
    Program {
        name: TOOLCHAIN,
        package: "solo5-linker-wrapper",
        kind: Kind::Toolchain,
        part: Part::Toolchain,
        purpose: "is solo5-cc, solo5-c++, solo5-ld and solo5-objcopy: compiles, links and audits unikernels",
        page_of: Some("solo5-cc"),
        architectures: &Arch::ALL,
    },
    Program {
        name: "solo5-elftool",
        package: "solo5-elftool",
        kind: Kind::Tool,
        part: Part::Tools,
        purpose: "shows, audits and checks unikernels",
        page_of: None,
        architectures: &Arch::ALL,
    },
    Program {
        name: "solo5-virtio-mkimage",
        package: "solo5-mkimage",
        kind: Kind::ToolWithoutVerbs,
        part: Part::Tools,
        purpose: "makes disk and container images of unikernels",
        page_of: None,
        architectures: &Arch::ALL,
    },
    Program {
        name: "solo5-spt",
        package: "solo5-spt",
        kind: Kind::Tender(Target::Spt),
        part: Part::Tenders,
        purpose: "runs a unikernel as a Linux process under seccomp",
        page_of: None,
        architectures: &Arch::ALL,
    },
    Program {
        name: "solo5-hvt",
        package: "solo5-hvt",
        kind: Kind::Tender(Target::Hvt),
        part: Part::Tenders,
        purpose: "runs a unikernel in a virtual machine under KVM",
        page_of: None,
        architectures: &[Arch::X86_64, Arch::Aarch64],
    },
    Program {
        name: "solo5-hvt-debug",
        package: "solo5-hvt",
        kind: Kind::DebugTender,
        part: Part::Tenders,
        purpose: "is solo5-hvt with a server for gdb and core files",
        page_of: Some("solo5-hvt"),
        architectures: &[Arch::X86_64, Arch::Aarch64],
    },
    Program {
        name: "solo5-virtio-run",
        package: "solo5-virtio-run",
        kind: Kind::Runner,
        part: Part::Tenders,
        purpose: "runs a virtio unikernel under QEMU",
        page_of: None,
        architectures: &[Arch::X86_64],
    },
    Program {
        name: "solo5-run",
        package: "solo5-runtime",
        kind: Kind::ToolWithoutVerbs,
        part: Part::Tenders,
        purpose: "starts unikernels in containers, for podman, containerd and Kubernetes",
        page_of: None,
        architectures: &Arch::ALL,
    },
];

/// The toolchain program, and the endings of the names under which it is a tool.
pub(crate) const TOOLCHAIN: &str = "solo5-toolchain";
pub(crate) const TOOLCHAIN_VERBS: [&str; 4] = ["cc", "c++", "ld", "objcopy"];

impl Program {
    /// Its other names in `bin/`, which are links to it: the toolchain's tools for `arch`, and a tender with
    /// the number of its ABI, which Albatross looks for first.
    pub(crate) fn links(&self, arch: Arch) -> Vec<String> {
        match self.kind {
            Kind::Toolchain => TOOLCHAIN_VERBS
                .into_iter()
                .flat_map(|verb| [format!("solo5-{verb}"), format!("{}-{verb}", arch.triple())])
                .collect(),
            Kind::Tender(target) => {
                let number = target.abi_version();
                number.map(|number| format!("{}.{number}", self.name)).into_iter().collect()
            }
            Kind::Tool | Kind::ToolWithoutVerbs | Kind::DebugTender | Kind::Runner => Vec::new(),
        }
    }

    /// The arguments with which it prints its manual page, and completions for the shell named next.
    pub(crate) fn own_documents(&self) -> (&'static str, &'static str) {
        match self.kind {
            Kind::ToolWithoutVerbs => ("--man", "--completions"),
            Kind::Tool | Kind::Toolchain | Kind::Tender(_) | Kind::DebugTender | Kind::Runner => {
                ("man", "completions")
            }
        }
    }

    /// The program whose manual page describes it.
    pub(crate) fn page(&self) -> &'static str {
        self.page_of.unwrap_or(self.name)
    }
}

/// The part of the program `name`, which may be one of its other names.
pub(crate) fn part_of(name: &str) -> Option<Part> {
    let found = PROGRAMS.iter().find(|program| {
        let rest = name.strip_prefix(program.name);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    });
    let is_tool = || TOOLCHAIN_VERBS.iter().any(|verb| name.ends_with(&format!("-{verb}")));
    found.map(|program| program.part).or_else(|| is_tool().then_some(Part::Toolchain))
}
