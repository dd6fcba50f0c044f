//! 64-bit Power, little-endian.
//!
//! Cleared before the guest's first instruction: all general, floating point and vector registers, the
//! condition, XER, LR and FPSCR. Only `r12` and CTR are not zero: they hold the guest's entry point, as
//! the ELFv2 convention wants of `r12`. TAR, DSCR and VRSAVE are the kernel's, because the tender never
//! writes them.

use std::arch::{asm, global_asm};

use solo5_tender::seccomp::Rule;

use crate::leave::Leave;

/// How far below the end of memory the stack begins: the frame of a caller, which is all zero.
pub(crate) const STACK_OFFSET: u64 = 112;

/// The numbers of bits that addresses of a process can have without its asking for more: it depends on
/// the size of the kernel's pages.
const ADDRESS_BITS: [u32; 3] = [47, 46, 44];

/// End of the addresses that a process can map without asking for more.
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

// In: r14 = a list of address and length pairs to unmap, ended by a length of 0. r15 = a `struct
// sock_fprog`, r16 = the size of a page, r17 = entry, r18 = stack, r19 = boot information, r20 = a
// descriptor to close, or -1. A system call leaves r14 to r31 alone; after an error the summary
// overflow bit is set. The guest's stack is not written.
global_asm!(
    ".pushsection .text.solo5_spt_leave, \"ax\", @progbits",
    ".balign 16",
    ".globl solo5_spt_leave",
    "solo5_spt_leave:",
    "mr %r1, %r18", // gives a signal during this code a stack
    "2:",
    "ld %r3, 0(%r14)",
    "ld %r4, 8(%r14)",
    "addi %r14, %r14, 16",
    "cmpdi %r4, 0",
    "beq 3f",
    "mr %r21, %r3",
    "mr %r22, %r4",
    "li %r0, 91", // munmap
    "sc",
    "bns 2b",
    // The kernel keeps a page of this range. A short range is unmapped page by page, and refusals
    // are ignored.
    "sldi %r5, %r16, 2",
    "cmpld %r22, %r5",
    "bgt 2b",
    "add %r22, %r21, %r22",
    "7:",
    "mr %r3, %r21",
    "mr %r4, %r16",
    "li %r0, 91",
    "sc",
    "add %r21, %r21, %r16",
    "cmpld %r21, %r22",
    "blt 7b",
    "b 2b",
    "3:",
    "li %r0, 358", // seccomp
    "li %r3, 1",   // SECCOMP_SET_MODE_FILTER
    "li %r4, 0",
    "mr %r5, %r15",
    "sc",
    "bso 9f",
    "cmpwi %r20, 0",
    "blt 6f",
    "li %r0, 6", // close
    "mr %r3, %r20",
    "sc",
    "6:",
    // These are the floating point registers too, and all others that hold vectors.
    ".irp number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
    "xxlxor \\number, \\number, \\number",
    ".endr",
    ".irp number, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
    "xxlxor \\number, \\number, \\number",
    ".endr",
    ".irp number, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47",
    "xxlxor \\number, \\number, \\number",
    ".endr",
    ".irp number, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63",
    "xxlxor \\number, \\number, \\number",
    ".endr",
    "mtfsf 255, %f0",
    "mr %r3, %r19",
    "mr %r12, %r17",
    "li %r0, 0",
    "mtlr %r0",
    "mtxer %r0",
    "mtcrf 255, %r0",
    "mtctr %r12",
    ".irp number, 2, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16, 17, 18, 19",
    "li \\number, 0",
    ".endr",
    ".irp number, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
    "li \\number, 0",
    ".endr",
    "bctr",
    // The kernel refuses the filter although `enter` has checked that it may install one. This is a
    // bug, and no code is left to print a message: abort.
    "9:",
    "li %r0, 20", // getpid
    "sc",
    "li %r4, 6",  // SIGABRT
    "li %r0, 37", // kill
    "sc",
    "li %r3, 1",
    "li %r0, 234", // exit_group
    "sc",
    "trap",
    // The signal handler in process 1: see `end_as_process_1`.
    ".globl solo5_spt_signal",
    "solo5_spt_signal:",
    "addi %r3, %r3, 128",
    "li %r0, 234", // exit_group
    "sc",
    "trap",
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
            "mtctr %r12",
            "bctr",
            in("r12") leave.code,
            in("r14") leave.ranges,
            in("r15") leave.program,
            in("r16") leave.page,
            in("r17") leave.entry,
            in("r18") leave.stack,
            in("r19") leave.boot_info,
            in("r20") leave.close,
            options(noreturn),
        );
    }
}
