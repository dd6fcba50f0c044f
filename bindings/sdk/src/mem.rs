//! `memcpy` and its relatives.
//!
//! The compiler calls them to copy anything longer than a few registers. On the host target they
//! come from the C library, which a unikernel does not have, and the bindings do not export theirs
//! (docs/reference/guest-api.md#symbols).
//!
//! Copying and filling move 16 bytes at a time, unaligned, and end with a piece that overlaps the one
//! before. A short copy is two moves that may overlap; a short fill goes byte by byte. Each loop has
//! an empty piece of assembly in its body. It costs nothing and keeps the compiler from recognising
//! the loop as the function it implements, which it would replace by a call.

use core::arch::asm;
use core::ffi::c_int;

use crate::unaligned;

/// The piece moved in one step: two vector moves or two pairs of integer moves.
type Piece = u128;
const PIECE: usize = size_of::<Piece>();

/// Hides from the compiler what the loop around it does.
#[inline(always)]
fn opaque() {
    // SAFETY: it has no instructions. The compiler only has to assume that all memory changes.
    unsafe { asm!("", options(nostack, preserves_flags)) };
}

/// The `T` at `offset`, at any alignment.
///
/// # Safety
///
/// It lies inside a readable buffer that begins at `from`.
#[inline(always)]
unsafe fn load<T: Copy>(from: *const u8, offset: usize) -> T {
    // SAFETY: inside the buffer, as the caller promises. Computing an address claims nothing.
    unsafe { unaligned::load(from.wrapping_add(offset).cast::<T>()) }
}

/// Puts a `T` at `offset`, at any alignment.
///
/// # Safety
///
/// It lies inside a writable buffer that begins at `to`.
#[inline(always)]
unsafe fn store<T: Copy>(to: *mut u8, offset: usize, value: T) {
    // SAFETY: as for `load`.
    unsafe { unaligned::store(to.wrapping_add(offset).cast::<T>(), value) }
}

/// Copies at most 32 bytes: everything is read before anything is written, so the
/// buffers may overlap.
///
/// # Safety
///
/// As for `memmove`; `size` is at most 32.
#[inline(always)]
unsafe fn move_short(to: *mut u8, from: *const u8, size: usize) {
    /// Moves the first `T` and the last; they cover everything, for `size` is at most two of them.
    #[inline(always)]
    unsafe fn ends<T: Copy>(to: *mut u8, from: *const u8, size: usize) {
        let last = size - size_of::<T>();
        // SAFETY: `T` is no longer than `size`.
        let head: T = unsafe { load(from, 0) };
        // SAFETY: the same.
        let tail: T = unsafe { load(from, last) };
        // SAFETY: the same.
        unsafe { store(to, 0, head) };
        // SAFETY: the same.
        unsafe { store(to, last, tail) };
    }
    match size {
        0 => {}
        // SAFETY: the type is no longer than `size`.
        1 => unsafe { ends::<u8>(to, from, size) },
        // SAFETY: the type is no longer than `size`.
        2..=4 => unsafe { ends::<u16>(to, from, size) },
        // SAFETY: the type is no longer than `size`.
        5..=8 => unsafe { ends::<u32>(to, from, size) },
        // SAFETY: the type is no longer than `size`.
        9..=16 => unsafe { ends::<u64>(to, from, size) },
        // SAFETY: the type is no longer than `size`.
        _ => unsafe { ends::<Piece>(to, from, size) },
    }
}

/// C's `memcpy`.
///
/// # Safety
///
/// `from` is readable and `to` is writable for `size` bytes, and they do not overlap.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, size: usize) -> *mut u8 {
    // SAFETY: `forwards` requires less.
    unsafe { forwards(to, from, size) };
    to
}

