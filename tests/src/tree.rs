//! The staged tree under test, laid out as an installed Solo5 (`docs/reference/toolchain.md#tree`).

use std::path::{Path, PathBuf};

use crate::outcome::{Outcome, Stop};

/// The architecture the tree is for, as its directory and program names spell it.
pub const TRIPLE: &str = "x86_64-solo5-none-static";

/// An installed Solo5: `bin`, `include` and `lib` below one directory.
#[derive(Clone, Debug)]
pub struct Tree {
    prefix: PathBuf,
}

impl Tree {
    /// The tree under test: `SOLO5_PREFIX`, or `target/solo5` of this repository.
    ///
    /// # Errors
    /// There is none, and the message says how to make it.
    pub fn staged() -> Outcome<Self> {
        let prefix = match std::env::var_os("SOLO5_PREFIX") {
            Some(prefix) => PathBuf::from(prefix),
            None => repository().join("target/solo5"),
        };
        Self::open(&prefix).map_err(|missing| {
            Stop::Fail(format!(
                "no staged tree to test: {} is missing; run `cargo xtask build`, or name another \
                 tree with SOLO5_PREFIX",
                missing.display()
            ))
        })
    }

    /// Another tree, which need not have every file of ours.
    #[must_use]
    pub fn installed(prefix: &Path) -> Option<Self> {
        let bin = prefix.join("bin").canonicalize().ok()?;
        let prefix = bin.parent()?.to_owned();
        Some(Self { prefix })
    }

    /// Accepts `prefix` as a tree, or says which of its files is missing.
    fn open(prefix: &Path) -> Result<Self, PathBuf> {
        let prefix = prefix.canonicalize().map_err(|_| prefix.to_owned())?;
        let tree = Self { prefix };
        let needed = [
            tree.program("solo5-elftool"),
            tree.program("solo5-mft"),
            tree.program("solo5-spt"),
            tree.cc(),
            tree.include().join("solo5/solo5.h"),
            tree.lib().join("solo5_spt.o"),
            tree.lib().join("solo5_stub.o"),
        ];
        match needed.into_iter().find(|path| !path.exists()) {
            Some(missing) => Err(missing),
            None => Ok(tree),
        }
    }

    /// The directory above `bin`.
    #[must_use]
    pub fn prefix(&self) -> &Path {
        &self.prefix
    }

    /// `bin/NAME`.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.prefix.join("bin").join(name)
    }

    /// The compiler wrapper.
    #[must_use]
    pub fn cc(&self) -> PathBuf {
        self.program(&format!("{TRIPLE}-cc"))
    }

    /// The linker wrapper.
    #[must_use]
    pub fn ld(&self) -> PathBuf {
        self.program(&format!("{TRIPLE}-ld"))
    }

    /// `include`, with `solo5` and the compiler's headers below it.
    #[must_use]
    pub fn include(&self) -> PathBuf {
        self.prefix.join("include")
    }

    /// The directory of bindings and linker scripts.
    #[must_use]
    pub fn lib(&self) -> PathBuf {
        self.prefix.join("lib").join(TRIPLE)
    }
}

/// The root of this repository.
#[must_use]
pub fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}
