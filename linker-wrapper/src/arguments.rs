//! Reads the arguments: takes out the wrapper's own, keeps the rest as typed, and notes what they
//! request.
//!
//! A compiler passes arguments on to its linker in several spellings (`-z X`, `-Wl,-z,X`, `-Xlinker
//! -z -Xlinker X`, each also joined). All of them are read as one sequence of linker arguments, so
//! that a wrapper option is found in any spelling. Arguments that stay keep their spelling and
//! their place.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use solo5_report::{Diagnostic, os_text};

use crate::codes;
use crate::name::Tool;
use crate::option::{LinkerOption, Name, POSITION_INDEPENDENT, Value};
use crate::response;
use crate::script::Bindings;

/// The least severity of an audit finding that refuses a link.
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

/// What the wrapper adds to an executable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linked {
    /// Nothing, or there is no executable.
    Nothing,
    /// The stub: the result never runs.
    Stub,
    /// The bindings of a target: a loader will read the result.
    Target,
}

/// A file that a linker writes besides its output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SideFile {
    /// The linker's option, without dashes.
    pub option: &'static str,
    /// Its value.
    pub path: OsString,
}

/// The compiler's options that write dependencies for `make`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dependencies {
    /// `-MD` or `-MMD`.
    pub wanted: bool,
    /// FILE of the last `-MF FILE`.
    pub file: Option<OsString>,
    /// `-MP`: a rule without recipe for each dependency.
    pub phony: bool,
}

/// The arguments, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arguments {
    /// What the tool is asked to do.
    pub mode: Mode,
    /// NAME of the last `solo5-abi=NAME`; an empty one counts.
    pub abi: Option<OsString>,
    /// FILE of `solo5-manifest=FILE`.
    pub manifest: Option<OsString>,
    /// NAME of the last `solo5-libc=NAME`; an empty one means none.
    pub libc: Option<OsString>,
    /// Value of the last `solo5-audit=`.
    pub audit: AuditLevel,
    /// File that a link writes.
    pub output: OsString,
    /// Whether the output was named.
    pub output_named: bool,
    /// What a link adds.
    pub linked: Linked,
    /// Names of the libraries of `-l`, each once; `:FILE` for a file name.
    pub libraries: Vec<OsString>,
    /// Folders of `-L`, in order.
    pub folders: Vec<OsString>,
    /// Those of the folders that a compiler passes on unread. It puts its own folders before them.
    pub late_folders: Vec<OsString>,
    /// DIR of the last `--sysroot=DIR`.
    pub sysroot: Option<OsString>,
    /// Files that the linker writes besides its output.
    pub side_files: Vec<SideFile>,
    /// What the compiler is asked to write for `make`.
    pub dependencies: Dependencies,
    /// Whether response files for the linker were read.
    pub from_file: bool,
    /// Whether the arguments choose a linker (`-fuse-ld=`, `--ld-path=`).
    pub chooses_linker: bool,
    /// The rest, as typed.
    units: Vec<Unit>,
}

impl Arguments {
    /// The arguments that remain for the tool, without the libraries `left_out`.
    pub fn rest(&self, left_out: &[OsString]) -> Vec<OsString> {
        let remains = |fate| match fate {
            Fate::Keep => true,
            Fate::Take => false,
            Fate::Unwanted => self.linked == Linked::Nothing,
            Fate::Shared => self.linked != Linked::Target,
            Fate::Library(index) => self.libraries.get(index).is_none_or(|library| {
                let unasked = self.linked == Linked::Stub && library == "gcc_s";
                !(unasked || left_out.contains(library))
            }),
        };
        let mut rest = Vec::new();
        for unit in &self.units {
            unit.write(remains, &mut rest);
        }
        rest
    }

    fn library(&mut self, name: OsString) -> Fate {
        let known = self.libraries.iter().position(|library| *library == name);
        Fate::Library(known.unwrap_or_else(|| {
            self.libraries.push(name);
            self.libraries.len() - 1
        }))
    }
}

/// Compiler options whose value is the next argument, which is therefore not an option. Options
/// that this file interprets are not listed.
const WITH_VALUE: &[&str] = &[
    "-A",
    "-D",
    "-F",
    "-G",
    "-I",
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
    "-mllvm",
    "-target",
    "-u",
    "-wrapper",
    "-x",
    "--param",
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

/// Keywords of `-z` without meaning where nothing is relocated at start-up.
const NO_RELOCATION: &[&str] = &["relro", "now"];

/// One argument as typed, or two that belong together, and the linker arguments in it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Unit {
    typed: Vec<OsString>,
    /// The linker arguments in it; empty for the compiler's own options.
    linker: Vec<Word>,
}

