//! Signals: the two that end a tender say so; a console that goes away ends nothing.

use std::ffi::CString;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicUsize, Ordering};

use solo5_tender::error::EXIT_CANNOT;
use solo5_tender::signals::install;
use solo5_tender::sys::Errno;

/// The line for each signal, made beforehand: a handler must not format or allocate. Pointer and
/// length are set before any handler is installed.
struct Line(AtomicPtr<u8>, AtomicUsize);

static LINES: [(libc::c_int, Line); 2] = [
    (libc::SIGINT, Line(AtomicPtr::new(std::ptr::null_mut()), AtomicUsize::new(0))),
    (libc::SIGTERM, Line(AtomicPtr::new(std::ptr::null_mut()), AtomicUsize::new(0))),
];

/// Where `--report` is written to, or -1.
static REPORT: AtomicI32 = AtomicI32::new(-1);

const REPORTED: &str = "{\"outcome\":\"signal\",\"status\":1,\"reasons\":[]}\n";

/// A file that is removed unless something was written to it: its directory and its name.
static FILE: (AtomicI32, AtomicPtr<libc::c_char>) =
    (AtomicI32::new(-1), AtomicPtr::new(std::ptr::null_mut()));

/// From now on [`remove_file`] removes the file called `name` in `directory`, also when a signal
/// ends the tender.
pub fn remove_unless_kept(directory: RawFd, name: CString) {
    FILE.1.store(name.into_raw(), Ordering::Release);
    FILE.0.store(directory, Ordering::Release);
}

/// Keeps the file.
pub fn keep_file() {
    FILE.0.store(-1, Ordering::Release);
}

/// Removes the file, if there is one that is not kept.
pub fn remove_file() {
    let directory = FILE.0.load(Ordering::Acquire);
    if directory >= 0 {
        // SAFETY: a leaked string with a terminator, set before the directory was; `unlinkat` may be
        // called in a handler.
        unsafe { libc::unlinkat(directory, FILE.1.load(Ordering::Acquire), 0) };
    }
}

extern "C" fn ended(signal: libc::c_int) {
    let found = LINES.iter().find(|(number, _)| *number == signal);
    if let Some((_, Line(text, length))) = found {
        let (text, length) = (text.load(Ordering::Acquire), length.load(Ordering::Acquire));
        // SAFETY: a leaked text and its length; `write` may be called in a handler.
        unsafe { libc::write(2, text.cast(), length) };
    }
    let report = REPORT.load(Ordering::Acquire);
    if report >= 0 {
        // SAFETY: a constant and its length.
        unsafe { libc::write(report, REPORTED.as_ptr().cast(), REPORTED.len()) };
    }
    remove_file();
    // SAFETY: it may be called in a handler, and runs nothing of this program's.
    unsafe { libc::_exit(EXIT_CANNOT.into()) }
}

/// From now on SIGINT and SIGTERM end the tender with upstream's line and status 1, and SIGPIPE
/// nothing.
pub fn handle(program: &str, report: Option<RawFd>) -> Result<(), Errno> {
    REPORT.store(report.unwrap_or(-1), Ordering::Release);
    for (signal, Line(text, length)) in &LINES {
        let line = format!("{program}: Exiting on signal {signal}\n").leak();
        length.store(line.len(), Ordering::Release);
        text.store(line.as_mut_ptr(), Ordering::Release);
        let handler: extern "C" fn(libc::c_int) = ended;
        install(*signal, handler as libc::sighandler_t)?;
    }
    install(libc::SIGPIPE, libc::SIG_IGN)
}

/// Leaves signals to the other thread: blocks all of them in this one.
pub fn leave_to_others() -> Result<(), Errno> {
    // SAFETY: a signal set is plain bits, so all zero is a value.
    let mut all: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: the call fills in the set it is given.
    unsafe { libc::sigfillset(&mut all) };
    // SAFETY: the set is initialised and only read; the old one is not asked for.
    let result = unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &all, std::ptr::null_mut()) };
    if result == 0 { Ok(()) } else { Err(Errno::from_raw_os_error(result)) }
}
