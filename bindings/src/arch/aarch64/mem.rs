//! The memory functions that compilers call. They are written in assembly: a compiler could recognise
//! such a function in its own body and make it call itself. The bindings' object does not export them.
//!
//! They copy and clear 16 bytes at a time, then the rest by bytes. Memory needs no alignment.

use core::arch::naked_asm;
use core::ffi::{c_char, c_int, c_void};

/// `memcpy` of the C library. It copies upwards, and reads each 16 bytes before it writes them.
///
/// # Safety
///
/// As in C.
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut c_void, from: *const c_void, len: usize) -> *mut c_void {
    naked_asm!(
        "mov x3, x0",
        "subs x2, x2, #16",
        "b.lo 3f",
        "2:",
        "ldp x4, x5, [x1], #16",
        "stp x4, x5, [x3], #16",
        "subs x2, x2, #16",
        "b.hs 2b",
        "3:",
        "adds x2, x2, #16",
        "b.eq 5f",
        "4:",
        "ldrb w4, [x1], #1",
        "strb w4, [x3], #1",
        "subs x2, x2, #1",
        "b.ne 4b",
        "5:",
        "ret",
    )
}

/// `memmove` of the C library. It copies upwards unless `to` begins inside the source.
///
/// # Safety
///
/// As in C.
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut c_void, from: *const c_void, len: usize) -> *mut c_void {
    naked_asm!(
        "sub x3, x0, x1",
        "cmp x3, x2",
        "b.hs {memcpy}",
        "add x3, x0, x2",
        "add x1, x1, x2",
        "subs x2, x2, #16",
        "b.lo 3f",
        "2:",
        "ldp x4, x5, [x1, #-16]!",
        "stp x4, x5, [x3, #-16]!",
        "subs x2, x2, #16",
        "b.hs 2b",
        "3:",
        "adds x2, x2, #16",
        "b.eq 5f",
        "4:",
        "ldrb w4, [x1, #-1]!",
        "strb w4, [x3, #-1]!",
        "subs x2, x2, #1",
        "b.ne 4b",
        "5:",
        "ret",
        memcpy = sym memcpy,
    )
}

/// `memset` of the C library.
///
/// # Safety
///
/// As in C.
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut c_void, byte: c_int, len: usize) -> *mut c_void {
    naked_asm!(
        "mov x3, x0",
        "and x1, x1, #0xff",
        "mov x4, #0x0101010101010101",
        "mul x1, x1, x4",
        "subs x2, x2, #16",
        "b.lo 3f",
        "2:",
        "stp x1, x1, [x3], #16",
        "subs x2, x2, #16",
        "b.hs 2b",
        "3:",
        "adds x2, x2, #16",
        "b.eq 5f",
        "4:",
        "strb w1, [x3], #1",
        "subs x2, x2, #1",
        "b.ne 4b",
        "5:",
        "ret",
    )
}

/// `memcmp` of the C library.
///
/// # Safety
///
/// As in C.
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(left: *const c_void, right: *const c_void, len: usize) -> c_int {
    naked_asm!(
        "cbz x2, 3f",
        "2:",
        "ldrb w3, [x0], #1",
        "ldrb w4, [x1], #1",
        "cmp w3, w4",
        "b.ne 4f",
        "subs x2, x2, #1",
        "b.ne 2b",
        "3:",
        "mov w0, #0",
        "ret",
        "4:",
        "sub w0, w3, w4",
        "ret",
    )
}

/// `bcmp` of the C library.
///
/// # Safety
///
/// As in C.
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(left: *const c_void, right: *const c_void, len: usize) -> c_int {
    // SAFETY: the caller's promise is the same.
    unsafe { memcmp(left, right, len) }
}

/// `strlen` of the C library.
///
/// # Safety
///
/// As in C.
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn strlen(text: *const c_char) -> usize {
    naked_asm!(
        "mov x1, x0",
        "2:",
        "ldrb w2, [x1], #1",
        "cbnz w2, 2b",
        "sub x0, x1, x0",
        "sub x0, x0, #1",
        "ret",
    )
}