/// An argument of the linker.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Word {
    text: OsString,
    fate: Fate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Keep,
    /// A wrapper option, taken out.
    Take,
    /// Left out if bindings are linked.
    Unwanted,
    /// Left out if a target's bindings are linked.
    Shared,
    /// A library, by its index in `Arguments::libraries`.
    Library(usize),
}

/// Reads the arguments of a tool. `arguments` are without response files.
pub fn read(tool: Tool, arguments: Vec<OsString>) -> Result<Arguments, Diagnostic> {
    let mut read = Arguments {
        mode: Mode::Link,
        abi: None,
        manifest: None,
        libc: None,
        audit: AuditLevel::default(),
        output: "a.out".into(),
        output_named: false,
        linked: Linked::Nothing,
        libraries: Vec::new(),
        folders: Vec::new(),
        late_folders: Vec::new(),
        sysroot: None,
        side_files: Vec::new(),
        dependencies: Dependencies::default(),
        from_file: false,
        chooses_linker: false,
        units: Vec::new(),
    };
    let mut units = match tool {
        Tool::Cc => compiler_units(arguments, &mut read),
        Tool::Ld => arguments
            .into_iter()
            .map(|argument| Unit::linker(vec![argument.clone()], vec![argument]))
            .collect(),
        // objcopy has no wrapper options.
        Tool::Objcopy => {
            read.units.push(Unit::own(arguments));
            return Ok(read);
        }
    };
    linker_words(tool, &mut units, &mut read)?;
    read.linked = match &read.abi {
        _ if read.mode != Mode::Link => Linked::Nothing,
        Some(name) if name.is_empty() => Linked::Nothing,
        Some(name) if name == Bindings::Stub.name() => Linked::Stub,
        Some(_) => Linked::Target,
        None if tool == Tool::Cc => Linked::Stub,
        None => Linked::Nothing,
    };
    read.units = units;
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
            let words = read.expanded(list.split(|byte| *byte == b',').map(os));
            units.push(Unit::linker(vec![argument], words));
        } else if text == b"-Xlinker" {
            let value = arguments.next();
            let typed = [Some(argument), value.clone()].into_iter().flatten().collect();
            units.push(Unit::linker(typed, read.expanded(value)));
        } else if is(&["-z", "-l", "-L"]) {
            let typed: Vec<_> = std::iter::once(argument).chain(arguments.next()).collect();
            units.push(Unit::linker(typed.clone(), typed));
        } else if [b"-z", b"-l", b"-L"].iter().any(|letter| text.starts_with(*letter))
            || is(POSITION_INDEPENDENT)
        {
            units.push(Unit::linker(vec![argument.clone()], vec![argument]));
        } else if text == b"-static-pie" {
            units.push(Unit::linker(vec![argument], vec!["-pie".into()]));
        } else if is(&["-o", "-B", "-MF", "--sysroot"]) || is(WITH_VALUE) {
            let value = arguments.next();
            if let Some(value) = &value {
                read.compiler_option(text, value);
            }
            let typed = [Some(argument), value].into_iter().flatten().collect();
            units.push(Unit::own(typed));
        } else {
            for option in ["-o", "-B", "-MF", "--sysroot="] {
                let value = text.strip_prefix(option.as_bytes()).filter(|it| !it.is_empty());
                if let Some(value) = value {
                    read.compiler_option(option.as_bytes(), &os(value));
                }
            }
            read.dependencies.wanted |= is(&["-MD", "-MMD"]);
            read.dependencies.phony |= text == b"-MP";
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

impl Arguments {
    /// `words`, with the linker's own response files replaced by their content.
    fn expanded(&mut self, words: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
        let response::Expanded { arguments, from_file } = response::expand(words);
        self.from_file |= from_file;
        arguments
    }

    /// Notes an option of the compiler with its value.
    fn compiler_option(&mut self, option: &[u8], value: &OsStr) {
        match option {
            b"-o" => self.output(value.to_owned()),
            b"-B" => self.folders.push(value.to_owned()),
            b"-MF" => self.dependencies.file = Some(value.to_owned()),
            b"--sysroot" | b"--sysroot=" => self.sysroot = Some(value.to_owned()),
            _ => {}
        }
    }

    fn output(&mut self, name: OsString) {
        self.output = name;
        self.output_named = true;
    }
}

/// Reads the linker's arguments in order, across all units.
fn linker_words(tool: Tool, units: &mut [Unit], read: &mut Arguments) -> Result<(), Diagnostic> {
    let words = units.iter_mut().flat_map(|unit| {
        // The compiler puts the options that it reads itself before those that it passes on.
        let late = unit
            .typed
            .first()
            .is_some_and(|typed| typed == "-Xlinker" || typed.as_bytes().starts_with(b"-Wl,"));
        unit.linker.iter_mut().map(move |word| (word, late))
    });
    let mut words = words.peekable();
    while let Some((word, late)) = words.next() {
        let LinkerOption { name, value } = LinkerOption::of(&word.text);
        let apart = matches!(value, Value::Next);
        let value = match value {
            Value::None => None,
            Value::Joined(value) => Some(value),
            Value::Next => match words.peek() {
                Some((next, _)) => Some(next.text.clone()),
                None => break,
            },
        };
        let fate = match (name, value) {
            (Name::Keyword, Some(keyword)) => z_keyword(&keyword, read)?,
            (Name::Library, Some(name)) => read.library(name),
            (Name::Folder, Some(folder)) => {
                if late {
                    read.late_folders.push(folder.clone());
                }
                read.folders.push(folder);
                Fate::Keep
            }
            (Name::Output, Some(output)) => {
                read.output(output);
                Fate::Keep
            }
            (Name::SideFile(option), Some(path)) => {
                read.side_files.push(SideFile { option, path });
                Fate::Keep
            }
            (Name::Sysroot, value) => {
                if tool == Tool::Ld {
                    read.sysroot = value;
                }
                Fate::Keep
            }
            (Name::Relocatable, _) => {
                if read.mode == Mode::Link {
                    read.mode = Mode::Relocatable;
                }
                Fate::Keep
            }
            (Name::PositionIndependent, _) => Fate::Unwanted,
            (Name::Shared, _) => Fate::Shared,
            _ => Fate::Keep,
        };
        word.fate = fate;
        if apart && let Some((next, _)) = words.next() {
            next.fate = fate;
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
    } else if let Some(name) = value(b"solo5-libc=") {
        read.libc = Some(name).filter(|name| !name.is_empty());
    } else if let Some(level) = value(b"solo5-audit=") {
        read.audit = AuditLevel::ALL
            .into_iter()
            .find_map(|(name, value)| (level == name).then_some(value))
            .ok_or_else(|| {
                Diagnostic::error(
                    codes::OPTION,
                    format!("unknown audit level '{}'", os_text(&level)),
                )
                .with_help("levels are off, error and warning")
            })?;
    } else {
        return Err(Diagnostic::error(
            codes::OPTION,
            format!("unknown option '-z {}'", os_text(keyword)),
        )
        .with_help(
            "options are solo5-abi=NAME, solo5-manifest=FILE, solo5-libc=NAME and solo5-audit=LEVEL",
        ));
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

    /// Appends the words that remain.
    fn write(&self, remains: impl Fn(Fate) -> bool, to: &mut Vec<OsString>) {
        if self.linker.iter().all(|word| remains(word.fate)) {
            to.extend(self.typed.iter().cloned());
            return;
        }
        let words: Vec<_> = self.linker.iter().filter(|word| remains(word.fate)).collect();
        // Words from a response file may hold a comma, which would split the list.
        if words.iter().any(|word| word.text.as_bytes().contains(&b',')) {
            to.extend(words.iter().flat_map(|word| ["-Xlinker".into(), word.text.clone()]));
        } else if !words.is_empty() {
            let mut list = b"-Wl".to_vec();
            for word in words {
                list.push(b',');
                list.extend(word.text.as_bytes());
            }
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
        let words = read.rest(&[]).into_iter().map(|one| one.into_string().unwrap());
        words.collect::<Vec<_>>().join(" ")
    }

    /// A case is a line, its NAME and the remaining arguments.
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
    fn the_last_libc_counts_and_an_empty_one_is_none() {
        let cases = [
            ("-c a.c", None),
            ("-z solo5-libc=musl -c a.c", Some("musl")),
            ("-Wl,-z,solo5-libc=other -zsolo5-libc=musl a.c", Some("musl")),
            ("-z solo5-libc=musl -z solo5-libc= a.c", None),
        ];
        for (line, libc) in cases {
            let read = parse(Tool::Cc, line);
            assert_eq!(read.libc.as_deref(), libc.map(OsStr::new), "{line}");
            assert!(!rest(&read).contains("solo5"), "{line}");
        }
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
        // Without bindings these arguments stay.
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
