//! A C library that was built for unikernels: `-z solo5-libc=NAME`.
//!
//! It is installed beside the bindings, in `lib/TRIPLE/NAME`: its headers in `include`, its archives
//! in `lib`. They serve every target, because the library reaches the target through the bindings.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use solo5_report::{Diagnostic, os_text};

use crate::arguments::{Arguments, Mode};
use crate::codes;
use crate::name::{Identity, Tool};

/// An installed C library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Libc {
    /// Its headers.
    pub include: PathBuf,
    /// Its archives.
    pub library: PathBuf,
}

impl Libc {
    fn in_folder(folder: &Path) -> Libc {
        Libc { include: folder.join("include"), library: folder.join("lib") }
    }

    /// What makes the headers of the host's C++ library, which was built for another C library, fit.
    pub fn plus_plus(&self) -> PathBuf {
        self.include.join("solo5-libstdc++.h")
    }

    fn is_there(&self) -> bool {
        self.include.is_dir() && self.library.join("libc.a").is_file()
    }

    /// What a link ends with: the archives of the library, and the compiler's own, which need each
    /// other.
    pub fn link(&self, identity: &Identity, read: &Arguments) -> Vec<OsString> {
        if read.mode != Mode::Link {
            return Vec::new();
        }
        match identity.tool {
            Tool::Cc => {
                // The first one makes the table that C++ and Rust unwind with. Files that are linked as they are
                // do not say that they need no executable stack.
                let options =
                    ["-Wl,--eh-frame-hdr,-z,noexecstack", "-Wl,--start-group"].into_iter();
                let plus_plus = identity.plus_plus.then_some("-lstdc++");
                let libraries = plus_plus.into_iter().chain(["-lc", "-lgcc", "-lgcc_eh"]);
                options.chain(libraries).chain(["-Wl,--end-group"]).map(OsString::from).collect()
            }
            // A linker does not know where the compiler's are.
            Tool::Ld | Tool::Objcopy => {
                ["--eh-frame-hdr", "-z", "noexecstack", "-lc"].map(OsString::from).into()
            }
        }
    }
}

/// The C library that was asked for.
///
/// # Errors
///
/// If it is not installed in `library`.
pub fn named(read: &Arguments, library: &Path) -> Result<Option<Libc>, Diagnostic> {
    let Some(name) = &read.libc else {
        return Ok(None);
    };
    // A name outside the list never becomes part of a path.
    let installed = installed(library);
    if let Some(known) = installed.iter().find(|known| name == known.as_str()) {
        return Ok(Some(Libc::in_folder(&library.join(known))));
    }
    let text = format!("unknown C library '{}'", os_text(name));
    let help = if installed.is_empty() {
        "none is installed; in the sources, `cargo xtask libc` builds one".to_owned()
    } else {
        format!("installed are {}", installed.join(", "))
    };
    Err(Diagnostic::error(codes::UNKNOWN_LIBC, text).with_help(help))
}

/// Names of the C libraries in `library`, sorted.
fn installed(library: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(library)
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let name = entry.file_name().into_string().ok()?;
            Libc::in_folder(&entry.path()).is_there().then_some(name)
        })
        .collect();
    names.sort();
    names
}
