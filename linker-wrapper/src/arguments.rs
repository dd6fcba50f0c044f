//! The arguments: ours taken out, the rest left as typed, and what they ask for.
//!
//! A compiler hands arguments on to its linker in several spellings (`-z X`, `-Wl,-z,X`,
//! `-Xlinker -z -Xlinker X`, each also joined). All of them are read as one sequence of linker
//! arguments, so that an option of ours is found however it is wrapped. What is not removed keeps
//! its spelling and its place.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use solo5_report::Diagnostic;

use crate::codes;
use crate::name::Tool;

/// From which severity on a finding of the audit refuses a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuditLevel {
    /// No audit.
    Off,
    /// Only what makes the loader refuse the image.
    #[default]
    Error,
    /// Warnings too.
    Warning,
}

impl AuditLevel {
    const ALL: [(&'static str, AuditLevel); 3] =
        [("off", AuditLevel::Off), ("error", AuditLevel::Error), ("warning", AuditLevel::Warning)];
}

/// What the tool is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Compile, assemble or preprocess: there is no link.
    Compile,
    /// Print something about itself.
    Query,
    /// Link objects into an object (`-r`).
    Relocatable,
    /// Link an executable.
    Link,
}

/// Arguments understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arguments {
    /// What is asked for.
    pub mode: Mode,
    /// NAME of the last `solo5-abi=NAME`; an empty one counts.
    pub abi: Option<OsString>,
    /// FILE of `solo5-manifest=FILE`.
    pub manifest: Option<OsString>,
    /// Value of the last `solo5-audit=`.
    pub audit: AuditLevel,
    /// File that a link writes.
    pub output: OsString,
    /// Whether the arguments choose a linker (`-fuse-ld=`, `--ld-path=`).
    pub chooses_linker: bool,
    /// What remains for the tool.
    pub rest: Vec<OsString>,
}

/// Options of a compiler whose value is the next argument, which is thus no option itself.
/// `-o`, `-z` and `-Xlinker` are not listed: they are read.
const WITH_VALUE: &[&str] = &[
    "-A",
    "-B",
    "-D",
    "-F",
    "-G",
    "-I",
    "-L",
    "-MF",
    "-MQ",
    "-MT",
    "-R",
    "-T",
    "-Tbss",
    "-Tdata",
    "-Ttext",
    "-U",
    "-Xassembler",
    "-Xclang",
    "-Xpreprocessor",
    "-arch",
    "-aux-info",
    "-b",
    "-dumpbase",
    "-dumpbase-ext",
    "-dumpdir",
    "-e",
    "-h",
    "-idirafter",
    "-imacros",
    "-imultilib",
    "-include",
    "-iprefix",
    "-iquote",
    "-isysroot",
    "-isystem",
    "-iwithprefix",
    "-iwithprefixbefore",
    "-l",
    "-mllvm",
    "-target",
    "-u",
    "-wrapper",
    "-x",
    "--param",
    "--sysroot",
];

/// Options of a compiler that end its work before a link.
const NO_LINK: &[&str] =
    &["-c", "-S", "-E", "-M", "-MM", "-fsyntax-only", "--compile", "--assemble", "--preprocess"];

/// Options of a compiler that print something and do no work. Further ones start with `-print-`.
const QUERIES: &[&str] = &[
    "--version",
    "-dumpmachine",
    "-dumpversion",
    "-dumpfullversion",
    "-dumpspecs",
    "--help",
    "--target-help",
];

/// Options of a linker that a static executable at fixed addresses cannot have. Compilers and
/// `rustc` pass them unasked.
const POSITION_INDEPENDENT: &[&str] = &["-pie", "--pie", "-pic-executable", "--pic-executable"];

/// Keywords of `-z` without meaning where nothing is relocated at start-up.
const NO_RELOCATION: &[&str] = &["relro", "now"];

/// One argument as typed, or two that belong together, and the linker arguments in it.
struct Unit {
    typed: Vec<OsString>,
    /// What the linker sees; empty for what is the compiler's own.
    linker: Vec<Word>,
}

/// An argument of the linker.
struct Word {
    text: OsString,
    fate: Fate,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Keep,
    /// Ours.
    Take,
    /// To be left out if bindings are linked.
    Unwanted,
}

