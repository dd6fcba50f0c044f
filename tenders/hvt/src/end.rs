//! The end of a guest: the messages about it, and the process's exit status. Nothing here
//! allocates.

use std::fmt::Write;
use std::ops::Range;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, Ordering};

use solo5_abi::stack;
use solo5_tender::error::{CODE_GUEST_FAULT, CODE_STACK_OVERFLOW, EXIT_CANNOT, STACK_OVERFLOW};
use solo5_tender::report::{Outcome, ending};

use crate::arch::{self, PC, Registers, TrapFrame, write_registers, write_trap};
use crate::devices::wait_writable;
use crate::fault::{GuestFault, Text};
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
    /// The guard below the guest's stack, if there is one.
    pub guard: Option<Range<u64>>,
    /// Whether a thread is already reporting a fault.
    pub reported: AtomicBool,
}

impl EndContext {
    /// Reports the guest's fault and ends the process with status 1.
    ///
    /// Both threads may find the same fault, such as an invalid ring counter. Only the first one
    /// reports it.
    pub fn fault(&self, fault: GuestFault, registers: Option<Registers>) -> ! {
        if self.reported.swap(true, Ordering::Relaxed) {
            loop {
                // The other thread is about to end the process.
                std::hint::spin_loop();
            }
        }
        let mut message = Text::new();
        let _ = fault.write(&mut message, registers.as_ref().map(arch::pc));
        let message = str::from_utf8(message.as_bytes()).unwrap_or_default();
        say(STDERR, &self.fault_text(fault, message, registers));
        if let Some(report) = self.report {
            let mut line = Text::new();
            let reason = Some((CODE_GUEST_FAULT, message));
            let _ = ending(&mut line, Outcome::GuestFault, EXIT_CANNOT, reason);
            say(report, &line);
        }
        exit(EXIT_CANNOT.into())
    }

