//! The QEMU of this host: where it is, its version, and whether it can confine itself.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Access, access};
use rustix::io::retry_on_intr;
use solo5_abi::Arch;
use solo5_report::os_text;
use solo5_tender::error::Error;
use solo5_tender::sys::Errno;

/// Where distributions that do not ship the one for their own machines under its name have it.
const ELSEWHERE: &str = "/usr/libexec/qemu-kvm";
/// The first version with every option that is used here: microvm came with it.
const LEAST: [u32; 2] = [4, 2];
/// Most bytes of its answer that are read.
const ANSWER_MAX: usize = 4096;
/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A QEMU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Qemu {
    /// The program.
    pub path: PathBuf,
    /// Whether it was built with its system call filter.
    pub sandbox: bool,
}

/// The program's name, and the package of Debian that has it.
pub const fn name(arch: Arch) -> (&'static str, &'static str) {
    match arch {
        Arch::X86_64 => ("qemu-system-x86_64", "qemu-system-x86"),
        Arch::Aarch64 => ("qemu-system-aarch64", "qemu-system-arm"),
        Arch::Ppc64le => ("qemu-system-ppc64", "qemu-system-ppc"),
    }
}

/// The QEMU of this host for machines of `arch`. Asked once: a launch is of one architecture.
///
/// # Errors
///
/// There is none, or it is too old.
pub fn find(arch: Arch) -> Result<Qemu, Error> {
    static FOUND: OnceLock<Result<Qemu, Error>> = OnceLock::new();
    let (program, package) = name(arch);
    let missing = Error::QemuMissing { program, package };
    let search = || look_up(arch, std::env::var_os("PATH")).ok_or(missing);
    FOUND.get_or_init(|| examine(search()?)).clone()
}

/// The first executable file of this name in `path`.
fn look_up(arch: Arch, path: Option<OsString>) -> Option<PathBuf> {
    let (program, _) = name(arch);
    let elsewhere = (Arch::HOST == Some(arch)).then(|| PathBuf::from(ELSEWHERE));
    let folders = path.unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    let named = folders.as_bytes().split(|byte| *byte == b':').map(|folder| {
        // An empty part is the current folder.
        let folder = if folder.is_empty() { b"." } else { folder };
        Path::new(OsStr::from_bytes(folder)).join(program)
    });
    let is_program = |path: &PathBuf| path.is_file() && access(path, Access::EXEC_OK).is_ok();
    named.chain(elsewhere).find(is_program)
}

/// Asks the program for its version, with its filter switched on. A QEMU that was built without one
/// refuses the option, and is asked again.
fn examine(path: PathBuf) -> Result<Qemu, Error> {
    let program = || os_text(path.as_os_str()).into_owned();
    let unfit = |version: String| Error::QemuOld { program: program(), version };
    let ask = |arguments: &[&str]| match answer(&path, arguments)? {
        Answer::Text(text) => Ok(text),
        Answer::Late => {
            Err(unfit(format!("a program that tells no version within {} s", PATIENCE.as_secs())))
        }
    };
    let with = ask(&["-sandbox", "on", "-version"])?;
    let sandbox = version(&with).is_some();
    let text = if sandbox { with } else { ask(&["-version"])? };
    match version(&text) {
        Some(found) if found >= LEAST => Ok(Qemu { path, sandbox }),
        Some([major, minor]) => Err(unfit(format!("version {major}.{minor}"))),
        None => Err(unfit("a program that tells no version".into())),
    }
}

/// What a program prints.
enum Answer {
    /// All of it, or as much as tells the version.
    Text(String),
    /// It went on printing, or nothing, for [`PATIENCE`].
    Late,
}

/// What the program prints, at most [`ANSWER_MAX`] bytes. Then it is ended.
fn answer(path: &Path, arguments: &[&str]) -> Result<Answer, Error> {
    let failed = |error: std::io::Error| Error::QemuStart {
        program: os_text(path.as_os_str()).into_owned(),
        error: Errno::from_io_error(&error).unwrap_or(Errno::IO),
    };
    let mut command = Command::new(path);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(failed)?;
    let answer = child.stdout.take().map(|out| read_in_time(out, Instant::now() + PATIENCE));
    // It may have ended by itself.
    let _ = child.kill();
    child.wait().map_err(failed)?;
    answer.unwrap_or(Ok(Answer::Text(String::new()))).map_err(failed)
}

/// Reads until the line with the version is complete, or the end.
fn read_in_time(mut out: ChildStdout, end: Instant) -> std::io::Result<Answer> {
    let (mut text, mut chunk) = (String::new(), [0; ANSWER_MAX]);
    while text.len() < ANSWER_MAX {
        let left = end.saturating_duration_since(Instant::now());
        let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        let mut polled = [PollFd::from_borrowed_fd(out.as_fd(), PollFlags::IN)];
        if retry_on_intr(|| poll(&mut polled, Some(&left)))? == 0 {
            return Ok(Answer::Late);
        }
        let count = out.read(&mut chunk)?;
        text.push_str(&String::from_utf8_lossy(chunk.get(..count).unwrap_or_default()));
        let is_told = text.split_once("version ").is_some_and(|(_, rest)| rest.contains('\n'));
        if count == 0 || is_told {
            break;
        }
    }
    Ok(Answer::Text(text))
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
