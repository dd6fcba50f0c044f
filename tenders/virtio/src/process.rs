//! QEMU's process: started with nothing but what it needs, and watched until it ends.

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
use solo5_tender::process::{self, Pid, Signals, WaitStatus};
use solo5_tender::signals::kinds::{Kind, kind};
use solo5_tender::start::host;
use solo5_tender::sys::Errno;
use solo5_tender::sys::descriptors::close_all_but;

/// Status of a child that could not become QEMU. Nobody sees it: the error is in a pipe.
const NOT_STARTED: i32 = 127;

/// A running QEMU.
pub struct Running {
    child: Pid,
    blocked: Signals,
}

/// How QEMU ended.
#[derive(Clone, Copy, Debug)]
pub enum Ended {
    /// By itself, or by a signal that this program had no part in.
    Itself(WaitStatus),
    /// Because this signal ends this program.
    Asked(i32),
}

/// What QEMU inherits.
#[derive(Debug)]
pub struct Inherits {
    /// Its standard output.
    pub console: OwnedFd,
    /// The write end of the pipe for the guest's status.
    pub status: OwnedFd,
    /// Further descriptors, by number.
    pub keep: Vec<RawFd>,
}

/// Starts `program`, which the kernel kills when this program ends. From now on signals to this
/// program wait for [`Running::wait`].
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
        Err(_) => Ok(Running { child, blocked }),
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
        keep.push(inherits.status.as_raw_fd());
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

impl Running {
    /// Waits until QEMU has ended. A signal that would end this program ends QEMU at once: a guest's
    /// disks are as after any other end, because QEMU keeps nothing back that was written.
    ///
    /// # Errors
    ///
    /// A system call failed.
    pub fn wait(&self) -> Result<Ended, Error> {
        let failed = host("waiting for QEMU");
        let mut asked = None;
        loop {
            let signal = process::next_signal(&self.blocked).map_err(&failed)?;
            if process::is_about_children(signal) {
                while let Some(status) = process::ended(self.child).map_err(&failed)? {
                    if !status.stopped() {
                        return Ok(asked.map_or(Ended::Itself(status), Ended::Asked));
                    }
                }
            } else if kind(signal) == Kind::Ending {
                asked.get_or_insert(signal);
                process::forward(self.child, libc::SIGKILL);
            }
        }
    }
}
