//! The QEMU of this host: where it is, its version, and whether it can confine itself.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use rustix::fs::{Access, access};
use solo5_report::os_text;
use solo5_tender::error::Error;
use solo5_tender::sys::Errno;

/// The program's name.
pub const NAME: &str = "qemu-system-x86_64";
/// Where distributions that do not ship it under that name have it.
const ELSEWHERE: &str = "/usr/libexec/qemu-kvm";
/// The first version with every option that is used here: microvm came with it.
const LEAST: [u32; 2] = [4, 2];
/// Most bytes of its answer that are read.
const ANSWER_MAX: u64 = 4096;

/// A QEMU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Qemu {
    /// The program.
    pub path: PathBuf,
    /// Whether it was built with its system call filter.
    pub sandbox: bool,
}

/// The QEMU of this host. Asked once.
///
/// # Errors
///
/// There is none, or it is too old.
pub fn find() -> Result<Qemu, Error> {
    static FOUND: OnceLock<Result<Qemu, Error>> = OnceLock::new();
    FOUND
        .get_or_init(|| examine(look_up(std::env::var_os("PATH")).ok_or(Error::QemuMissing)?))
        .clone()
}

/// The first executable file of this name in `path`.
fn look_up(path: Option<OsString>) -> Option<PathBuf> {
    let folders = path.unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    let named = folders.as_bytes().split(|byte| *byte == b':').map(|folder| {
        // An empty part is the current folder.
        let folder = if folder.is_empty() { b"." } else { folder };
        Path::new(OsStr::from_bytes(folder)).join(NAME)
    });
    let is_program = |path: &PathBuf| path.is_file() && access(path, Access::EXEC_OK).is_ok();
    named.chain([PathBuf::from(ELSEWHERE)]).find(is_program)
}

/// Asks the program for its version, with its filter switched on. A QEMU that was built without one
/// refuses the option, and is asked again.
fn examine(path: PathBuf) -> Result<Qemu, Error> {
    let with = answer(&path, &["-sandbox", "on", "-version"])?;
    let sandbox = version(&with).is_some();
    let text = if sandbox { with } else { answer(&path, &["-version"])? };
    let program = os_text(path.as_os_str()).into_owned();
    match version(&text) {
        Some(found) if found >= LEAST => Ok(Qemu { path, sandbox }),
        Some([major, minor]) => {
            Err(Error::QemuOld { program, version: format!("version {major}.{minor}") })
        }
        None => Err(Error::QemuOld { program, version: "a program that tells no version".into() }),
    }
}

/// What the program prints, at most [`ANSWER_MAX`] bytes.
fn answer(path: &Path, arguments: &[&str]) -> Result<String, Error> {
    let failed = |error: std::io::Error| Error::QemuStart {
        program: os_text(path.as_os_str()).into_owned(),
        error: Errno::from_io_error(&error).unwrap_or(Errno::IO),
    };
    let mut command = Command::new(path);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(failed)?;
    let mut text = Vec::new();
    if let Some(out) = child.stdout.take() {
        out.take(ANSWER_MAX).read_to_end(&mut text).map_err(failed)?;
    }
    child.wait().map_err(failed)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// The version in `QEMU emulator version 7.2.22 (Debian …)`.
fn version(text: &str) -> Option<[u32; 2]> {
    let (_, rest) = text.split_once("version ")?;
    let word = rest.split(|c: char| c != '.' && !c.is_ascii_digit()).next()?;
    let mut numbers = word.split('.').map(str::parse);
    Some([numbers.next()?.ok()?, numbers.next()?.ok()?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_distributions_write_them() {
        for (text, found) in [
            (
                "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)\nCopyright",
                Some([7, 2]),
            ),
            ("QEMU emulator version 10.0.0-rc1\n", Some([10, 0])),
            ("QEMU emulator version 4.2-dirty\n", Some([4, 2])),
            ("QEMU emulator version 4\n", None),
            ("version 99999999999.1", None),
            ("", None),
        ] {
            assert_eq!(version(text), found, "{text}");
        }
        assert!([10, 0] > LEAST && [4, 1] < LEAST);
    }
}
