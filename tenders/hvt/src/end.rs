//! The end of a guest: the messages about it, and the process's exit status. Nothing here
//! allocates.

use std::fmt::Write;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, Ordering};

use kvm_bindings::kvm_regs;
use solo5_tender::error::{CODE_GUEST_FAULT, EXIT_CANNOT};
use solo5_tender::report::{Outcome, ending};

use crate::devices::wait_writable;
use crate::fault::{GuestFault, Text, write_registers, write_trap};
use crate::hypercall::End;
use crate::memory::SharedMemory;
use crate::stack::Code;

/// Standard error.
pub(crate) const STDERR: RawFd = 2;

/// What a message about the guest's end needs.
#[derive(Debug)]
pub struct EndContext {
    /// The tender's name.
    pub program: String,
    /// Descriptor for the outcome, with `--report`.
    pub report: Option<RawFd>,
    /// The guest's code ranges.
    pub code: Code,
    /// Guest memory.
    pub memory: &'static SharedMemory,
    /// Whether a thread is already reporting a fault.
    pub reported: AtomicBool,
}

impl EndContext {
    /// Reports the guest's fault and ends the process with status 1.
    ///
    /// Both threads may find the same fault, such as an invalid ring counter. Only the first one
    /// reports it.
    pub fn fault(&self, fault: GuestFault, registers: Option<kvm_regs>) -> ! {
        if self.reported.swap(true, Ordering::Relaxed) {
            loop {
                // The other thread is about to end the process.
                std::hint::spin_loop();
            }
        }
        let rip = registers.map(|registers| registers.rip);
        let mut message = Text::new();
        let _ = fault.write(&mut message, rip);
        let message = str::from_utf8(message.as_bytes()).unwrap_or_default();
        let mut text = Text::new();
        let program = &self.program;
        let _ = writeln!(text, "{program}: {message}");
        if let Some(registers) = registers {
            let _ = write_registers(&mut text, program, &registers);
            let _ = self.code.write_stack(&mut text, program, self.memory, registers.rsp);
        }
        if let Some(advice) = fault.advice() {
            let _ = writeln!(text, "{program}: {advice}");
        }
        say(STDERR, &text);
        if let Some(report) = self.report {
            let mut line = Text::new();
            let reason = Some((CODE_GUEST_FAULT, message));
            let _ = ending(&mut line, Outcome::GuestFault, EXIT_CANNOT, reason);
            say(report, &line);
        }
        exit(EXIT_CANNOT.into())
    }

    /// Prints `line` and ends the process with `status`.
    pub fn quit(&self, line: &str, status: u8) -> ! {
        let mut text = Text::new();
        let _ = writeln!(text, "{}: {line}", self.program);
        say(STDERR, &text);
        exit(status.into())
    }

    /// Ends the process with the guest's status, of which the shell sees 8 bits. Shows its trap, if
    /// it reported one.
    pub fn exit(&self, end: End) -> ! {
        if let Some(trap) = end.trap {
            let mut text = Text::new();
            let _ = write_trap(&mut text, &self.program, &trap);
            let stack = trap.rsp.get();
            let _ = self.code.write_stack(&mut text, &self.program, self.memory, stack);
            say(STDERR, &text);
        }
        exit(end.status)
    }
}

/// Writes a text. Waits for a slow reader; gives up at any other error.
pub(crate) fn say(fd: RawFd, text: &Text) {
    let mut left = text.as_bytes();
    while !left.is_empty() {
        // SAFETY: the pointer and length are those of `left`.
        let count = unsafe { libc::write(fd, left.as_ptr().cast(), left.len()) };
        match usize::try_from(count) {
            Ok(count) if count > 0 => left = left.get(count..).unwrap_or_default(),
            Ok(_) => return,
            Err(_) => match std::io::Error::last_os_error().raw_os_error() {
                Some(libc::EINTR) => {}
                Some(libc::EAGAIN) => wait_writable(fd),
                _ => return,
            },
        }
    }
}

/// Ends the process without running any more of its code.
fn exit(status: i32) -> ! {
    // SAFETY: the call never returns, and the kernel releases all descriptors and mappings.
    unsafe { libc::_exit(status) }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::sync::Barrier;

    use super::*;
    use crate::memory::testing::memory;

    /// Environment variable that marks the child process in which the guest's end is tested.
    const ENDS: &str = "SOLO5_TEST_ENDS";

    #[test]
    fn only_one_of_two_threads_reports_a_fault() {
        if std::env::var_os(ENDS).is_some() {
            let end_context = EndContext {
                program: "solo5-hvt".to_owned(),
                report: None,
                code: Code(Vec::new()),
                memory: Box::leak(Box::new(memory(64, Vec::new()))),
                reported: AtomicBool::new(false),
            };
            let both = Barrier::new(2);
            std::thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| {
                        both.wait();
                        end_context.fault(GuestFault::RingSleep, None);
                    });
                }
            });
        }
        // Without `reported`, some of these runs would print two messages.
        for _ in 0..100 {
            let name = "end::tests::only_one_of_two_threads_reports_a_fault";
            let mut guest = Command::new(std::env::current_exe().unwrap());
            let ended = guest.args(["--exact", name]).env(ENDS, "").output().unwrap();
            assert_eq!(ended.status.code(), Some(EXIT_CANNOT.into()));
            let text = String::from_utf8(ended.stderr).unwrap();
            assert_eq!(text, "solo5-hvt: read() of the ring's eventfd failed\n");
        }
    }
}
