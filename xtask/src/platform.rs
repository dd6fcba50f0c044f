//! What builds the guest's side for each architecture: the Rust target and its flags, and the tools
//! for objects.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use solo5_abi::Arch;

use crate::Result;
use crate::run::{output, run};

/// What the Rust compiler needs to know of an architecture.
pub(crate) struct Platform {
    /// The target of the Rust compiler.
    pub(crate) triple: &'static str,
    /// Flags beside those of every architecture.
    ///
    /// * x86_64: no vector registers, since on some hosts KVM interprets guests and does not know them.
    ///   The CPU is one on which unaligned vectors are slow: for it the compiler copies and clears by
    ///   words. A test finds vector instructions that slip through.
    pub(crate) flags: &'static [&'static str],
}

impl Platform {
    /// The platform of `arch`, whose Rust library is then installed: `rustup` adds it if it is not.
    pub(crate) fn of(arch: Arch) -> Result<Platform> {
        let platform = match arch {
            Arch::X86_64 => {
                Platform { triple: "x86_64-unknown-linux-gnu", flags: &["-Ctarget-cpu=k8"] }
            }
            Arch::Aarch64 => Platform { triple: "aarch64-unknown-none", flags: &[] },
            // Rust has no target for it without a system, so this one is Linux's. Its CPU is POWER8,
            // the first with this byte order.
            Arch::Ppc64le => {
                Platform { triple: "powerpc64le-unknown-linux-gnu", flags: &["-Ctarget-cpu=pwr8"] }
            }
        };
        library(platform.triple)
            .map_err(|error| format!("bindings for {}: {error}", arch.name()))?;
        Ok(platform)
    }
}

/// Has Rust's library for `triple` added if it is missing.
///
/// # Errors
/// `rustup` cannot add it; the message says what it is.
pub(crate) fn library(triple: &str) -> Result<()> {
    if has_library(triple)? {
        return Ok(());
    }
    println!("adding the Rust library for {triple}");
    run(Command::new("rustup").args(["--quiet", "target", "add", triple]))
        .map_err(|error| format!("Rust has no library for {triple} here: {error}").into())
}

/// The tools for objects of an architecture.
pub(crate) struct Binutils {
    pub(crate) ld: String,
    /// Arguments without which `ld` does not know the architecture of an archive.
    pub(crate) ld_arguments: Vec<&'static str>,
    pub(crate) objcopy: String,
    pub(crate) nm: String,
}

impl Binutils {
    /// The host's tools for its own architecture. For another one Debian's cross tools, or else LLVM's,
    /// which work for all.
    pub(crate) fn of(arch: Arch) -> Result<Binutils> {
        if Arch::HOST == Some(arch) {
            return Ok(Binutils::gnu(""));
        }
        let triple = gnu_triple(arch);
        let candidates = [Binutils::gnu(&format!("{triple}-")), Binutils::llvm(arch)];
        candidates.into_iter().find(Binutils::is_there).ok_or_else(|| {
            let package = format!("binutils-{}", triple.replace('_', "-"));
            let text = format!(
                "bindings for {} need {triple}-ld, -objcopy and -nm (Debian: {package}), or ld.lld, \
                 llvm-objcopy and llvm-nm (Debian: lld, llvm)",
                arch.name()
            );
            text.into()
        })
    }

    fn gnu(prefix: &str) -> Binutils {
        Binutils {
            ld: format!("{prefix}ld"),
            ld_arguments: Vec::new(),
            objcopy: format!("{prefix}objcopy"),
            nm: format!("{prefix}nm"),
        }
    }

    /// LLVM's tools.
    pub(crate) fn llvm(arch: Arch) -> Binutils {
        let emulation = match arch {
            Arch::X86_64 => "elf_x86_64",
            Arch::Aarch64 => "aarch64linux",
            Arch::Ppc64le => "elf64lppc",
        };
        Binutils {
            ld: "ld.lld".to_owned(),
            ld_arguments: vec!["-m", emulation],
            objcopy: "llvm-objcopy".to_owned(),
            nm: "llvm-nm".to_owned(),
        }
    }

    pub(crate) fn is_there(&self) -> bool {
        [&self.ld, &self.objcopy, &self.nm].into_iter().all(|tool| find(tool).is_some())
    }
}

/// Whether the Rust compiler has the standard library for `triple`.
pub(crate) fn has_library(triple: &str) -> Result<bool> {
    let folder = output(rustc().args(["--print", "target-libdir", "--target", triple]))?;
    Ok(Path::new(String::from_utf8(folder)?.trim()).is_dir())
}

/// The Rust compiler.
pub(crate) fn rustc() -> Command {
    Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
}

/// The prefix of the Debian family's cross tools.
pub(crate) const fn gnu_triple(arch: Arch) -> &'static str {
    match arch {
        Arch::X86_64 => "x86_64-linux-gnu",
        Arch::Aarch64 => "aarch64-linux-gnu",
        Arch::Ppc64le => "powerpc64le-linux-gnu",
    }
}

/// The program that a shell would run for `name`.
pub(crate) fn find(name: impl AsRef<OsStr>) -> Option<PathBuf> {
    let folders = env::var_os("PATH")?;
    env::split_paths(&folders).map(|folder| folder.join(name.as_ref())).find(|it| it.is_file())
}