/// Reads the arguments of a tool. `arguments` are without response files.
pub fn read(tool: Tool, arguments: Vec<OsString>) -> Result<Arguments, Diagnostic> {
    let mut read = Arguments {
        mode: Mode::Link,
        abi: None,
        manifest: None,
        audit: AuditLevel::default(),
        output: "a.out".into(),
        chooses_linker: false,
        rest: Vec::new(),
    };
    let mut units = match tool {
        Tool::Cc => compiler_units(arguments, &mut read),
        Tool::Ld => arguments
            .into_iter()
            .map(|argument| Unit::linker(vec![argument.clone()], vec![argument]))
            .collect(),
        // Nothing of objcopy's is ours.
        Tool::Objcopy => {
            read.rest = arguments;
            return Ok(read);
        }
    };
    linker_words(tool, &mut units, &mut read)?;
    let bindings = read.mode == Mode::Link
        && match &read.abi {
            Some(name) => !name.is_empty(),
            None => tool == Tool::Cc,
        };
    for unit in units {
        unit.write(bindings, &mut read.rest);
    }
    Ok(read)
}

/// Groups a compiler's arguments and notes what its own options ask for.
fn compiler_units(arguments: Vec<OsString>, read: &mut Arguments) -> Vec<Unit> {
    let mut units = Vec::with_capacity(arguments.len());
    let mut arguments = arguments.into_iter();
    let mut compile = false;
    let mut query = false;
    while let Some(argument) = arguments.next() {
        let text = argument.as_bytes();
        let is = |list: &[&str]| list.iter().any(|option| option.as_bytes() == text);
        if let Some(list) = text.strip_prefix(b"-Wl,") {
            let words = list.split(|byte| *byte == b',').map(os).collect();
            units.push(Unit::linker(vec![argument], words));
        } else if text == b"-Xlinker" || text == b"-z" {
            let mut typed = vec![argument.clone()];
            typed.extend(arguments.next());
            let mut words = typed.clone();
            if text == b"-Xlinker" {
                words.remove(0);
            }
            units.push(Unit::linker(typed, words));
        } else if text.starts_with(b"-z") || is(POSITION_INDEPENDENT) {
            units.push(Unit::linker(vec![argument.clone()], vec![argument]));
        } else if text == b"-static-pie" {
            units.push(Unit::linker(vec![argument], vec!["-pie".into()]));
        } else if text == b"-lgcc_s" {
            // There is no static one; `rustc` names it wherever the standard library might be.
            units.push(Unit {
                typed: vec![argument],
                linker: vec![Word { text: OsString::new(), fate: Fate::Unwanted }],
            });
        } else if text == b"-o" || is(WITH_VALUE) {
            let value = arguments.next();
            if text == b"-o"
                && let Some(value) = &value
            {
                read.output.clone_from(value);
            }
            let typed = [Some(argument), value].into_iter().flatten().collect();
            units.push(Unit::own(typed));
        } else {
            if let Some(output) = text.strip_prefix(b"-o").filter(|it| !it.is_empty()) {
                read.output = os(output);
            }
            compile |= is(NO_LINK);
            query |= is(QUERIES)
                || text.starts_with(b"-print-")
                || text.starts_with(b"--print-")
                || text.starts_with(b"--help=");
            if text == b"-r" {
                read.mode = Mode::Relocatable;
            }
            read.chooses_linker |=
                text.starts_with(b"-fuse-ld=") || text.starts_with(b"--ld-path=");
            units.push(Unit::own(vec![argument]));
        }
    }
    if query {
        read.mode = Mode::Query;
    } else if compile {
        read.mode = Mode::Compile;
    }
    units
}

/// Reads the linker's arguments in order, across all units.
fn linker_words(tool: Tool, units: &mut [Unit], read: &mut Arguments) -> Result<(), Diagnostic> {
    let mut words: Vec<&mut Word> =
        units.iter_mut().flat_map(|unit| unit.linker.iter_mut()).collect();
    let mut at = 0;
    while let Some((word, behind)) = words.get_mut(at..).and_then(<[_]>::split_first_mut) {
        at += 1;
        let text = word.text.clone();
        let text = text.as_bytes();
        let is = |list: &[&str]| list.iter().any(|option| option.as_bytes() == text);
        let next = || behind.first().map(|word| word.text.clone());
        if let Some(joined) = text.strip_prefix(b"-z") {
            let keyword = if joined.is_empty() {
                match next() {
                    Some(keyword) => keyword,
                    None => break,
                }
            } else {
                os(joined)
            };
            let fate = z_keyword(&keyword, read)?;
            word.fate = fate;
            if text == b"-z" {
                at += 1;
                if let Some(next) = behind.first_mut() {
                    next.fate = fate;
                }
            }
        } else if is(POSITION_INDEPENDENT) {
            word.fate = Fate::Unwanted;
        } else if tool == Tool::Ld {
            if is(&["-r", "-i", "-Ur", "--relocatable"]) {
                read.mode = Mode::Relocatable;
            } else if is(&["-o", "--output"]) {
                if let Some(output) = next() {
                    read.output = output;
                    at += 1;
                }
            } else if let Some(output) = text.strip_prefix(b"--output=") {
                read.output = os(output);
            } else if let Some(output) = text.strip_prefix(b"-o") {
                read.output = os(output);
            }
        } else if is(&["-r", "--relocatable"]) && read.mode == Mode::Link {
            read.mode = Mode::Relocatable;
        }
    }
    Ok(())
}

