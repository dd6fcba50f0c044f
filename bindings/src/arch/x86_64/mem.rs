//! The memory functions that compilers call. They are written in assembly: a compiler could recognise
//! such a function in its own body and make it call itself. The bindings' object does not export them.
//!
//! The direction flag is clear on entry, as the calling convention says.

use core::arch::asm;
use core::ffi::{c_char, c_int, c_void};

/// `memcpy` of the C library.
///
/// # Safety
///
/// As in C.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut c_void, from: *const c_void, len: usize) -> *mut c_void {
    // SAFETY: the caller vouches for `len` bytes at both addresses.
    unsafe {
        asm!(
            "rep movsb",
            inout("rcx") len => _,
            inout("rdi") to => _,
            inout("rsi") from => _,
            options(nostack, preserves_flags),
        );
    }
    to
}

/// `memmove` of the C library.
///
/// # Safety
///
/// As in C.
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut c_void, from: *const c_void, len: usize) -> *mut c_void {
    if to.addr().wrapping_sub(from.addr()) >= len {
        // SAFETY: `to` does not begin inside the source, so copying upwards reads each byte before
        // it is overwritten; the rest is the caller's promise.
        return unsafe { memcpy(to, from, len) };
    }
    // SAFETY: copies downwards, so that each byte is read before it is overwritten; the caller
    // vouches for `len` bytes at both addresses, and `len` is not 0 here.
    unsafe {
        asm!(
            "std",
            "rep movsb",
            "cld",
            inout("rcx") len => _,
            inout("rdi") to.wrapping_byte_add(len - 1) => _,
            inout("rsi") from.wrapping_byte_add(len - 1) => _,
            options(nostack),
        );
    }
    to
}

/// `memset` of the C library.
///
/// # Safety
///
/// As in C.
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut c_void, byte: c_int, len: usize) -> *mut c_void {
    // SAFETY: the caller vouches for `len` bytes.
    unsafe {
        asm!(
            "rep stosb",
            inout("rcx") len => _,
            inout("rdi") to => _,
            in("al") byte as u8,
            options(nostack, preserves_flags),
        );
    }
    to
}

/// `memcmp` of the C library.
///
/// # Safety
///
/// As in C.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(left: *const c_void, right: *const c_void, len: usize) -> c_int {
    let order: c_int;
    // SAFETY: the caller vouches for `len` bytes at both addresses. The comparison of `ecx` with
    // itself makes a length of 0 compare as equal.
    unsafe {
        asm!(
            "cmp ecx, ecx",
            "repe cmpsb",
            "seta al",
            "setb cl",
            "movzx eax, al",
            "movzx ecx, cl",
            "sub eax, ecx",
            inout("rcx") len => _,
            inout("rsi") left => _,
            inout("rdi") right => _,
            out("eax") order,
            options(nostack, readonly),
        );
    }
    order
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
#[unsafe(no_mangle)]
unsafe extern "C" fn strlen(text: *const c_char) -> usize {
    let left: usize;
    // SAFETY: the caller vouches for a terminator, where the scan ends.
    unsafe {
        asm!(
            "repne scasb",
            inout("rcx") usize::MAX => left,
            inout("rdi") text => _,
            in("al") 0u8,
            options(nostack, readonly),
        );
    }
    // The count went down once for each byte, the terminator included.
    usize::MAX - left - 1
}
