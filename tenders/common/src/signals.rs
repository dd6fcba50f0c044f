//! What signals do to a tender. They act as the launcher left them, but for two cases.
//!
//! A file that reaches the limit on file sizes (`ulimit -f`) ends no tender: the write fails, and
//! the guest hears of it. And process 1 of a container ends by the signals that end every other
//! process.

use std::os::raw::c_int;

use crate::sys::Errno;

/// Bytes of stack for a handler: the kernel saves all registers there, with AMX more than 8 KiB.
const STACK: usize = 64 << 10;

/// Signals that do not end a process by default, cannot be handled, or come from what the program
/// itself did wrong: a fault ends process 1 as well.
const NOT_ENDING: [c_int; 16] = [
    libc::SIGKILL,
    libc::SIGSTOP,
    libc::SIGTSTP,
    libc::SIGTTIN,
    libc::SIGTTOU,
    libc::SIGCONT,
    libc::SIGCHLD,
    libc::SIGURG,
    libc::SIGWINCH,
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGILL,
    libc::SIGTRAP,
    libc::SIGABRT,
    libc::SIGSYS,
];

/// Highest number of a signal.
const SIGNAL_MAX: c_int = 64;

/// From now on a write beyond `RLIMIT_FSIZE` fails with `EFBIG` and ends nothing.
pub fn survive_file_size_limit() -> Result<(), Errno> {
    install(libc::SIGXFSZ, libc::SIG_IGN)
}

/// As process 1 of a PID namespace, makes every signal whose default action is to end a process end
/// this one, with status 128 and the signal's number. The kernel ignores such signals there unless
/// they are handled. A tender that is any other process is left as it is.
pub fn end_as_process_1() -> Result<(), Errno> {
    if rustix::process::getpid() != rustix::process::Pid::INIT {
        return Ok(());
    }
    let stack: &'static mut [u8] = vec![0; STACK].leak();
    let stack =
        libc::stack_t { ss_sp: stack.as_mut_ptr().cast(), ss_flags: 0, ss_size: stack.len() };
    // SAFETY: the memory is leaked, so it is the handlers' alone for good.
    if unsafe { libc::sigaltstack(&stack, std::ptr::null_mut()) } != 0 {
        return Err(crate::sys::last_error());
    }
    let handler: extern "C" fn(c_int) = end;
    for signal in 1..=SIGNAL_MAX {
        // The C library keeps some real-time signals for itself.
        let is_default = action(signal).is_ok_and(|found| found == libc::SIG_DFL);
        if is_default && !NOT_ENDING.contains(&signal) {
            install(signal, handler as libc::sighandler_t)?;
        }
    }
    Ok(())
}

/// Lets the code at `handler` do what [`end_as_process_1`] has set up, on the stack that is in use
/// then: for a tender that gives up its own code and memory.
///
/// # Safety
///
/// `handler` is code that takes the signal's number as its argument, ends the process with 128 and
/// that number, and stays.
pub unsafe fn end_elsewhere(handler: libc::sighandler_t) -> Result<(), Errno> {
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
    // SAFETY: it may be called in a handler, and runs nothing of this program's.
    unsafe { libc::_exit(128 | signal) }
}

/// The handler of a signal.
fn action(signal: c_int) -> Result<libc::sighandler_t, Errno> {
    // SAFETY: a `sigaction` is integers, a set and a pointer that may be null; all zero is one.
    let mut found: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: the call fills in the structure it is given and changes nothing.
    match unsafe { libc::sigaction(signal, std::ptr::null(), &mut found) } {
        0 => Ok(found.sa_sigaction),
        _ => Err(crate::sys::last_error()),
    }
}

/// Installs a handler, which calls only what a handler may. While it runs, no other one does.
pub fn install(signal: c_int, handler: libc::sighandler_t) -> Result<(), Errno> {
    // Without a stack for handlers, the flag changes nothing.
    install_with(signal, handler, libc::SA_ONSTACK)
}

fn install_with(signal: c_int, handler: libc::sighandler_t, flags: c_int) -> Result<(), Errno> {
    // SAFETY: as in `action`.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler;
    action.sa_flags = flags;
    // SAFETY: the call fills in the set it is given.
    unsafe { libc::sigfillset(&mut action.sa_mask) };
    // SAFETY: a complete structure; the handler calls only what a handler may.
    match unsafe { libc::sigaction(signal, &action, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(crate::sys::last_error()),
    }
}
