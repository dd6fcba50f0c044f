//! Signal dispositions of a tender. They stay as the launcher left them, with two exceptions.
//!
//! A write beyond the file size limit (`ulimit -f`) does not end the tender: the write fails, and
//! the guest gets an error. And as process 1 of a container, the tender ends by the signals that
//! end every other process.

pub mod kinds;

use std::os::raw::c_int;
use std::sync::atomic::{AtomicBool, Ordering};

use self::kinds::{Kind, SIGNAL_MAX, kind};
use crate::sys::Errno;

/// Bytes of stack for a handler: the kernel saves all registers there, with AMX more than 8 KiB.
const STACK: usize = 64 << 10;

/// Whether [`end_as_process_1`] has installed handlers.
static HANDLED: AtomicBool = AtomicBool::new(false);

/// Ignores SIGXFSZ, so that a write beyond `RLIMIT_FSIZE` fails with `EFBIG`.
pub fn survive_file_size_limit() -> Result<(), Errno> {
    install(libc::SIGXFSZ, libc::SIG_IGN)
}

/// If this is process 1 of a PID namespace, installs handlers for all signals that end a process by
/// default. They exit with status 128 plus the signal's number. Without a handler, the kernel
/// ignores such signals in process 1. In any other process this does nothing.
pub fn end_as_process_1() -> Result<(), Errno> {
    if rustix::process::getpid() != rustix::process::Pid::INIT {
        return Ok(());
    }
    HANDLED.store(true, Ordering::Relaxed);
    let stack: &'static mut [u8] = vec![0; STACK].leak();
    let stack =
        libc::stack_t { ss_sp: stack.as_mut_ptr().cast(), ss_flags: 0, ss_size: stack.len() };
    // SAFETY: the memory is leaked, so only the handlers ever use it.
    if unsafe { libc::sigaltstack(&stack, std::ptr::null_mut()) } != 0 {
        return Err(crate::sys::last_error());
    }
    let handler: extern "C" fn(c_int) = end;
    for signal in 1..=SIGNAL_MAX {
        // The C library reserves some real-time signals.
        let is_default = action(signal).is_ok_and(|found| found == libc::SIG_DFL);
        if is_default && kind(signal) == Kind::Ending {
            install(signal, handler as libc::sighandler_t)?;
        }
    }
    Ok(())
}

/// Replaces the handlers of [`end_as_process_1`] by the code at `handler`, which runs on the stack
/// in use when the signal comes. For a tender that unmaps its own code and memory.
///
/// # Safety
///
/// `handler` is code that stays mapped. It takes the signal's number as its argument, and ends the
/// process with status 128 plus that number.
pub unsafe fn end_elsewhere(handler: libc::sighandler_t) -> Result<(), Errno> {
    if !HANDLED.load(Ordering::Relaxed) {
        return Ok(());
    }
    let own: extern "C" fn(c_int) = end;
    for signal in 1..=SIGNAL_MAX {
        if action(signal).is_ok_and(|found| found == own as libc::sighandler_t) {
            install_with(signal, handler, 0)?;
        }
    }
    Ok(())
}

/// Ends the process.
extern "C" fn end(signal: c_int) {
    // SAFETY: `_exit` is async-signal-safe and runs no code of this program.
    unsafe { libc::_exit(128 | signal) }
}

/// The handler of a signal.
fn action(signal: c_int) -> Result<libc::sighandler_t, Errno> {
    // SAFETY: a `sigaction` is integers, a set and a nullable pointer, so all zero is a valid
    // value.
    let mut found: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: the call fills in the structure it is given and changes nothing.
    match unsafe { libc::sigaction(signal, std::ptr::null(), &mut found) } {
        0 => Ok(found.sa_sigaction),
        _ => Err(crate::sys::last_error()),
    }
}

/// Whether this program ignores `signal`, as whoever started it has it do.
pub fn is_ignored(signal: c_int) -> bool {
    action(signal).is_ok_and(|found| found == libc::SIG_IGN)
}

/// Installs `handler`, which must be async-signal-safe. All other signals are blocked while it
/// runs.
pub fn install(signal: c_int, handler: libc::sighandler_t) -> Result<(), Errno> {
    // Without an alternate stack the flag has no effect.
    install_with(signal, handler, libc::SA_ONSTACK)
}

fn install_with(signal: c_int, handler: libc::sighandler_t, flags: c_int) -> Result<(), Errno> {
    // SAFETY: as in `action`.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler;
    action.sa_flags = flags;
    // SAFETY: the call fills in the set it is given.
    unsafe { libc::sigfillset(&mut action.sa_mask) };
    // SAFETY: a complete structure; the handler is async-signal-safe.
    match unsafe { libc::sigaction(signal, &action, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(crate::sys::last_error()),
    }
}