/// Reads the keyword of a `-z`.
fn z_keyword(keyword: &OsStr, read: &mut Arguments) -> Result<Fate, Diagnostic> {
    let text = keyword.as_bytes();
    if NO_RELOCATION.iter().any(|one| one.as_bytes() == text) {
        return Ok(Fate::Unwanted);
    }
    if !text.starts_with(b"solo5-") {
        return Ok(Fate::Keep);
    }
    let value = |option: &[u8]| text.strip_prefix(option).map(os);
    if let Some(name) = value(b"solo5-abi=") {
        read.abi = Some(name);
    } else if let Some(file) = value(b"solo5-manifest=") {
        if read.manifest.as_ref().is_some_and(|other| *other != file) {
            return Err(Diagnostic::error(codes::TWO_MANIFESTS, "two manifests for one unikernel")
                .with_help("keep one `-z solo5-manifest=`"));
        }
        read.manifest = Some(file);
    } else if let Some(level) = value(b"solo5-audit=") {
        read.audit = AuditLevel::ALL
            .into_iter()
            .find_map(|(name, value)| (level == name).then_some(value))
            .ok_or_else(|| {
                Diagnostic::error(
                    codes::OPTION,
                    format!("unknown audit level '{}'", level.display()),
                )
                .with_help("levels are off, error and warning")
            })?;
    } else {
        return Err(Diagnostic::error(
            codes::OPTION,
            format!("unknown option '-z {}'", keyword.display()),
        )
        .with_help("options are solo5-abi=NAME, solo5-manifest=FILE and solo5-audit=LEVEL"));
    }
    Ok(Fate::Take)
}

impl Unit {
    fn own(typed: Vec<OsString>) -> Unit {
        Unit { typed, linker: Vec::new() }
    }

    fn linker(typed: Vec<OsString>, words: Vec<OsString>) -> Unit {
        let word = |text| Word { text, fate: Fate::Keep };
        Unit { typed, linker: words.into_iter().map(word).collect() }
    }

    /// Appends what remains of it.
    fn write(self, bindings: bool, to: &mut Vec<OsString>) {
        let remains = |word: &Word| match word.fate {
            Fate::Keep => true,
            Fate::Take => false,
            Fate::Unwanted => !bindings,
        };
        if self.linker.iter().all(remains) {
            to.extend(self.typed);
            return;
        }
        // Only a list can keep a part, and the words of a list hold no comma.
        let mut list = b"-Wl".to_vec();
        for word in self.linker.iter().filter(|word| remains(word)) {
            list.push(b',');
            list.extend(word.text.as_bytes());
        }
        if list.len() > b"-Wl".len() {
            to.push(OsString::from_vec(list));
        }
    }
}

