//! The underlying tools, and the arguments that make each of them build unikernels
//! (`docs/reference/toolchain.md#arguments`).

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use solo5_abi::Arch;

use crate::name::{Installed, Tool, find};

/// A program and the arguments it always gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Name or path.
    pub name: OsString,
    /// First arguments.
    pub arguments: Vec<OsString>,
}

/// The architecture for which `TARGET_CC`, `TARGET_LD` and `TARGET_OBJCOPY` were set at build time.
const BUILT_FOR: Option<&str> = match option_env!("TARGET_ARCH") {
    Some(arch) => Some(arch),
    None => match Arch::HOST {
        Some(arch) => Some(arch.name()),
        None => None,
    },
};

impl Program {
    /// The tool for `arch`: from `SOLO5_CC`, `SOLO5_LD` or `SOLO5_OBJCOPY` in the environment, else
    /// from `TARGET_CC`, `TARGET_LD` or `TARGET_OBJCOPY` at build time, else the usual one.
    pub fn of(tool: Tool, arch: Arch) -> Program {
        let (variable, built) = match tool {
            Tool::Cc => ("SOLO5_CC", option_env!("TARGET_CC")),
            Tool::Ld => ("SOLO5_LD", option_env!("TARGET_LD")),
            Tool::Objcopy => ("SOLO5_OBJCOPY", option_env!("TARGET_OBJCOPY")),
        };
        let built = built.filter(|_| BUILT_FOR == Some(arch.name()));
        let chosen = env::var_os(variable).filter(|value| !value.is_empty());
        let chosen = chosen.or_else(|| built.map(OsString::from));
        chosen
            .and_then(|words| Program::from_words(&words))
            .unwrap_or_else(|| Program::usual(tool, arch))
    }

    /// The C++ compiler for `arch`: from `SOLO5_CXX` in the environment, else from `TARGET_CXX` at build time, else
    /// the usual one.
    pub fn plus_plus(arch: Arch) -> Program {
        let built = option_env!("TARGET_CXX").filter(|_| BUILT_FOR == Some(arch.name()));
        let chosen = env::var_os("SOLO5_CXX").filter(|value| !value.is_empty());
        let chosen = chosen.or_else(|| built.map(OsString::from));
        if let Some(chosen) = chosen.and_then(|words| Program::from_words(&words)) {
            return chosen;
        }
        if Arch::HOST == Some(arch) {
            return Program { name: "c++".into(), arguments: Vec::new() };
        }
        // The other program of the compiler for C.
        let mut program = Program::usual(Tool::Cc, arch);
        program.name = match program.name.to_str() {
            Some("clang") => "clang++".into(),
            _ => format!("{}-g++", gnu_triple(arch)).into(),
        };
        program
    }

    /// A name, and arguments behind it.
    fn from_words(words: &OsStr) -> Option<Program> {
        let mut words = words
            .as_bytes()
            .split(u8::is_ascii_whitespace)
            .filter(|word| !word.is_empty())
            .map(|word| OsStr::from_bytes(word).to_owned());
        Some(Program { name: words.next()?, arguments: words.collect() })
    }

    /// The host's tool for its own architecture. For another one the cross tool of the Debian family,
    /// or LLVM's where only that is installed.
    fn usual(tool: Tool, arch: Arch) -> Program {
        let plain = |name: &str| Program { name: name.into(), arguments: Vec::new() };
        if Arch::HOST == Some(arch) {
            return plain(tool.name());
        }
        let triple = gnu_triple(arch);
        let cross = match tool {
            Tool::Cc => plain(&format!("{triple}-gcc")),
            Tool::Ld | Tool::Objcopy => plain(&format!("{triple}-{}", tool.name())),
        };
        if find(&cross.name).is_some() {
            return cross;
        }
        let llvm = match tool {
            Tool::Cc => Program {
                name: "clang".into(),
                arguments: vec![format!("--target={triple}").into(), "-fuse-ld=lld".into()],
            },
            Tool::Ld => plain("ld.lld"),
            Tool::Objcopy => plain("llvm-objcopy"),
        };
        // If neither is there, the error names the cross tool.
        if find(&llvm.name).is_some() { llvm } else { cross }
    }

