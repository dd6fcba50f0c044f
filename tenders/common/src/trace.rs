//! The parent of `--report` as its child's tracer: it learns where a guest faulted, and whether a
//! signal came from another process.
//!
//! Only signals stop a traced process, no system calls, so a guest runs as fast as without. A
//! kernel or a container may forbid tracing, and another tracer may be there first. Then the report
//! lacks this reason, and nothing else changes.

use std::ops::Range;
use std::ptr;

use libc::{c_long, c_void};
use solo5_abi::stack;

use crate::arch;
use crate::process::{self, Pid, WaitStatus};
use crate::sys::Errno;
use crate::sys::ptrace::ptrace;

/// A memory access of the child that the kernel refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The address accessed.
    pub address: u64,
    /// The stack pointer.
    pub stack: u64,
    /// The instruction pointer.
    pub instruction: u64,
}

/// What is known of a signal that ends the child: one of those that a process's own instructions
/// raise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Another process has sent this signal.
    Sent(i32),
    /// The child has made this access.
    Access(Fault),
}

impl Fault {
    /// Whether the stack has grown into `guard`.
    pub fn is_overflow(&self, guard: &Range<u64>) -> bool {
        stack::is_overflow(guard, self.address, self.stack)
    }
}

/// Becomes the tracer of `child`.
pub fn seize(child: Pid) -> Result<(), Errno> {
    request(libc::PTRACE_SEIZE.into(), child, ptr::null_mut())
}

/// Lets `child`, which a signal has stopped, go on as if it were not traced. Returns what
/// stopped it, if it is known and ends the child.
pub fn resume(child: Pid, status: WaitStatus) -> Option<Cause> {
    let signal = status.stopping_signal()?;
    let stops = [libc::SIGSTOP, libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];
    let event = status.as_raw() >> 16;
    let (how, passed) = match event {
        // The signal itself: it is delivered now.
        0 => (libc::PTRACE_CONT, signal),
        // Its effect: a stopped process stays stopped until a signal continues it.
        libc::PTRACE_EVENT_STOP if stops.contains(&signal) => (libc::PTRACE_LISTEN, 0),
        _ => (libc::PTRACE_CONT, 0),
    };
    let ends = event == 0 && (process::is_fault(signal) || signal == libc::SIGABRT);
    let cause = if ends { cause(child, signal) } else { None };
    // It fails only if the child has been killed, and then there is nothing to resume.
    let _ = request(how.into(), child, ptr::without_provenance_mut(passed as usize));
    cause
}

/// The cause of the signal that has stopped `child`.
fn cause(child: Pid, signal: i32) -> Option<Cause> {
    // SAFETY: a `siginfo_t` is integers and pointers, for which all zero is valid.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    request(libc::PTRACE_GETSIGINFO.into(), child, (&raw mut info).cast()).ok()?;
    // With such a code a process has sent the signal, and there is no address.
    if info.si_code <= 0 {
        // SAFETY: these codes have a sender, and any bits are a process id.
        let sender = unsafe { info.si_pid() };
        // A program sends itself SIGABRT.
        return (sender != child.as_raw_nonzero().get()).then_some(Cause::Sent(signal));
    }
    if signal != libc::SIGSEGV {
        return None;
    }
    // SAFETY: the kernel fills in the address of every SIGSEGV, and any bits are an address.
    let address = unsafe { info.si_addr() } as u64;
    let (stack, instruction) = arch::registers(child)?;
    Some(Cause::Access(Fault { address, stack, instruction }))
}

/// A request without an address. `data` is a number, or points to what the request fills in.
fn request(request: c_long, child: Pid, data: *mut c_void) -> Result<(), Errno> {
    // SAFETY: of the requests above, one writes: GETSIGINFO gets a structure of the type that it fills
    // in. The others take a number.
    unsafe { ptrace(request, child, 0, data) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    use super::*;
    use crate::process::ended;

    /// Waits until something has become of the child.
    fn changed(child: Pid) -> WaitStatus {
        loop {
            if let Some(status) = ended(child).unwrap() {
                return status;
            }
            std::thread::yield_now();
        }
    }

    /// Starts a shell with this script, sends it `signal` unless that is 0, and returns the cause and
    /// the signal that ended it.
    fn ended_by(script: &str, signal: i32) -> (Option<Cause>, Option<i32>) {
        let mut program = Command::new("sh").args(["-c", script]).spawn().unwrap();
        let child = Pid::from_child(&program);
        seize(child).unwrap();
        process::forward(child, signal);
        let mut status = changed(child);
        // The shell's own children come and go.
        while status.stopping_signal() == Some(libc::SIGCHLD) {
            assert_eq!(resume(child, status), None);
            status = changed(child);
        }
        assert!(status.stopping_signal().is_some(), "{status:?}");
        let cause = resume(child, status);
        (cause, program.wait().unwrap().signal())
    }

    /// The kernel stores the sender where it stores the address of a fault.
    #[test]
    fn a_signal_that_another_process_sends_is_no_fault() {
        for signal in [libc::SIGSEGV, libc::SIGILL, libc::SIGSYS, libc::SIGABRT] {
            let found = ended_by("sleep 60", signal);
            assert_eq!(found, (Some(Cause::Sent(signal)), Some(signal)));
        }
        // The shell sends it to itself.
        assert_eq!(ended_by("sleep 1; kill -ABRT $$", 0), (None, Some(libc::SIGABRT)));
    }
}
