//! 64-bit Arm.
//!
//! Cleared before the guest's first instruction: all general and vector registers, the flags, FPCR,
//! FPSR and the thread pointer. Only `x16` is not zero: it holds the guest's entry point. Predicates and
//! the rest of SVE's registers are zero because the kernel clears them at a system call, and because a
//! write to a vector register clears the rest of it.

use std::arch::{asm, global_asm};

use solo5_tender::seccomp::Rule;

use crate::leave::Leave;

/// How far below the end of memory the stack begins.
pub(crate) const STACK_OFFSET: u64 = 16;

/// The numbers of bits that addresses of a process can have, which depends on the kernel.
const ADDRESS_BITS: [u32; 6] = [52, 48, 47, 42, 39, 36];

/// End of the addresses that a process can map.
pub(crate) fn addresses_end() -> u64 {
    super::probe::addresses_end(&ADDRESS_BITS)
}

/// Size, in words, of the data that the code reads besides ranges and filter.
pub(crate) const STATE: usize = 0;

/// That data.
pub(crate) fn state() -> Vec<u64> {
    Vec::new()
}

/// Rules that only guests of this architecture need: none, the thread pointer is a register.
pub(crate) fn rules() -> Vec<Rule> {
    Vec::new()
}

// In: x9 = a list of address and length pairs to unmap, ended by a length of 0. x10 = a `struct
// sock_fprog`, x11 = the size of a page, x12 = entry, x13 = stack, x14 = boot information, w15 = a
// descriptor to close, or -1. A system call changes only x0. The guest's stack is not written.
global_asm!(
    ".pushsection .text.solo5_spt_leave, \"ax\", %progbits",
    ".balign 16",
    ".globl solo5_spt_leave",
    "solo5_spt_leave:",
    "mov sp, x13", // gives a signal during this code a stack
    "2:",
    "ldp x16, x1, [x9], #16",
    "cbz x1, 3f",
    "mov x0, x16",
    "mov x8, #215", // munmap
    "svc #0",
    "cbz x0, 2b",
    // The kernel keeps a page of this range. A short range is unmapped page by page, and refusals
    // are ignored.
    "cmp x1, x11, lsl #2",
    "b.hi 2b",
    "add x17, x16, x1",
    "mov x1, x11",
    "7:",
    "mov x0, x16",
    "svc #0",
    "add x16, x16, x11",
    "cmp x16, x17",
    "b.lo 7b",
    "b 2b",
    "3:",
    "mov x8, #277", // seccomp
    "mov x0, #1",   // SECCOMP_SET_MODE_FILTER
    "mov x1, #0",
    "mov x2, x10",
    "svc #0",
    "cbnz x0, 9f",
    "tbnz w15, #31, 6f",
    "mov x8, #57", // close
    "mov w0, w15",
    "svc #0",
    "6:",
    "msr tpidr_el0, xzr",
    "msr fpcr, xzr",
    "msr fpsr, xzr",
    ".irp number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
    "movi v\\number\\().2d, #0",
    ".endr",
    ".irp number, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
    "movi v\\number\\().2d, #0",
    ".endr",
    "mov x0, x14",
    "mov x16, x12",
    ".irp number, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 17",
    "mov x\\number, xzr",
    ".endr",
    ".irp number, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30",
    "mov x\\number, xzr",
    ".endr",
    "msr nzcv, xzr",
    "br x16",
    // The kernel refuses the filter although `enter` has checked that it may install one. This is a
    // bug, and no code is left to print a message: abort.
    "9:",
    "mov x8, #172", // getpid
    "svc #0",
    "mov x1, #6",   // SIGABRT
    "mov x8, #129", // kill
    "svc #0",
    "mov x0, #1",
    "mov x8, #94", // exit_group
    "svc #0",
    "udf #0",
    // The signal handler in process 1: see `end_as_process_1`.
    ".globl solo5_spt_signal",
    "solo5_spt_signal:",
    "add w0, w0, #128",
    "mov x8, #94", // exit_group
    "svc #0",
    "udf #0",
    ".globl solo5_spt_leave_end",
    "solo5_spt_leave_end:",
    ".popsection",
);

/// Jumps to the copied code.
///
/// # Safety
///
/// `leave` holds what the code wants, as the fields say. Nothing of this program is used again.
pub(crate) unsafe fn leave(leave: &Leave) -> ! {
    // SAFETY: the caller's promise.
    unsafe {
        asm!(
            "br x16",
            in("x16") leave.code,
            in("x9") leave.ranges,
            in("x10") leave.program,
            in("x11") leave.page,
            in("x12") leave.entry,
            in("x13") leave.stack,
            in("x14") leave.boot_info,
            in("x15") leave.close,
            options(noreturn),
        );
    }
}
