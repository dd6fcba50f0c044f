//! The staged tree under test, laid out as an installed Solo5 (`docs/reference/toolchain.md#tree`).

use std::path::{Path, PathBuf};

use crate::outcome::{Outcome, Stop};

/// The architecture of this machine, as Solo5 spells it.
pub const ARCH: &str = if cfg!(target_arch = "powerpc64") {
    "ppc64le"
} else if cfg!(target_arch = "aarch64") {
    "aarch64"
} else {
    "x86_64"
};

/// This machine's architecture as names of directories and programs have it.
pub const TRIPLE: &str = if cfg!(target_arch = "powerpc64") {
    "ppc64le-solo5-none-static"
} else if cfg!(target_arch = "aarch64") {
    "aarch64-solo5-none-static"
} else {
    "x86_64-solo5-none-static"
};

/// An installed Solo5: `bin`, `include` and `lib` below one directory.
#[derive(Clone, Debug)]
pub struct Tree {
    prefix: PathBuf,
    /// `ARCH-solo5-none-static`, for which its tools make unikernels.
    triple: String,
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
        Self::open(&prefix, TRIPLE, &["solo5-spt"])
    }

    /// The tools in `prefix` that make unikernels for `arch`, which may be another machine's.
    ///
    /// # Errors
    /// A tool is missing.
    pub fn toolchain(prefix: &Path, arch: &str) -> Outcome<Self> {
        Self::open(prefix, &format!("{arch}-solo5-none-static"), &[])
    }

    /// Another tree, which need not have every file of ours.
    #[must_use]
    pub fn installed(prefix: &Path) -> Option<Self> {
        let bin = prefix.join("bin").canonicalize().ok()?;
        let prefix = bin.parent()?.to_owned();
        Some(Self { prefix, triple: TRIPLE.to_owned() })
    }

    /// Accepts `prefix` as a tree with these tenders.
    fn open(prefix: &Path, triple: &str, tenders: &[&str]) -> Outcome<Self> {
        let prefix = prefix.canonicalize().unwrap_or_else(|_| prefix.to_owned());
        let tree = Self { prefix, triple: triple.to_owned() };
        let mut needed = vec![
            tree.program("solo5-elftool"),
            tree.program("solo5-mft"),
            tree.cc(),
            tree.include().join("solo5/solo5.h"),
            tree.lib().join("solo5_spt.o"),
            tree.lib().join("solo5_stub.o"),
        ];
        needed.extend(tenders.iter().map(|tender| tree.program(tender)));
        match needed.into_iter().find(|path| !path.exists()) {
            Some(missing) => Err(Stop::Fail(format!(
                "no staged tree to test: {} is missing; run `cargo xtask build`, or name another \
                 tree with SOLO5_PREFIX",
                missing.display()
            ))),
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

    /// The architecture of the unikernels that its tools make.
    #[must_use]
    pub fn arch(&self) -> &str {
        self.triple.split_once('-').map_or("", |(arch, _)| arch)
    }

    /// The compiler wrapper.
    #[must_use]
    pub fn cc(&self) -> PathBuf {
        self.program(&format!("{}-cc", self.triple))
    }

    /// The linker wrapper.
    #[must_use]
    pub fn ld(&self) -> PathBuf {
        self.program(&format!("{}-ld", self.triple))
    }

    /// `include`, with `solo5` and the compiler's headers below it.
    #[must_use]
    pub fn include(&self) -> PathBuf {
        self.prefix.join("include")
    }

    /// The directory of bindings and linker scripts.
    #[must_use]
    pub fn lib(&self) -> PathBuf {
        self.prefix.join("lib").join(&self.triple)
    }
}

/// The root of this repository.
#[must_use]
pub fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}
