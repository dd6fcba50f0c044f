//! Libraries of the host, which must not become part of a unikernel.
//!
//! A library is linked from a folder that `-L`, `-B` or `--sysroot` names, or from the compiler's
//! own folder, where `libgcc.a` is. The host's folders hold code that makes system calls, so a
//! library that only they have is not linked. `rustc` passes a few libraries unasked, even if
//! the crate `libc` is used only for its types; these count as empty. The linker decides whether one of their symbols is
//! missing, because it knows which code is live.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use object::read::archive::ArchiveFile;
use object::{Object, ObjectSymbol, ReadCache};
use solo5_report::{Diagnostic, os_text, path_text};

use crate::arguments::{Arguments, Linked, Mode};
use crate::codes;
use crate::libc::Libc;
use crate::library_script::{self, Named};
use crate::name::Tool;
use crate::tools::{self, Program};

/// Libraries that count as empty if no folder has them, each with the host's files. What a program takes
/// from glibc is not all in the shared library: `atexit` is in an archive beside it.
const EMPTY: &[(&str, &[&str])] = &[
    ("c", &["libc.so.6", "libc_nonshared.a"]),
    ("m", &["libm.so.6"]),
    ("pthread", &["libpthread.so.0"]),
    ("dl", &["libdl.so.2"]),
    ("rt", &["librt.so.1"]),
    ("util", &["libutil.so.1"]),
    ("gcc_s", &["libgcc_s.so.1"]),
];
/// Most files that linker scripts name, one after another.
const SCRIPTS_MAX: usize = 1000;
/// Most symbols named after a link that failed.
const SHOWN_MAX: usize = 8;

/// The result of the search for the libraries of a link.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Libraries {
    /// Those that are left out.
    pub left_out: Vec<OsString>,
    /// Folders to search before those that a compiler searches by default.
    pub folders: Vec<OsString>,
    /// The folder of the C library, to search after those that the arguments name.
    pub libc: Option<OsString>,
}

/// Finds the libraries of a link for a target. Those of `libc` are searched after the folders of the
/// arguments.
///
/// # Errors
///
/// If a compiler would take a library from a folder of the host.
pub fn find(
    tool: Tool,
    program: &Program,
    read: &Arguments,
    libc: Option<&Libc>,
) -> Result<Libraries, Diagnostic> {
    let mut libraries = Libraries::default();
    let own_libc = libc.filter(|_| read.mode == Mode::Link).map(|libc| libc.library.clone());
    libraries.libc = own_libc.clone().map(PathBuf::into_os_string);
    if read.linked != Linked::Target {
        return Ok(libraries);
    }
    if tool == Tool::Cc {
        // Otherwise a compiler would search its own folders before those that it passes on unread.
        libraries.folders.clone_from(&read.late_folders);
    }
    let mut own = None;
    let folders = read.folders.iter().map(|folder| resolved(folder, read.sysroot.as_deref()));
    let folders: Vec<PathBuf> = folders.chain(own_libc).collect();
    for library in &read.libraries {
        let file = file(library);
        let is_in = |folder: &Path| folder.join(&file).is_file();
        if let Some(folder) = folders.iter().find(|folder| is_in(folder)) {
            if tool == Tool::Cc {
                check_script(&folder.join(&file), &folders)?;
            }
            continue;
        }
        if tool == Tool::Cc {
            let own = own.get_or_insert_with(|| Own::of(program, read.sysroot.as_deref()));
            if let Some(folder) = own.sysroot.iter().find(|folder| is_in(folder)) {
                libraries.folders.push(folder.into());
                continue;
            }
            // A shared library in that folder belongs to the host: it needs a dynamic linker.
            let is_static = file.as_bytes().ends_with(b".a");
            if is_static && own.compiler.as_deref().is_some_and(is_in) {
                continue;
            }
        }
        if EMPTY.iter().any(|(empty, _)| stem(library) == empty.as_bytes()) {
            libraries.left_out.push(library.clone());
        } else if tool == Tool::Cc {
            return Err(not_found(library));
        }
    }
    Ok(libraries)
}

/// Checks that a library which is a linker script, or names one, leads to no folder of the host.
fn check_script(library: &Path, folders: &[PathBuf]) -> Result<(), Diagnostic> {
    let mut seen = BTreeSet::from([library.to_owned()]);
    let mut pending = vec![library.to_owned()];
    while let Some(script) = pending.pop() {
        for named in library_script::named(&script) {
            let (name, file) = match named {
                Named::Library(name) => (name.clone(), file(&name)),
                Named::File(name) => (name.clone(), name),
            };
            let beside = script.parent().map(Path::to_owned);
            let places = [PathBuf::new()].into_iter().chain(beside).chain(folders.iter().cloned());
            let mut places = places.map(|folder| folder.join(&file));
            let Some(found) = places.find(|place| place.is_file()) else {
                let note = format!("the linker script {} asks for it", path_text(&script));
                return Err(not_found(&name).with_note(note));
            };
            if seen.len() < SCRIPTS_MAX && seen.insert(found.clone()) {
                pending.push(found);
            }
        }
    }
    Ok(())
}

fn not_found(library: &OsStr) -> Diagnostic {
    let name = os_text(library);
    Diagnostic::error(codes::LIBRARY, format!("library {name} is in no folder of the link"))
        .with_note(
            "a unikernel has no libraries of the host, so the host's folders are not searched",
        )
        .with_help("with -L, name the folder of a library that was built for unikernels")
}

/// Name of the file that `-l` with `library` looks for in a static link.
fn file(library: &OsStr) -> OsString {
    if let Some(file) = library.as_bytes().strip_prefix(b":") {
        return OsStr::from_bytes(file).to_owned();
    }
    let mut file = OsString::from("lib");
    file.push(library);
    file.push(".a");
    file
}