    /// Whether a variable chose the tool; otherwise it is the usual one.
    pub fn is_chosen(tool: Tool, arch: Arch) -> bool {
        Program::of(tool, arch).name != Program::usual(tool, arch).name
    }
}

/// Prefix of the cross tools of the Debian family.
const fn gnu_triple(arch: Arch) -> &'static str {
    match arch {
        Arch::X86_64 => "x86_64-linux-gnu",
        Arch::Aarch64 => "aarch64-linux-gnu",
        Arch::Ppc64le => "powerpc64le-linux-gnu",
    }
}

/// The two kinds of compiler, whose options differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// GCC.
    Gcc,
    /// Clang.
    Clang,
}

impl Family {
    /// The kind of `program`. Its file name tells, with links resolved, since `cc` is usually a
    /// link. Otherwise the compiler is asked, which takes milliseconds.
    pub fn of(program: &Program) -> Family {
        let path = find(&program.name)
            .and_then(|path| fs::canonicalize(path).ok())
            .unwrap_or_else(|| PathBuf::from(&program.name));
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.contains("clang") {
            return Family::Clang;
        }
        if name.contains("gcc") || name.contains("g++") {
            return Family::Gcc;
        }
        let macros = Command::new(&program.name)
            .args(&program.arguments)
            .args(["-dM", "-E", "-x", "c", "/dev/null"])
            .stderr(Stdio::null())
            .output();
        match macros {
            Ok(output) if output.stdout.windows(9).any(|word| word == b"__clang__") => {
                Family::Clang
            }
            _ => Family::Gcc,
        }
    }
}

/// Whether the linker of this name is lld. Its file name tells, with links resolved.
pub fn is_lld(name: &OsStr) -> bool {
    let has = |name: &[u8]| name.windows(3).any(|part| part == b"lld");
    let file = find(name).and_then(|path| fs::canonicalize(path).ok());
    let file = file.as_deref().and_then(Path::file_name).unwrap_or_default();
    has(name.as_bytes()) || has(file.as_bytes())
}

/// Variables that add folders of the host to every search for a header or a library.
pub const HOST_FOLDERS: &[&str] =
    &["CPATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH", "OBJC_INCLUDE_PATH", "LIBRARY_PATH"];

/// Arguments for compiling: no header of the host, the headers of Solo5, and the guard of the stack
/// protector where the bindings have it. Code touches the stack as it extends it,
/// because a large frame would otherwise skip the guard below it; old compilers for aarch64 do without.
/// With the headers of a C library, `libc`, code is not freestanding.
pub fn compile(
    program: &Program,
    family: Family,
    arch: Arch,
    installed: &Installed,
    libc: Option<&Path>,
) -> Vec<OsString> {
    let include = installed.include.as_deref();
    let own =
        include.and_then(|folder| compiler_headers(program, family, folder.join(arch.triple())));
    compile_with(family, arch, include, own, libc)
}

/// The arguments of [`compile`], with `own` for the folder of the compiler's own headers.
pub fn compile_with(
    family: Family,
    arch: Arch,
    include: Option<&Path>,
    own: Option<PathBuf>,
    libc: Option<&Path>,
) -> Vec<OsString> {
    let mut out: Vec<OsString> = match family {
        Family::Gcc => vec!["-nostdinc".into()],
        Family::Clang => vec!["-nostdlibinc".into(), "-Wno-unused-command-line-argument".into()],
    };
    let protector = match (arch, family) {
        (Arch::X86_64, _) | (Arch::Ppc64le, Family::Gcc) => {
            out.push("-mstack-protector-guard=global".into());
            "-fstack-protector-strong"
        }
        // It is global anyway, and Clang refuses the option.
        (Arch::Aarch64, _) => "-fstack-protector-strong",
        // Clang refuses the option there too, and looks for the guard where glibc has it: in
        // thread-local storage, before the first variable.
        (Arch::Ppc64le, Family::Clang) => "-fno-stack-protector",
    };
    // Its headers come first, as it has its own of those that compilers bring too.
    if let Some(libc) = libc {
        out.extend(["-isystem".into(), libc.into()]);
        if arch == Arch::Ppc64le {
            // musl knows no other type there.
            out.push("-mlong-double-64".into());
        }
    }
    if let Some(own) = own {
        out.extend(["-isystem".into(), own.into()]);
    }
    if let Some(include) = include {
        out.extend(["-I".into(), include.join("solo5").into()]);
    }
    if libc.is_none() {
        out.push("-ffreestanding".into());
    }
    out.push(protector.into());
    out.push("-fstack-clash-protection".into());
    out
}

