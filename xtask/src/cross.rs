//! What programs are compiled and linked with, for this machine's architecture or another one.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use solo5_abi::Arch;

use crate::Result;
use crate::platform::{find, gnu_triple, has_library, library, rustc};
use crate::run::{output, run};

/// A compiler of static programs for one architecture.
#[derive(Clone, Debug)]
pub(crate) struct Compiler {
    /// The target of the Rust compiler.
    pub(crate) triple: String,
    /// Flags that choose the linker, if the Rust compiler's own choice is not the right one.
    linker: Option<String>,
}

/// How programs for an architecture are made on a machine of another one.
struct Cross {
    triple: &'static str,
    linker: &'static str,
    /// The linker's argument for programs that are not position-independent: Rust does not link static programs that are, except on
    /// x86_64. A tender may not lie where the guest's memory belongs, which begins at the lowest address.
    high: &'static [&'static str],
    /// Files that linking needs besides, or programs, and the package of Debian that has each.
    needs: &'static [(&'static str, &'static str)],
}

impl Cross {
    const fn of(arch: Arch) -> Cross {
        match arch {
            // With musl everything that is linked comes with Rust, and so does the linker.
            Arch::X86_64 => Cross {
                triple: "x86_64-unknown-linux-musl",
                linker: "rust-lld",
                high: &[],
                needs: &[],
            },
            Arch::Aarch64 => Cross {
                triple: "aarch64-unknown-linux-musl",
                linker: "rust-lld",
                // The C library's start asks for the address of something that only position-independent programs have.
                high: &["--image-base=0x5500000000", "--defsym=_DYNAMIC=__ehdr_start"],
                needs: &[],
            },
            // Rust is not published with musl for it.
            Arch::Ppc64le => Cross {
                triple: "powerpc64le-unknown-linux-gnu",
                linker: "powerpc64le-linux-gnu-gcc",
                high: &["-Wl,-Ttext-segment=0x5500000000"],
                needs: &[
                    ("powerpc64le-linux-gnu-gcc", "gcc-powerpc64le-linux-gnu"),
                    ("/usr/powerpc64le-linux-gnu/lib/libc.a", "libc6-dev-ppc64el-cross"),
                ],
            },
        }
    }
}

impl Compiler {
    /// The compiler for `arch`. Adds Rust's library for it, if `rustup` can.
    ///
    /// # Errors
    /// Something is missing; the message says what, and how to get it.
    pub(crate) fn of(arch: Arch) -> Result<Compiler> {
        if Arch::HOST == Some(arch) {
            return Ok(Compiler { triple: program_triple()?, linker: None });
        }
        let cross = Cross::of(arch);
        library(cross.triple)?;
        present(arch, cross.needs)?;
        let mut linker = format!("-Clinker={}", cross.linker);
        for argument in cross.high {
            linker += &format!("\x1f-Clink-arg={argument}");
        }
        Ok(Compiler { triple: cross.triple.to_owned(), linker: Some(linker) })
    }

    /// Has `cargo` make static programs with it and with `flags`, which are in the form of
    /// `CARGO_ENCODED_RUSTFLAGS`.
    pub(crate) fn compile_with<'a>(&self, cargo: &'a mut Command, flags: &str) -> &'a mut Command {
        if self.linker.is_some() {
            // Nobody debugs them here.
            cargo.env("CARGO_PROFILE_DEV_DEBUG", "0");
        }
        let flags = [Some(flags), self.linker.as_deref()].into_iter().flatten();
        let flags = flags.collect::<Vec<_>>().join("\x1f");
        cargo.args(["--target", &self.triple]).env("CARGO_ENCODED_RUSTFLAGS", flags)
    }
}

/// The tool `name` of binutils for files of `arch`: this machine's own, or Debian's cross tool.
pub(crate) fn binutils(arch: Arch, name: &str) -> String {
    if Arch::HOST == Some(arch) { name.to_owned() } else { format!("{}-{name}", gnu_triple(arch)) }
}

/// Refuses if a file or program of `needs` is missing.
fn present(arch: Arch, needs: &[(&str, &str)]) -> Result<()> {
    let missing =
        needs.iter().filter(|(file, _)| !Path::new(file).exists() && find(file).is_none());
    let (files, packages): (Vec<&str>, Vec<&str>) = missing.copied().unzip();
    if files.is_empty() {
        return Ok(());
    }
    let (arch, files, packages) = (arch.name(), files.join(", "), packages.join(" "));
    Err(format!(
        "programs for {arch} cannot be linked without {files}: `apt-get install {packages}`"
    )
    .into())
}

/// The target of programs that are linked statically: the host with musl if its Rust library is
/// installed or `rustup` can add it, else the host itself.
///
/// At start, glibc asks the CPU about all its caches. In a virtual machine the hypervisor answers each
/// of these CPUID instructions, and together they take as long as the rest of the start.
fn program_triple() -> Result<String> {
    // Cached: the answer is used several times, and `rustup` is slow if it fails.
    static TRIPLE: OnceLock<String> = OnceLock::new();
    if let Some(triple) = TRIPLE.get() {
        return Ok(triple.clone());
    }
    let triple = find_program_triple()?;
    Ok(TRIPLE.get_or_init(|| triple).clone())
}

fn find_program_triple() -> Result<String> {
    let host = host_triple()?;
    let musl = host.replace("-linux-gnu", "-linux-musl");
    if !has_library(&musl)? {
        println!("adding the Rust library for {musl}");
        let added = run(Command::new("rustup").args(["--quiet", "target", "add", &musl]));
        if let Err(error) = added {
            println!("{error}");
            println!("programs are linked with this machine's C library instead, and start slower");
            return Ok(host);
        }
    }
    Ok(musl)
}

/// The host target of the Rust compiler.
pub(crate) fn host_triple() -> Result<String> {
    let text = String::from_utf8(output(rustc().arg("-vV"))?)?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.ok_or("rustc -vV names no host")?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said_with_the_command_that_brings_it() {
        let needs = [("sh", "dash"), ("no-such-gcc", "gcc-no-such"), ("/no/libc.a", "libc-no")];
        let error = present(Arch::Ppc64le, &needs).unwrap_err().to_string();
        assert!(
            error.contains("ppc64le cannot be linked without no-such-gcc, /no/libc.a"),
            "{error}"
        );
        assert!(error.ends_with("`apt-get install gcc-no-such libc-no`"), "{error}");
        assert!(present(Arch::Ppc64le, &needs[..1]).is_ok());
    }
}
