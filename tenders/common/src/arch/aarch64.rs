//! 64-bit Arm.

use std::arch::asm;

use rustix::process::Pid;

use crate::sys::ptrace::ptrace;

/// Name of the instruction pointer in messages.
pub const PC: &str = "pc";

/// The word before the abort handler of a restartable sequence.
#[cfg(target_env = "gnu")]
pub(crate) const RSEQ_SIGNATURE: libc::c_uint = 0xd428_bc00;

/// The thread pointer: the address that offsets of thread-local variables count from.
#[cfg(target_env = "gnu")]
pub(crate) fn thread_pointer() -> usize {
    let thread: usize;
    // SAFETY: every program may read the register.
    unsafe { asm!("mrs {}, tpidr_el0", out(reg) thread, options(nostack, nomem)) };
    thread
}

/// The stack pointer and the instruction pointer of a child that this process traces and that is
/// stopped.
pub(crate) fn registers(child: Pid) -> Option<(u64, u64)> {
    const NT_PRSTATUS: libc::c_long = 1;
    // SAFETY: the structure is integers, for which all zero is valid.
    let mut registers: libc::user_regs_struct = unsafe { std::mem::zeroed() };
    let mut place = libc::iovec {
        iov_base: (&raw mut registers).cast(),
        iov_len: size_of::<libc::user_regs_struct>(),
    };
    let request = libc::PTRACE_GETREGSET.into();
    // SAFETY: the request fills in the structure that `place` describes, and the length in `place`.
    unsafe { ptrace(request, child, NT_PRSTATUS, (&raw mut place).cast()) }.ok()?;
    Some((registers.sp, registers.pc))
}

pub use crate::sys::system_call;

/// Makes instructions that were written to `length` bytes at `start` visible to this processor's
/// instruction fetch: cleans the data caches, then invalidates the instruction caches.
///
/// # Safety
///
/// The range is mapped and readable.
pub unsafe fn publish_code(start: usize, length: usize) {
    let end = start.saturating_add(length);
    let sizes: usize;
    // SAFETY: Linux lets every program read the register.
    unsafe { asm!("mrs {}, ctr_el0", out(reg) sizes, options(nostack, nomem)) };
    let data = 4 << (sizes >> 16 & 0xf);
    let instructions = 4 << (sizes & 0xf);
    for line in (start / data * data..end).step_by(data) {
        // SAFETY: the caller's promise; the instruction changes no content of memory.
        unsafe { asm!("dc cvau, {}", in(reg) line, options(nostack)) };
    }
    // SAFETY: a barrier.
    unsafe { asm!("dsb ish", options(nostack)) };
    for line in (start / instructions * instructions..end).step_by(instructions) {
        // SAFETY: as above.
        unsafe { asm!("ic ivau, {}", in(reg) line, options(nostack)) };
    }
    // SAFETY: barriers.
    unsafe { asm!("dsb ish", "isb", options(nostack)) };
}