/// The folder of the compiler's own headers. GCC is asked for it, since the copy made at
/// installation is stale after an upgrade of the compiler; `copy` serves if GCC does not answer.
/// Clang finds its own headers unless the system keeps them among its headers, as BSDs do.
fn compiler_headers(program: &Program, family: Family, copy: PathBuf) -> Option<PathBuf> {
    match family {
        Family::Clang => (!cfg!(target_os = "linux")).then_some(copy),
        Family::Gcc => Some(gcc_headers(program).unwrap_or(copy)),
    }
}

fn gcc_headers(program: &Program) -> Option<PathBuf> {
    printed_path(program, "-print-file-name=include")
}

/// The path that a compiler prints when it gets `question`. `None` if it prints a bare name, as it does
/// for a file that it does not find.
pub fn printed_path(program: &Program, question: &str) -> Option<PathBuf> {
    let printed = printed(program, &[question.into()])?;
    let path = Path::new(OsStr::from_bytes(printed.trim_ascii_end()));
    path.is_absolute().then(|| path.to_owned())
}

/// The folders of the C++ library's headers, in the compiler's order.
pub fn plus_plus_headers(program: &Program) -> Vec<PathBuf> {
    let mut command = Command::new(&program.name);
    command.args(&program.arguments).args(["-E", "-v", "-x", "c++", "/dev/null"]);
    for variable in HOST_FOLDERS {
        command.env_remove(variable);
    }
    let printed = command.env("LC_ALL", "C").output().map(|output| output.stderr);
    let printed = printed.unwrap_or_default();
    // A list with a blank in front of each folder.
    let folders = printed.split(|byte| *byte == b'\n').filter_map(|line| line.strip_prefix(b" "));
    let folders = folders.map(|folder| Path::new(OsStr::from_bytes(folder)));
    folders
        .filter(|folder| {
            folder.is_absolute() && folder.iter().any(|it| it == "c++") && folder.is_dir()
        })
        .map(Path::to_owned)
        .collect()
}

/// What a compiler prints when it gets `arguments`.
pub fn printed(program: &Program, arguments: &[OsString]) -> Option<Vec<u8>> {
    let mut command = Command::new(&program.name);
    command.args(&program.arguments).args(arguments).stderr(Stdio::null());
    for variable in HOST_FOLDERS {
        command.env_remove(variable);
    }
    Some(command.output().ok()?.stdout)
}

/// Arguments of a compiler for the link it drives, before ours and the user's.
pub fn compiler_link(family: Family, arch: Arch, chooses_linker: bool) -> Vec<OsString> {
    let mut out = vec!["-Wl,--build-id=none".into(), "-no-pie".into()];
    match family {
        Family::Clang if !chooses_linker && Program::is_chosen(Tool::Ld, arch) => {
            if let Some(path) = find(&Program::of(Tool::Ld, arch).name) {
                let mut option = OsString::from("--ld-path=");
                option.push(path);
                out.push(option);
            }
        }
        // GCC takes names of linkers, not paths.
        Family::Clang | Family::Gcc => {}
    }
    out
}

/// Arguments of every link, for linker and compiler alike: nothing from the host, static, segments on
/// pages of the largest size that a host may have.
pub fn link(arch: Arch, library: &Path) -> Vec<OsString> {
    vec![
        "-nostdlib".into(),
        "-L".into(),
        library.into(),
        "-z".into(),
        format!("max-page-size={:#x}", arch.page_size_max()).into(),
        "-static".into(),
    ]
}
