//! 64-bit x86.

use rustix::process::Pid;

use crate::sys::ptrace::ptrace;

/// Name of the instruction pointer in messages.
pub const PC: &str = "rip";

/// The word before the abort handler of a restartable sequence.
#[cfg(target_env = "gnu")]
pub(crate) const RSEQ_SIGNATURE: libc::c_uint = 0x5305_3053;

/// The thread pointer: the address that offsets of thread-local variables count from.
#[cfg(target_env = "gnu")]
pub(crate) fn thread_pointer() -> usize {
    let thread: usize;
    // SAFETY: the first word of the thread's control block is its own address.
    unsafe { std::arch::asm!("mov {}, fs:0", out(reg) thread, options(nostack, readonly)) };
    thread
}

/// The stack pointer and the instruction pointer of a child that this process traces and that is
/// stopped.
pub(crate) fn registers(child: Pid) -> Option<(u64, u64)> {
    // SAFETY: the structure is integers, for which all zero is valid.
    let mut registers: libc::user_regs_struct = unsafe { std::mem::zeroed() };
    // SAFETY: the request fills in this structure.
    unsafe { ptrace(libc::PTRACE_GETREGS.into(), child, 0, (&raw mut registers).cast()) }.ok()?;
    Some((registers.rsp, registers.rip))
}

/// Makes a system call and returns its result: a negative one is an error number. Without the C library's
/// wrapper, which takes several times as many instructions.
///
/// # Safety
///
/// As for the call: what it writes is the caller's to write, and what it does to the process is wanted.
#[inline(always)]
pub unsafe fn system_call(number: libc::c_long, arguments: [usize; 6]) -> isize {
    let [a, b, c, d, e, f] = arguments;
    let result;
    // SAFETY: the kernel changes only the registers named and the memory that the call writes, for which
    // the caller vouches.
    unsafe {
        std::arch::asm!(
            "syscall",
            inout("rax") number as isize => result,
            in("rdi") a,
            in("rsi") b,
            in("rdx") c,
            in("r10") d,
            in("r8") e,
            in("r9") f,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result
}

/// Makes instructions that were written to `length` bytes at `start` visible to this processor's
/// instruction fetch. Here the hardware does that.
///
/// # Safety
///
/// The range is mapped and readable.
pub unsafe fn publish_code(_start: usize, _length: usize) {}
