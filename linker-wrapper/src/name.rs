//! Identity of the wrapper: the program's name gives tool and architecture, the program's location
//! gives the folders of the installation.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::{env, fs};

use solo5_abi::Arch;

/// The tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// The C compiler, also as the driver of a link.
    Cc,
    /// The linker.
    Ld,
    /// objcopy.
    Objcopy,
}

impl Tool {
    /// The last part of the tool's names.
    pub const fn name(self) -> &'static str {
        match self {
            Tool::Cc => "cc",
            Tool::Ld => "ld",
            Tool::Objcopy => "objcopy",
        }
    }

    fn from_name(name: &str) -> Option<Tool> {
        [Tool::Cc, Tool::Ld, Tool::Objcopy].into_iter().find(|tool| tool.name() == name)
    }
}

/// The meaning of the program's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The name in messages.
    pub program: String,
    /// The tool.
    pub tool: Tool,
    /// The architecture to build for.
    pub arch: Arch,
    /// Whether the compiler is that for C++, whose options are the same.
    pub plus_plus: bool,
}

/// The last part of the C++ compiler's names.
const PLUS_PLUS: &str = "c++";

impl Identity {
    /// Reads `solo5-TOOL`, with `c++` for the compiler of C++, for the architecture of this machine, or `TRIPLE-TOOL`.
    pub fn from_name(name: &str) -> Option<Identity> {
        let (prefix, tool) = name.rsplit_once('-')?;
        let arch = if prefix == "solo5" {
            Arch::HOST?
        } else {
            Arch::ALL.into_iter().find(|arch| arch.triple() == prefix)?
        };
        let plus_plus = tool == PLUS_PLUS;
        let tool = if plus_plus { Tool::Cc } else { Tool::from_name(tool)? };
        Some(Identity { program: name.to_owned(), tool, arch, plus_plus })
    }

    /// The identity of a program that was called as `called`. An unknown name may be a link to a
    /// known one.
    pub fn of_call(called: &OsStr) -> Option<Identity> {
        let known = |path: &Path| Identity::from_name(path.file_name()?.to_str()?);
        if let Some(identity) = known(Path::new(called)) {
            return Some(identity);
        }
        let mut path = find(called)?;
        for _ in 0..LINKS_MAX {
            let target = fs::read_link(&path).ok()?;
            path = path.parent()?.join(target);
            if let Some(identity) = known(&path) {
                return Some(identity);
            }
        }
        None
    }
}

/// Most symbolic links followed; kernels have the same limit.
const LINKS_MAX: usize = 40;

/// The file that a shell would run for `called`.
pub fn find(called: &OsStr) -> Option<PathBuf> {
    let path = Path::new(called);
    if path.components().count() > 1 || path.is_absolute() {
        return Some(path.to_owned());
    }
    let search = env::var_os("PATH")?;
    env::split_paths(&search)
        .map(|folder| folder.join(called))
        .find(|candidate| candidate.is_file())
}

/// The program's folders, found from its own location, so that a prefix can be moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// The folder above the program's.
    pub prefix: Option<PathBuf>,
    /// `../include`, if it is there.
    pub include: Option<PathBuf>,
    /// `../lib/TRIPLE`, if it is there.
    pub library: Option<PathBuf>,
}

impl Installed {
    /// The folders beside the program file `program`, whose links are resolved.
    pub fn beside(program: &Path, arch: Arch) -> Installed {
        let prefix = program.parent().and_then(Path::parent);
        let folder =
            |name: PathBuf| prefix.map(|prefix| prefix.join(name)).filter(|it| it.is_dir());
        Installed {
            prefix: prefix.map(Path::to_owned),
            include: folder("include".into()),
            library: folder(Path::new("lib").join(arch.triple())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_tool_and_architecture() {
        let parse = |name| Identity::from_name(name).map(|it| (it.tool, it.arch));
        assert_eq!(parse("aarch64-solo5-none-static-cc"), Some((Tool::Cc, Arch::Aarch64)));
        assert_eq!(
            parse("ppc64le-solo5-none-static-objcopy"),
            Some((Tool::Objcopy, Arch::Ppc64le))
        );
        assert_eq!(parse("solo5-c++"), Arch::HOST.map(|arch| (Tool::Cc, arch)));
        for (name, plus_plus) in [("x86_64-solo5-none-static-c++", true), ("solo5-cc", false)] {
            assert_eq!(Identity::from_name(name).map(|it| it.plus_plus), Some(plus_plus), "{name}");
        }
        assert_eq!(parse("solo5-ld"), Arch::HOST.map(|arch| (Tool::Ld, arch)));
        for name in ["cc", "solo5-gcc", "riscv64-solo5-none-static-cc", "solo5-", ""] {
            assert_eq!(parse(name), None, "{name:?}");
        }
    }
}
