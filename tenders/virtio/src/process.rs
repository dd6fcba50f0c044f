//! QEMU's process, started with nothing but what it needs.

use std::ffi::{CString, OsString};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::pipe::{PipeFlags, pipe_with};
use solo5_report::os_text;
use solo5_tender::confine;
use solo5_tender::error::Error;
use solo5_tender::process::{self, Pid, SignalSource, Signals};
use solo5_tender::start::host;
use solo5_tender::sys::Errno;
use solo5_tender::sys::descriptors::close_all_but;

/// Status of a child that could not become QEMU. Nobody sees it: the error is in a pipe.
const NOT_STARTED: i32 = 127;

/// A running QEMU.
#[derive(Debug)]
pub struct Running {
    /// Its process.
    pub child: Pid,
    /// Signals to this program.
    pub signals: SignalSource,
}

/// What QEMU inherits.
#[derive(Debug)]
pub struct Inherits {
    /// Its standard output.
    pub console: OwnedFd,
    /// The write end of the pipe for the guest's status.
    pub status: OwnedFd,
    /// QEMU's end of the monitor.
    pub monitor: OwnedFd,
    /// Further descriptors, by number.
    pub keep: Vec<RawFd>,
}

/// Starts `program`, which the kernel kills when this program ends. From now on signals to this
/// program wait to be taken from [`Running::signals`].
///
/// # Errors
///
/// The program cannot be executed, or a system call failed.
pub fn start(program: &Path, words: Vec<OsString>, inherits: Inherits) -> Result<Running, Error> {
    let c_string = |word: OsString| CString::new(word.into_vec()).ok();
    // No argument of a program contains a zero byte, nor does anything made of arguments.
    let unfit = || host("execve()")(Errno::INVAL);
    let path = c_string(program.as_os_str().to_owned()).ok_or_else(unfit)?;
    let name = std::iter::once(program.as_os_str().to_owned());
    let words: Option<Vec<CString>> = name.chain(words).map(c_string).collect();
    let words = words.ok_or_else(unfit)?;
    let null = rustix::fs::open(c"/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    let null = null.map_err(host("opening /dev/null"))?;
    let (failure, failed) = pipe_with(PipeFlags::CLOEXEC).map_err(host("pipe2()"))?;
    let (blocked, before) = process::block_signals().map_err(host("sigprocmask()"))?;
    let signals = SignalSource::of(&blocked).map_err(host("signalfd()"))?;
    // QEMU handles even signals that it was started to ignore, so they are blocked for it.
    let before = process::with_ignored(&before).map_err(host("sigaddset()"))?;
    let Some(child) = process::fork().map_err(host("fork()"))? else {
        drop(failure);
        let error = become_program(&path, &words, &null, &inherits, &failed, &before);
        let _ = rustix::io::write(&failed, &error.raw_os_error().to_ne_bytes());
        std::process::exit(NOT_STARTED);
    };
    drop((inherits, failed));
    let mut number = [0; 4];
    match File::from(failure).read_exact(&mut number) {
        // The pipe was closed by executing the program.
        Err(_) => Ok(Running { child, signals }),
        Ok(()) => Err(Error::QemuStart {
            program: os_text(program.as_os_str()).into_owned(),
            error: Errno::from_raw_os_error(i32::from_ne_bytes(number)),
        }),
    }
}

/// Turns the child into the program. Returns only on failure.
fn become_program(
    path: &CString,
    words: &[CString],
    null: &OwnedFd,
    inherits: &Inherits,
    failed: &OwnedFd,
    before: &Signals,
) -> Errno {
    let prepared = || -> Result<(), Errno> {
        process::restore_signals(before)?;
        rustix::stdio::dup2_stdin(null)?;
        rustix::stdio::dup2_stdout(&inherits.console)?;
        confine::capabilities()?;
        confine::no_new_privileges()?;
        let mut keep = inherits.keep.clone();
        keep.extend([inherits.status.as_raw_fd(), inherits.monitor.as_raw_fd()]);
        for fd in &keep {
            // SAFETY: the caller holds every descriptor that it lets QEMU inherit.
            let fd = unsafe { BorrowedFd::borrow_raw(*fd) };
            fcntl_setfd(fd, FdFlags::empty())?;
        }
        keep.push(failed.as_raw_fd());
        // SAFETY: this process only executes the program or exits; neither uses another descriptor.
        unsafe { close_all_but(&mut keep) }
    };
    if let Err(error) = prepared() {
        return error;
    }
    let pointers = words.iter().map(|word| word.as_ptr());
    let pointers: Vec<_> = pointers.chain([std::ptr::null()]).collect();
    // SAFETY: terminated strings, and an array of such with a null pointer at its end.
    unsafe { libc::execv(path.as_ptr(), pointers.as_ptr()) };
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::NOEXEC)
}