/// Copies from the first byte to the last: correct unless `to` lies inside unread source bytes.
///
/// # Safety
///
/// As for `memmove`; `to` is not within `size` bytes after `from`.
#[inline(always)]
unsafe fn forwards(to: *mut u8, from: *const u8, size: usize) {
    if size <= 2 * PIECE {
        // SAFETY: at most 32 bytes.
        return unsafe { move_short(to, from, size) };
    }
    let last = size - PIECE;
    // The last piece is read first: with overlapping buffers the loop may overwrite it.
    // SAFETY: `size` is more than a piece.
    let tail = unsafe { load::<Piece>(from, last) };
    let mut offset = 0;
    while offset < last {
        // SAFETY: a whole piece from here on is inside, for `offset` is below `last`.
        let piece: Piece = unsafe { load(from, offset) };
        // SAFETY: the same.
        unsafe { store(to, offset, piece) };
        offset += PIECE;
        opaque();
    }
    // SAFETY: as for reading it.
    unsafe { store(to, last, tail) };
}

/// C's `memmove`.
///
/// # Safety
///
/// `from` is readable and `to` is writable for `size` bytes.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, size: usize) -> *mut u8 {
    if to.addr().wrapping_sub(from.addr()) >= size {
        // SAFETY: `to` lies before `from`, or behind all of it.
        unsafe { forwards(to, from, size) };
        return to;
    }
    if size <= 2 * PIECE {
        // SAFETY: at most 32 bytes.
        unsafe { move_short(to, from, size) };
        return to;
    }
    // Copies from the last byte to the first. The first piece is read now and written at the end.
    // SAFETY: `size` is more than a piece.
    let head = unsafe { load::<Piece>(from, 0) };
    let mut end = size;
    while end > PIECE {
        end -= PIECE;
        // SAFETY: `end` was more than a piece, so it still is inside.
        let piece: Piece = unsafe { load(from, end) };
        // SAFETY: the same.
        unsafe { store(to, end, piece) };
        opaque();
    }
    // SAFETY: as for reading it.
    unsafe { store(to, 0, head) };
    to
}

/// C's `memset`.
///
/// # Safety
///
/// `to` is writable for `size` bytes.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn memset(to: *mut u8, byte: c_int, size: usize) -> *mut u8 {
    // C passes the byte as an `int` and means its low eight bits.
    let byte = byte as u8;
    if size < PIECE {
        let mut offset = 0;
        while offset < size {
            // SAFETY: below `size`.
            unsafe { store(to, offset, byte) };
            offset += 1;
            opaque();
        }
        return to;
    }
    // A product instead of an array: without optimisation, `[byte; N]` would call `memset`.
    let word = u64::from(byte).wrapping_mul(0x0101_0101_0101_0101);
    let piece = (Piece::from(word) << u64::BITS) | Piece::from(word);
    let last = size - PIECE;
    let mut offset = 0;
    while offset < last {
        // SAFETY: a whole piece from here on is inside, for `offset` is below `last`.
        unsafe { store(to, offset, piece) };
        offset += PIECE;
        opaque();
    }
    // SAFETY: the last piece, which may overlap the one before.
    unsafe { store(to, last, piece) };
    to
}

/// C's `memcmp`.
///
/// # Safety
///
/// Both are readable for `size` bytes.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn memcmp(left: *const u8, right: *const u8, size: usize) -> c_int {
    let mut offset = 0;
    // Whole words first. The loop below finds the byte in a word that differs.
    while size - offset >= size_of::<u64>() {
        // SAFETY: a whole word from here on is inside.
        let a = unsafe { load::<u64>(left, offset) };
        // SAFETY: the same.
        let b = unsafe { load::<u64>(right, offset) };
        if a != b {
            break;
        }
        offset += size_of::<u64>();
        opaque();
    }
    while offset < size {
        // SAFETY: below `size`.
        let a = unsafe { load::<u8>(left, offset) };
        // SAFETY: the same.
        let b = unsafe { load::<u8>(right, offset) };
        if a != b {
            return c_int::from(a) - c_int::from(b);
        }
        offset += 1;
        opaque();
    }
    0
}

