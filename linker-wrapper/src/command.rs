//! The tool's command, put together from the installed files and the arguments.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use solo5_abi::Arch;
use solo5_report::{Diagnostic, os_text, path_text};

use crate::arguments::{Arguments, Linked, Mode};
use crate::codes;
use crate::libc::Libc;
use crate::libraries::Libraries;
use crate::missing;
use crate::name::{Identity, Installed, Tool};
use crate::script::Bindings;
use crate::tools::{self, Family, Program};

/// What a link adds for an ABI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Abi {
    /// The linker script.
    pub script: PathBuf,
    /// The bindings object. It comes first, so that `_start` is the first code of the image.
    pub object: PathBuf,
    /// Whether a loader runs the result. No loader runs the stub's.
    pub has_loader: bool,
}

/// The ABI of a link: the one that was named, else a compiler's default.
///
/// # Errors
///
/// If it is not installed in `library`.
pub fn abi(
    identity: &Identity,
    read: &Arguments,
    library: &Path,
) -> Result<Option<Abi>, Diagnostic> {
    let stub = || (identity.tool == Tool::Cc).then(|| OsString::from(Bindings::Stub.name()));
    let name = match read.mode {
        Mode::Compile | Mode::Query => None,
        // An object that contains the stub could never become a unikernel.
        Mode::Relocatable => read.abi.clone(),
        Mode::Link => read.abi.clone().or_else(stub),
    };
    let Some(name) = name.filter(|name| !name.is_empty()) else {
        return Ok(None);
    };
    // A name outside the list never becomes part of a path.
    let installed = installed(library);
    if let Some(known) = installed.iter().find(|known| name == known.as_str()) {
        return Ok(Some(Abi {
            script: library.join(format!("solo5_{known}.lds")),
            object: library.join(format!("solo5_{known}.o")),
            has_loader: read.linked == Linked::Target,
        }));
    }
    let help = if installed.is_empty() {
        let library = path_text(library);
        format!("no bindings are installed in {library}; {}", missing::how(identity.arch))
    } else {
        format!("installed are {}", installed.join(", "))
    };
    Err(Diagnostic::error(codes::UNKNOWN_ABI, format!("unknown ABI '{}'", os_text(&name)))
        .with_help(help))
}

/// Names of the ABIs that have both script and object in `library`, sorted.
fn installed(library: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(library)
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let file = entry.ok()?.file_name().into_string().ok()?;
            let name = file.strip_prefix("solo5_")?.strip_suffix(".lds")?;
            let object = library.join(format!("solo5_{name}.o"));
            object.is_file().then(|| name.to_owned())
        })
        .collect();
    names.sort();
    names
}

/// What the wrapper adds to what was typed.
pub struct Added<'a> {
    /// For the ABI.
    pub abi: Option<&'a Abi>,
    /// The C library.
    pub libc: Option<&'a Libc>,
    /// Objects that are linked right after the bindings.
    pub objects: Vec<PathBuf>,
}

/// The arguments of the underlying compiler or linker, in the order of
/// `docs/reference/toolchain.md#arguments`. Libraries that are left out are not linked.
pub fn arguments(
    identity: &Identity,
    program: &Program,
    installed: &Installed,
    read: &Arguments,
    added: Added<'_>,
    libraries: &Libraries,
) -> Vec<OsString> {
    let Added { abi, libc, objects } = added;
    let mut out = program.arguments.clone();
    let compiler = identity.tool == Tool::Cc;
    let links = matches!(read.mode, Mode::Link | Mode::Relocatable);
    if compiler {
        let family = Family::of(program);
        if identity.plus_plus {
            let folders = tools::plus_plus_headers(program);
            out.extend(folders.into_iter().flat_map(|folder| ["-isystem".into(), folder.into()]));
            if let Some(libc) = libc {
                out.extend(["-include".into(), libc.plus_plus().into()]);
            }
        }
        let headers = libc.map(|libc| libc.include.as_path());
        out.extend(tools::compile(program, family, identity.arch, installed, headers));
        if links {
            out.extend(tools::compiler_link(family, identity.arch, read.chooses_linker));
        }
    }
    if links || !compiler {
        out.extend(link(identity.arch, installed, abi, objects));
    }
    if links && read.linked == Linked::Target && uses_lld(identity, program, read) {
        // Objects may name libraries, which lld would look for in the host's folders.
        let option = "--no-dependent-libraries";
        out.push(if compiler { format!("-Wl,{option}") } else { option.to_owned() }.into());
    }
    out.extend(libraries.folders.iter().flat_map(|folder| ["-L".into(), folder.clone()]));
    out.extend(read.rest(&libraries.left_out));
    out.extend(libraries.libc.iter().flat_map(|folder| ["-L".into(), folder.clone()]));
    if let Some(libc) = libc {
        out.extend(libc.link(identity, read));
    }
    out
}

/// Whether lld links, as far as names tell.
fn uses_lld(identity: &Identity, program: &Program, read: &Arguments) -> bool {
    if identity.tool != Tool::Cc {
        return tools::is_lld(&program.name);
    }
    let words = program.arguments.iter().cloned().chain(read.rest(&[]));
    let mut chosen = words.filter_map(|word| {
        let word = word.into_vec();
        let linker =
            [&b"-fuse-ld="[..], b"--ld-path="].iter().find_map(|it| word.strip_prefix(*it));
        linker.map(|linker| OsStr::from_bytes(linker).to_owned())
    });
    match chosen.next_back() {
        Some(linker) => tools::is_lld(&linker),
        // Clang is told to use the linker that a variable names.
        None => {
            Family::of(program) == Family::Clang
                && Program::is_chosen(Tool::Ld, identity.arch)
                && tools::is_lld(&Program::of(Tool::Ld, identity.arch).name)
        }
    }
}

fn link(
    arch: Arch,
    installed: &Installed,
    abi: Option<&Abi>,
    objects: Vec<PathBuf>,
) -> Vec<OsString> {
    let mut out =
        installed.library.as_deref().map_or_else(Vec::new, |library| tools::link(arch, library));
    if let Some(abi) = abi {
        out.extend(["-T".into(), abi.script.clone().into()]);
        out.push(abi.object.clone().into());
    }
    out.extend(objects.into_iter().map(OsString::from));
    out
}