fn os(bytes: &[u8]) -> OsString {
    OsStr::from_bytes(bytes).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(tool: Tool, line: &str) -> Arguments {
        read(tool, line.split_whitespace().map(OsString::from).collect()).unwrap()
    }

    fn rest(read: &Arguments) -> String {
        let words: Vec<_> = read.rest.iter().map(|one| one.to_str().unwrap()).collect();
        words.join(" ")
    }

    /// Line, NAME found, what is left.
    #[test]
    fn the_abi_is_found_in_every_spelling() {
        let cases = [
            ("-z solo5-abi=spt a.o", Some("spt"), "a.o"),
            ("-zsolo5-abi=spt a.o", Some("spt"), "a.o"),
            ("-Wl,-z,solo5-abi=spt a.o", Some("spt"), "a.o"),
            ("-Wl,-zsolo5-abi=spt a.o", Some("spt"), "a.o"),
            ("-Wl,-z -Wl,solo5-abi=spt a.o", Some("spt"), "a.o"),
            ("-Xlinker -z -Xlinker solo5-abi=spt a.o", Some("spt"), "a.o"),
            ("-Xlinker -zsolo5-abi=spt a.o", Some("spt"), "a.o"),
            (
                "-Wl,--gc-sections,-z,solo5-abi=spt,-Map=m a.o",
                Some("spt"),
                "-Wl,--gc-sections,-Map=m a.o",
            ),
            ("-z solo5-abi=hvt -z solo5-abi=spt", Some("spt"), ""),
            ("-z solo5-abi=", Some(""), ""),
            ("-z noexecstack a.o", None, "-z noexecstack a.o"),
            ("-o -z a.o", None, "-o -z a.o"),
            ("a.o -z", None, "a.o -z"),
            ("-I -zsolo5-abi=spt", None, "-I -zsolo5-abi=spt"),
        ];
        for (line, abi, left) in cases {
            let read = parse(Tool::Cc, line);
            assert_eq!(read.abi.as_deref(), abi.map(OsStr::new), "{line}");
            assert_eq!(rest(&read), left, "{line}");
        }
        for line in ["-z solo5-abi=spt a.o", "-zsolo5-abi=spt a.o"] {
            let read = parse(Tool::Ld, line);
            assert_eq!(read.abi.as_deref(), Some(OsStr::new("spt")), "{line}");
            assert_eq!(rest(&read), "a.o", "{line}");
        }
        assert_eq!(parse(Tool::Ld, "a.o").abi, None);
    }

    #[test]
    fn the_mode_is_what_the_compiler_would_do() {
        let cases = [
            ("a.c", Mode::Link),
            ("-MD -MF a.d a.c", Mode::Link),
            ("-c a.c", Mode::Compile),
            ("a.c -S", Mode::Compile),
            ("-dM -E -", Mode::Compile),
            ("-MM a.c", Mode::Compile),
            ("-fsyntax-only a.c", Mode::Compile),
            ("-include -c a.c", Mode::Link),
            ("-Xlinker -E a.o", Mode::Link),
            ("--version", Mode::Query),
            ("-dumpmachine", Mode::Query),
            ("-print-file-name=include", Mode::Query),
            ("-r a.o -o b.o", Mode::Relocatable),
            ("-Wl,-r a.o", Mode::Relocatable),
        ];
        for (line, mode) in cases {
            assert_eq!(parse(Tool::Cc, line).mode, mode, "{line}");
        }
        assert_eq!(parse(Tool::Ld, "-r a.o").mode, Mode::Relocatable);
        assert_eq!(parse(Tool::Ld, "-c script a.o").mode, Mode::Link);
    }

    #[test]
    fn the_output_is_the_last_named() {
        let cases = [
            (Tool::Cc, "a.o", "a.out"),
            (Tool::Cc, "a.o -o x -oy", "y"),
            (Tool::Ld, "a.o -ox", "x"),
            (Tool::Ld, "a.o -o x", "x"),
            (Tool::Ld, "--output=x a.o", "x"),
            (Tool::Ld, "--output x a.o", "x"),
            (Tool::Ld, "-z -o -o x", "x"),
        ];
        for (tool, line, output) in cases {
            assert_eq!(parse(tool, line).output, output, "{line}");
        }
    }

    #[test]
    fn what_a_fixed_static_executable_cannot_have_is_left_out() {
        let line = "-fuse-ld=lld a.o -lgcc_s -lc -Wl,--eh-frame-hdr -Wl,-z,noexecstack -o a \
                    -Wl,--gc-sections -pie -Wl,-z,relro,-z,now -Wl,-z,relro,-O1 -nodefaultlibs";
        let kept = "-fuse-ld=lld a.o -lc -Wl,--eh-frame-hdr -Wl,-z,noexecstack -o a \
                    -Wl,--gc-sections -Wl,-O1 -nodefaultlibs";
        let read = parse(Tool::Cc, line);
        assert_eq!(rest(&read), kept);
        assert!(read.chooses_linker);
        assert_eq!(rest(&parse(Tool::Cc, "-static-pie a.o")), "a.o");
        assert_eq!(rest(&parse(Tool::Ld, "-z solo5-abi=spt -pie -z now a.o")), "a.o");
        // Without bindings nothing is ours to decide.
        for line in ["-pie -z now a.o", "-r -pie a.o"] {
            assert_eq!(rest(&parse(Tool::Ld, line)), line);
        }
    }

    #[test]
    fn misspelt_options_are_refused() {
        let cases = [
            ("-z solo5-api=spt", codes::OPTION),
            ("-z solo5-abi", codes::OPTION),
            ("-Wl,-z,solo5-audit=maybe", codes::OPTION),
            ("-z solo5-manifest=a -z solo5-manifest=b", codes::TWO_MANIFESTS),
        ];
        for (line, code) in cases {
            let words = line.split_whitespace().map(OsString::from).collect();
            assert_eq!(read(Tool::Cc, words).unwrap_err().code, code, "{line}");
        }
        let line = "-z solo5-manifest=a -z solo5-audit=off -z solo5-manifest=a";
        let read = parse(Tool::Cc, line);
        assert_eq!(read.manifest.as_deref(), Some(OsStr::new("a")));
        assert_eq!(read.audit, AuditLevel::Off);
    }
}