/// `bcmp`, which only tells whether bytes differ. The compiler prefers it where that is enough.
///
/// # Safety
///
/// Both are readable for `size` bytes.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn bcmp(left: *const u8, right: *const u8, size: usize) -> c_int {
    // SAFETY: the same contract.
    unsafe { memcmp(left, right, size) }
}

/// C's `strlen`, which `CStr` uses.
///
/// # Safety
///
/// `text` is NUL-terminated.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn strlen(text: *const u8) -> usize {
    let mut length = 0;
    // SAFETY: no byte before this one was the NUL.
    while unsafe { load::<u8>(text, length) } != 0 {
        length += 1;
        opaque();
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lengths around every boundary of the implementation.
    const LENGTHS: [usize; 22] =
        [0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 48, 49, 64, 65, 100, 257];

    fn pattern(length: usize) -> Vec<u8> {
        (0..length).map(|i| (i * 7 + i / 251) as u8).collect()
    }

    #[test]
    fn copies_exactly() {
        for length in LENGTHS {
            for shift in 0..17 {
                let from = pattern(length + shift);
                let mut to = vec![0xaa; length + 34];
                // SAFETY: `to` has 17 bytes on both sides of what is written.
                let result =
                    unsafe { memcpy(to[17..].as_mut_ptr(), from[shift..].as_ptr(), length) };
                assert_eq!(result, to[17..].as_mut_ptr());
                assert_eq!(to[17..17 + length], from[shift..]);
                assert!(to[..17].iter().chain(&to[17 + length..]).all(|&byte| byte == 0xaa));
            }
        }
    }

    #[test]
    fn moves_like_the_standard_library_at_every_overlap() {
        for length in LENGTHS {
            for from in 0..70 {
                for to in [0, 1, 15, 16, 17, 33, 35, 69] {
                    let mut ours = pattern(length + 80);
                    let mut expected = ours.clone();
                    expected.copy_within(from..from + length, to);
                    let base = ours.as_mut_ptr();
                    // SAFETY: both ranges are inside the vector, 80 bytes longer than `length`.
                    unsafe { memmove(base.wrapping_add(to), base.wrapping_add(from), length) };
                    assert_eq!(ours, expected, "{length} bytes from {from} to {to}");
                }
            }
        }
    }

    #[test]
    fn sets_exactly() {
        for length in LENGTHS {
            let mut to = vec![0xaa; length + 34];
            // SAFETY: `to` has 17 bytes on both sides of what is written.
            unsafe { memset(to[17..].as_mut_ptr(), 0x155, length) };
            assert!(to[17..17 + length].iter().all(|&byte| byte == 0x55));
            assert!(to[..17].iter().chain(&to[17 + length..]).all(|&byte| byte == 0xaa));
        }
    }

    #[test]
    fn compares_like_the_standard_library() {
        for length in LENGTHS {
            let left = pattern(length);
            // SAFETY: both have the length passed.
            assert_eq!(unsafe { memcmp(left.as_ptr(), left.as_ptr(), length) }, 0);
            for place in 0..length {
                let mut right = left.clone();
                right[place] ^= 0x90;
                // SAFETY: both have the length passed.
                let order = unsafe { memcmp(left.as_ptr(), right.as_ptr(), length) };
                assert_eq!(order.cmp(&0), left.cmp(&right), "{place} of {length}");
                // SAFETY: both have the length passed.
                assert_ne!(unsafe { bcmp(left.as_ptr(), right.as_ptr(), length) }, 0);
            }
        }
    }

    #[test]
    fn strlen_ends_at_the_nul() {
        for length in LENGTHS {
            let mut text = vec![b'x'; length];
            text.push(0);
            text.push(b'x');
            // SAFETY: the text has a NUL.
            assert_eq!(unsafe { strlen(text.as_ptr()) }, length);
        }
    }
}