/// `NAME` of a library that is given as `NAME`, `:libNAME.a` or `:libNAME.so.6`.
fn stem(library: &OsStr) -> &[u8] {
    let name = library.as_bytes();
    let Some(file) = name.strip_prefix(b":lib") else {
        return name;
    };
    file.split(|byte| *byte == b'.').next().unwrap_or(file)
}

/// A folder of `-L` as linkers read it: `=` and `$SYSROOT` stand for the sysroot.
fn resolved(folder: &OsStr, sysroot: Option<&OsStr>) -> PathBuf {
    let text = folder.as_bytes();
    let below = text.strip_prefix(b"=").or_else(|| text.strip_prefix(b"$SYSROOT"));
    match below {
        Some(below) => {
            let mut path = sysroot.unwrap_or_default().to_owned();
            path.push(OsStr::from_bytes(below));
            path.into()
        }
        None => folder.into(),
    }
}

/// Folders that a compiler searches by default.
struct Own {
    /// Where `libgcc.a` is.
    compiler: Option<PathBuf>,
    /// Those below the sysroot that the user named.
    sysroot: Vec<PathBuf>,
}

impl Own {
    fn of(program: &Program, sysroot: Option<&OsStr>) -> Own {
        let libgcc = tools::printed_path(program, "-print-libgcc-file-name");
        let compiler = libgcc.and_then(|file| file.parent().map(Path::to_owned));
        let below = |sysroot: &OsStr| {
            let mut option = OsString::from("--sysroot=");
            option.push(sysroot);
            let printed = tools::printed(program, &[option, "-print-search-dirs".into()])?;
            let mut lines = printed.split(|byte| *byte == b'\n');
            let folders = lines.find_map(|line| line.strip_prefix(b"libraries: ="))?;
            let folders = std::env::split_paths(OsStr::from_bytes(folders));
            Some(folders.filter(|folder| folder.starts_with(sysroot)).collect())
        };
        Own { compiler, sysroot: sysroot.and_then(below).unwrap_or_default() }
    }
}

/// The diagnostics for symbols that are undefined because no library of the host is linked: those that the
/// link names are left out, and no other is searched.
pub fn missed(
    compiler: &Program,
    left_out: &[OsString],
    undefined: &BTreeSet<String>,
) -> Vec<Diagnostic> {
    let names = left_out.iter().map(|name| format!("-l{}", os_text(name))).collect::<Vec<_>>();
    let named = names.join(" ");
    let host: Vec<(&str, BTreeSet<Vec<u8>>)> = EMPTY
        .iter()
        .flat_map(|(name, files)| files.iter().map(move |file| (*name, *file)))
        .filter_map(|(name, file)| Some((name, symbols(compiler, file)?)))
        .collect();
    let mut found = Vec::new();
    for symbol in undefined {
        let home = host.iter().find(|(_, symbols)| symbols.contains(symbol.as_bytes()));
        let text = match home {
            Some((library, _)) => {
                format!("`{symbol}` is from the host's library {library}, which is not linked")
            }
            // Without the host's files the symbol's library is unknown.
            None if host.is_empty() && !left_out.is_empty() => {
                format!(
                    "`{symbol}` is undefined, and libraries of the host are not linked: {named}"
                )
            }
            None => continue,
        };
        let note = match left_out {
            [] => "a unikernel is linked with no library but those that the link names".to_owned(),
            _ => format!("left out: {named}"),
        };
        found.push(
            Diagnostic::error(codes::HOST_SYMBOL, text)
                .with_note(note)
                .with_help("define it in the unikernel, or link a library that was built for one"),
        );
    }
    let more = found.len().saturating_sub(SHOWN_MAX);
    found.truncate(SHOWN_MAX);
    if more > 0
        && let Some(last) = found.pop()
    {
        found.push(last.with_note(format!("{more} more symbols are from the host's libraries")));
    }
    found
}

/// The symbols that a library of the host defines.
fn symbols(compiler: &Program, file: &str) -> Option<BTreeSet<Vec<u8>>> {
    let path = tools::printed_path(compiler, &format!("-print-file-name={file}"))?;
    let file = ReadCache::new(File::open(path).ok()?);
    if let Ok(archive) = ArchiveFile::parse(&file) {
        let index = archive.symbols().ok()??;
        return Some(index.filter_map(|symbol| Some(symbol.ok()?.name().to_vec())).collect());
    }
    let library = object::File::parse(&file).ok()?;
    // `is_definition` would leave out `strlen`, for example, whose type is `STT_GNU_IFUNC`: the dynamic
    // linker chooses the code that suits the processor.
    let defined = library.dynamic_symbols().filter(|symbol| !symbol.is_undefined());
    Some(defined.filter_map(|symbol| Some(symbol.name_bytes().ok()?.to_vec())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_is_known_however_it_is_written() {
        let cases = [("c", "c"), (":libc.a", "c"), (":libc.so.6", "c"), (":other.o", ":other.o")];
        for (library, name) in cases {
            assert_eq!(stem(OsStr::new(library)), name.as_bytes(), "{library}");
        }
        assert_eq!(file(OsStr::new("c")), "libc.a");
        assert_eq!(file(OsStr::new(":libc.so.6")), "libc.so.6");
    }

    #[test]
    fn folders_may_be_below_the_sysroot() {
        let sysroot = Some(OsStr::new("/root"));
        let cases = [("/lib", "/lib"), ("=/lib", "/root/lib"), ("$SYSROOT/lib", "/root/lib")];
        for (folder, expected) in cases {
            assert_eq!(resolved(OsStr::new(folder), sysroot), Path::new(expected));
        }
        assert_eq!(resolved(OsStr::new("=/lib"), None), Path::new("/lib"));
    }
}
