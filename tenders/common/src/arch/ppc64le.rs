//! 64-bit Power, little-endian.

use std::arch::asm;

use rustix::process::Pid;

use crate::sys::ptrace::ptrace;

/// Name of the instruction pointer in messages.
pub const PC: &str = "pc";

/// The word before the abort handler of a restartable sequence.
#[cfg(target_env = "gnu")]
pub(crate) const RSEQ_SIGNATURE: libc::c_uint = 0x0fe5_000b;

/// The thread pointer: the address that offsets of thread-local variables count from.
#[cfg(target_env = "gnu")]
pub(crate) fn thread_pointer() -> usize {
    let thread: usize;
    // SAFETY: reads a register.
    unsafe { asm!("mr {}, %r13", out(reg) thread, options(nostack, nomem, preserves_flags)) };
    thread
}

/// The stack pointer and the instruction pointer of a child that this process traces and that is
/// stopped.
pub(crate) fn registers(child: Pid) -> Option<(u64, u64)> {
    const NT_PRSTATUS: libc::c_long = 1;
    const GETREGSET: libc::c_long = 0x4204;
    /// Of the kernel's `struct pt_regs`: r0 to r31, then the instruction pointer; more follows.
    const REGISTERS: usize = 33;
    let mut registers = [0u64; REGISTERS];
    let mut place =
        libc::iovec { iov_base: registers.as_mut_ptr().cast(), iov_len: size_of_val(&registers) };
    // SAFETY: the request fills in what `place` describes, and the length in `place`.
    unsafe { ptrace(GETREGSET, child, NT_PRSTATUS, (&raw mut place).cast()) }.ok()?;
    let [_, stack, .., instruction] = registers;
    Some((stack, instruction))
}

pub use crate::sys::system_call;

/// Makes instructions that were written to `length` bytes at `start` visible to this processor's
/// instruction fetch: stores the lines of the data cache, then invalidates those of the instruction
/// cache.
///
/// # Safety
///
/// The range is mapped and readable.
pub unsafe fn publish_code(start: usize, length: usize) {
    /// No processor of this architecture has shorter lines.
    const LINE: usize = 32;
    let end = start.saturating_add(length);
    let lines = || (start / LINE * LINE..end).step_by(LINE);
    for line in lines() {
        // SAFETY: the caller's promise; the instruction changes no content of memory.
        unsafe { asm!("dcbst 0, {}", in(reg) line, options(nostack, preserves_flags)) };
    }
    // SAFETY: a barrier.
    unsafe { asm!("sync", options(nostack, preserves_flags)) };
    for line in lines() {
        // SAFETY: as above.
        unsafe { asm!("icbi 0, {}", in(reg) line, options(nostack, preserves_flags)) };
    }
    // SAFETY: barriers.
    unsafe { asm!("sync", "isync", options(nostack, preserves_flags)) };
}