    /// What standard error says about a fault, whose own text is `message`.
    fn fault_text(&self, fault: GuestFault, message: &str, registers: Option<Registers>) -> Text {
        let mut text = Text::new();
        let program = &self.program;
        let _ = writeln!(text, "{program}: {message}");
        if let Some(registers) = registers {
            let _ = write_registers(&mut text, program, &registers);
            let _ = self.code.write_stack(&mut text, program, self.memory, arch::sp(&registers));
        }
        if let Some(advice) = fault.advice() {
            let _ = writeln!(text, "{program}: {advice}");
        }
        text
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
            say(STDERR, &self.trap_text(&trap));
            if self.overflowed(&trap).is_some() {
                self.report_overflow(&trap, end.status);
            }
        }
        exit(end.status)
    }

    /// The guard, if the trap says that the stack has grown into it.
    fn overflowed(&self, trap: &TrapFrame) -> Option<&Range<u64>> {
        let (address, stack) = (arch::trap_address(trap), arch::trap_sp(trap));
        self.guard.as_ref().filter(|guard| stack::is_overflow(guard, address, stack))
    }

    /// What standard error says about a trap that the guest reported.
    fn trap_text(&self, trap: &TrapFrame) -> Text {
        let mut text = Text::new();
        let _ = write_trap(&mut text, &self.program, trap);
        let mut stack = arch::trap_sp(trap);
        if let Some(guard) = self.overflowed(trap) {
            let (program, address) = (&self.program, arch::trap_address(trap));
            let _ = writeln!(text, "{program}: {STACK_OVERFLOW}: access to {address:#x}");
            // The stack pointer may be in the guard, where nothing can be read.
            stack = stack.max(guard.end);
        }
        let _ = self.code.write_stack(&mut text, &self.program, self.memory, stack);
        text
    }

    /// Writes the reason to the report, if there is one.
    fn report_overflow(&self, trap: &TrapFrame, status: i32) {
        let Some(report) = self.report else {
            return;
        };
        let (mut message, mut line) = (Text::new(), Text::new());
        let (address, pc) = (arch::trap_address(trap), arch::trap_pc(trap));
        let _ = write!(message, "{STACK_OVERFLOW}: access to {address:#x}, {PC}={pc:#x}");
        let message = str::from_utf8(message.as_bytes()).unwrap_or_default();
        let reason = Some((CODE_STACK_OVERFLOW, message));
        // The shell, too, sees 8 bits.
        let _ = ending(&mut line, Outcome::GuestFault, status as u8, reason);
        say(report, &line);
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

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use std::io::{Read, Write as _};
    use std::os::fd::AsRawFd;
    use std::process::Command;
    use std::sync::Barrier;

    use super::*;
    use crate::memory::testing::memory;

    /// Environment variable that marks the child process in which the guest's end is tested.
    const ENDS: &str = "SOLO5_TEST_ENDS";

    /// The end of a guest with code at 0x1000, which has the word 0x1005 on its stack at 56.
    fn end_context(report: Option<RawFd>) -> EndContext {
        let memory = memory(64, Vec::new());
        memory.store(56, &0x1005u64).unwrap();
        EndContext {
            program: "solo5-hvt".to_owned(),
            report,
            code: Code(std::iter::once(0x1000..0x2000).collect()),
            memory: Box::leak(Box::new(memory)),
            guard: None,
            reported: AtomicBool::new(false),
        }
    }

    fn lines(text: &Text) -> Vec<&str> {
        str::from_utf8(text.as_bytes()).unwrap().lines().collect()
    }

    #[test]
    fn a_fault_shows_registers_then_the_stack_then_advice() {
        let end_context = end_context(None);
        let registers = Registers { rip: 0x1005, rsp: 48, ..Registers::default() };
        let text = end_context.fault_text(GuestFault::Internal(3), "message", Some(registers));
        let lines = lines(&text);
        assert_eq!(lines[0], "solo5-hvt: message");
        assert!(lines[1].starts_with("solo5-hvt:   rip=0x0000000000001005 rsp="), "{lines:?}");
        assert_eq!(
            lines[7..],
            [
                "solo5-hvt:   return address? 0x1005 at rsp+0x8",
                "solo5-hvt: the host's kernel log may say more: see dmesg",
            ]
        );
        let text = end_context.fault_text(GuestFault::RingSleep, "message", None);
        assert_eq!(text.as_bytes(), b"solo5-hvt: message\n");
    }

    #[test]
    fn a_trap_shows_the_stack_at_its_pointer() {
        let trap = TrapFrame { rip: 0x1001.into(), rsp: 56.into(), ..TrapFrame::default() };
        let text = end_context(None).trap_text(&trap);
        let lines = lines(&text);
        assert!(lines[0].starts_with("solo5-hvt: guest trap: rip=0x1001 rsp=0x38 "), "{lines:?}");
        assert_eq!(lines[1..], ["solo5-hvt:   return address? 0x1005 at rsp+0x0"]);
    }

    #[test]
    fn an_overflow_shows_the_stack_above_the_guard() {
        let end_context = EndContext { guard: Some(32..56), ..end_context(None) };
        let trap = TrapFrame { cr2: 48.into(), rsp: 40.into(), ..TrapFrame::default() };
        let text = end_context.trap_text(&trap);
        let lines = lines(&text);
        let expected = [
            "solo5-hvt: stack overflow: access to 0x30",
            "solo5-hvt:   return address? 0x1005 at rsp+0x0",
        ];
        assert_eq!(lines[1..], expected);
    }

    #[test]
    fn a_text_reaches_a_slow_reader_whole_and_none_is_needed() {
        let (mut from, to) = std::os::unix::net::UnixStream::pair().unwrap();
        to.set_nonblocking(true).unwrap();
        // The socket is full before the text comes.
        let mut filled = 0;
        while let Ok(count) = (&to).write(&[0; 4096]) {
            filled += count;
        }
        let mut text = Text::new();
        write!(text, "the end").unwrap();
        let reader = std::thread::spawn(move || {
            let mut all = Vec::new();
            from.read_to_end(&mut all).unwrap();
            all
        });
        say(to.as_raw_fd(), &text);
        drop(to);
        assert_eq!(reader.join().unwrap()[filled..], *b"the end");
        let (closed, writer) = std::io::pipe().unwrap();
        drop(closed);
        say(writer.as_raw_fd(), &text);
    }

    #[test]
    fn only_one_of_two_threads_reports_a_fault() {
        if std::env::var_os(ENDS).is_some() {
            let end_context = end_context(None);
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
