//! `_start`: from the tender to the entry in Rust (`docs/reference/spt.md#entry`).
//!
//! A function that is entered from elsewhere computes its table of contents from its own address in
//! `r12`. Tenders before this one do not set `r12`, so the address is found by a branch instead. The
//! first frame ends the chain of frames with a zero: debuggers stop there.

core::arch::global_asm!(
    ".pushsection .text._start, \"ax\", @progbits",
    ".balign 16",
    ".globl _start",
    ".type _start, @function",
    "_start:",
    // This form of the call leaves alone the CPU's memory of where calls return to.
    "bcl 20, 31, 2f",
    "2:",
    "mflr %r2",
    "addis %r2, %r2, (.TOC. - 2b)@ha",
    "addi %r2, %r2, (.TOC. - 2b)@l",
    "li %r0, 0",
    "mtlr %r0",
    "clrrdi %r1, %r1, 4",
    // 32 bytes: the chain, and room for the callee's registers CR, LR and r2.
    "stdu %r0, -32(%r1)",
    "bl {start}",
    "nop",
    "trap",
    ".size _start, . - _start",
    ".popsection",
    start = sym crate::entry::_start,
);
