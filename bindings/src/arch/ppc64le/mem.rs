//! The memory functions that compilers call. They are written in assembly: a compiler could recognise
//! such a function in its own body and make it call itself. The bindings' object does not export them.
//!
//! They go by words of 8 bytes and then by bytes. The CPU takes words at any address.

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
            "srdi. {word}, {len}, 3",
            "beq 3f",
            "mtctr {word}",
            "2:",
            "ld {word}, 0({from})",
            "addi {from}, {from}, 8",
            "std {word}, 0({to})",
            "addi {to}, {to}, 8",
            "bdnz 2b",
            "3:",
            "andi. {word}, {len}, 7",
            "beq 5f",
            "mtctr {word}",
            "4:",
            "lbz {word}, 0({from})",
            "addi {from}, {from}, 1",
            "stb {word}, 0({to})",
            "addi {to}, {to}, 1",
            "bdnz 4b",
            "5:",
            len = in(reg) len,
            to = inout(reg_nonzero) to => _,
            from = inout(reg_nonzero) from => _,
            word = out(reg) _,
            out("ctr") _,
            out("cr0") _,
            options(nostack),
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
            "andi. {word}, {len}, 7",
            "beq 3f",
            "mtctr {word}",
            "2:",
            "lbzu {word}, -1({from})",
            "stbu {word}, -1({to})",
            "bdnz 2b",
            "3:",
            "srdi. {word}, {len}, 3",
            "beq 5f",
            "mtctr {word}",
            "4:",
            "ldu {word}, -8({from})",
            "stdu {word}, -8({to})",
            "bdnz 4b",
            "5:",
            len = in(reg) len,
            to = inout(reg_nonzero) to.wrapping_byte_add(len) => _,
            from = inout(reg_nonzero) from.wrapping_byte_add(len) => _,
            word = out(reg) _,
            out("ctr") _,
            out("cr0") _,
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
    let word = u64::from(byte as u8) * (u64::MAX / 0xff);
    // SAFETY: the caller vouches for `len` bytes.
    unsafe {
        asm!(
            "srdi. {count}, {len}, 3",
            "beq 3f",
            "mtctr {count}",
            "2:",
            "std {word}, 0({to})",
            "addi {to}, {to}, 8",
            "bdnz 2b",
            "3:",
            "andi. {count}, {len}, 7",
            "beq 5f",
            "mtctr {count}",
            "4:",
            "stb {word}, 0({to})",
            "addi {to}, {to}, 1",
            "bdnz 4b",
            "5:",
            len = in(reg) len,
            to = inout(reg_nonzero) to => _,
            word = in(reg) word,
            count = out(reg) _,
            out("ctr") _,
            out("cr0") _,
            options(nostack),
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
    let order: i64;
    // SAFETY: the caller vouches for `len` bytes at both addresses.
    unsafe {
        asm!(
            "li {order}, 0",
            "cmpldi {len}, 0",
            "beq 3f",
            "mtctr {len}",
            "2:",
            "lbz {order}, 0({left})",
            "addi {left}, {left}, 1",
            "lbz {other}, 0({right})",
            "addi {right}, {right}, 1",
            "sub. {order}, {order}, {other}",
            // Goes on while the bytes are equal and some are left.
            "bdnzt 2, 2b",
            "3:",
            len = in(reg) len,
            left = inout(reg_nonzero) left => _,
            right = inout(reg_nonzero) right => _,
            order = out(reg) order,
            other = out(reg) _,
            out("ctr") _,
            out("cr0") _,
            options(nostack, readonly),
        );
    }
    order as c_int
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
    let end: usize;
    // SAFETY: the caller vouches for a terminator, where the scan ends.
    unsafe {
        asm!(
            "2:",
            "lbzu {byte}, 1({at})",
            "cmpwi {byte}, 0",
            "bne 2b",
            at = inout(reg_nonzero) text.wrapping_sub(1) => end,
            byte = out(reg) _,
            out("cr0") _,
            options(nostack, readonly),
        );
    }
    end.wrapping_sub(text.addr())
}
