//! Memory that a device may read and change at any time.
//!
//! There are no references to it, only copies of single numbers: a device that changes a number
//! between two reads is then no different from one that wrote a wrong number at first. A number
//! outside the memory reads as 0, and a write there does nothing.

use core::ptr;
use core::sync::atomic::{Ordering, fence};

/// A range of memory that a device can reach.
#[derive(Clone, Copy, Debug)]
pub struct Shared {
    start: *mut u8,
    len: usize,
    physical: u64,
}

/// Reads and writes of one width.
macro_rules! accessors {
    ($read:ident, $write:ident, $number:ty) => {
        #[doc = concat!("The `", stringify!($number), "` at `offset`.")]
        pub fn $read(&self, offset: usize) -> $number {
            let Some(place) = self.place(offset, size_of::<$number>()) else { return 0 };
            // SAFETY: the number is in the memory, aligned, and any bytes are a number.
            <$number>::from_le(unsafe { place.cast::<$number>().read_volatile() })
        }

        #[doc = concat!("Writes the `", stringify!($number), "` at `offset`.")]
        pub fn $write(&self, offset: usize, value: $number) {
            let Some(place) = self.place(offset, size_of::<$number>()) else { return };
            // SAFETY: the number is in the memory and aligned, and nobody has a reference to it.
            unsafe { place.cast::<$number>().write_volatile(value.to_le()) };
        }
    };
}

impl Shared {
    /// No memory.
    pub const NONE: Shared = Shared { start: ptr::dangling_mut(), len: 0, physical: 0 };

    /// The `len` bytes at `start`, which the device sees at `physical`.
    ///
    /// # Safety
    ///
    /// The memory exists for as long as the result and its copies are used, `start` is a multiple of
    /// 8, and nobody has a reference into it.
    pub const unsafe fn new(start: *mut u8, len: usize, physical: u64) -> Shared {
        Shared { start, len, physical }
    }

    /// Its length in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The device's address of the byte at `offset`.
    pub fn physical(&self, offset: usize) -> u64 {
        self.physical.wrapping_add(offset as u64)
    }

    /// The `len` bytes at `offset`, or none if they are not all in this memory. `offset` is a multiple
    /// of 8.
    pub fn part(&self, offset: usize, len: usize) -> Shared {
        match self.range(offset, len) {
            Some(start) if offset.is_multiple_of(8) => {
                Shared { start, len, physical: self.physical(offset) }
            }
            _ => Shared::NONE,
        }
    }

    accessors!(read8, write8, u8);
    accessors!(read16, write16, u16);
    accessors!(read32, write32, u32);
    accessors!(read64, write64, u64);

    /// Copies `len` bytes at `offset` to `to`. Returns whether they are in the memory.
    ///
    /// # Safety
    ///
    /// `len` bytes at `to` are the caller's to write, and not in this memory.
    pub unsafe fn copy_out(&self, offset: usize, to: *mut u8, len: usize) -> bool {
        let Some(from) = self.range(offset, len) else { return false };
        // The device's writes to the bytes came before what told of them.
        fence(Ordering::Acquire);
        // SAFETY: the bytes are in the memory; the caller vouches for `to`. A device that still
        // changes them only changes what is copied.
        unsafe { to.copy_from_nonoverlapping(from, len) };
        true
    }

    /// Copies `len` bytes at `from` to `offset`. Returns whether there is room for them.
    ///
    /// # Safety
    ///
    /// `len` bytes at `from` can be read, and are not in this memory.
    pub unsafe fn copy_in(&self, offset: usize, from: *const u8, len: usize) -> bool {
        let Some(to) = self.range(offset, len) else { return false };
        // SAFETY: as in `copy_out`, the other way.
        unsafe { to.copy_from_nonoverlapping(from, len) };
        true
    }

    /// Where a number of `size` bytes at `offset` is, if it is in the memory and aligned.
    fn place(&self, offset: usize, size: usize) -> Option<*mut u8> {
        let aligned = offset & size.wrapping_sub(1) == 0;
        self.range(offset, size).filter(|_| aligned)
    }

    fn range(&self, offset: usize, len: usize) -> Option<*mut u8> {
        let end = offset.checked_add(len)?;
        (end <= self.len).then(|| self.start.wrapping_add(offset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_in_the_memory_and_aligned_or_nothing() {
        let mut words = [0u64; 4];
        // SAFETY: the array outlives its use, and is used through the result only.
        let shared = unsafe { Shared::new(words.as_mut_ptr().cast(), 32, 0x1000) };
        shared.write32(28, 0x1234_5678);
        assert_eq!(shared.read16(30), 0x1234);
        assert_eq!(shared.read8(31), 0x12);
        for offset in [25, 29, 30, 32, usize::MAX, usize::MAX - 3] {
            shared.write32(offset, u32::MAX);
            assert_eq!(shared.read32(offset), 0, "{offset}");
        }
        assert_eq!(shared.read32(28), 0x1234_5678);
        assert_eq!(shared.physical(8), 0x1008);
        let part = shared.part(24, 8);
        assert_eq!((part.read32(4), part.read32(8), part.physical(0)), (0x1234_5678, 0, 0x1018));
        assert!(shared.part(4, 8).is_empty() && shared.part(24, 16).is_empty());
        assert_eq!(shared.part(0, 8).len(), 8);
        let mut four = [0; 4];
        // SAFETY: four bytes, in no memory of a device.
        assert!(unsafe { shared.copy_out(28, four.as_mut_ptr(), 4) });
        assert_eq!(four, [0x78, 0x56, 0x34, 0x12]);
        // SAFETY: as before; nothing is copied.
        assert!(!unsafe { shared.copy_out(29, four.as_mut_ptr(), 4) });
        // SAFETY: as before.
        assert!(unsafe { shared.copy_in(0, four.as_ptr(), 4) });
        // SAFETY: as before; nothing is copied.
        assert!(!unsafe { shared.copy_in(usize::MAX, four.as_ptr(), 4) });
        assert_eq!(words, [0x1234_5678, 0, 0, 0x1234_5678 << 32]);
    }
}
