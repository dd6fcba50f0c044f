//! Values at addresses of any alignment, for `mem.rs`.
//!
//! Rust's target for aarch64 without a system has `strict-align`, because memory there takes aligned access only
//! until an MMU is on. So the compiler would move 16 bytes one by one. A unikernel's MMU is on, and one
//! instruction moves them.

/// Reads a value.
///
/// # Safety
///
/// It lies inside a readable buffer.
#[cfg(not(target_arch = "aarch64"))]
#[inline(always)]
pub(crate) unsafe fn load<T: Copy>(from: *const T) -> T {
    // SAFETY: as the caller promises.
    unsafe { from.read_unaligned() }
}

/// Writes a value.
///
/// # Safety
///
/// It lies inside a writable buffer.
#[cfg(not(target_arch = "aarch64"))]
#[inline(always)]
pub(crate) unsafe fn store<T: Copy>(to: *mut T, value: T) {
    // SAFETY: as the caller promises.
    unsafe { to.write_unaligned(value) }
}

#[cfg(target_arch = "aarch64")]
pub(crate) use aarch64::{load, store};

#[cfg(target_arch = "aarch64")]
mod aarch64 {
    use core::arch::asm;
    use core::mem::transmute_copy;

    /// Reads an integer.
    ///
    /// # Safety
    ///
    /// It lies inside a readable buffer.
    #[inline(always)]
    pub(crate) unsafe fn load<T: Copy>(from: *const T) -> T {
        const { assert!(matches!(size_of::<T>(), 1 | 2 | 4 | 8 | 16)) };
        let low: u64;
        let mut high: u64 = 0;
        // SAFETY: each reads as many bytes as `T` has.
        unsafe {
            match size_of::<T>() {
                1 => asm!("ldrb {0:w}, [{1}]", out(reg) low, in(reg) from,
                    options(readonly, nostack, preserves_flags)),
                2 => asm!("ldrh {0:w}, [{1}]", out(reg) low, in(reg) from,
                    options(readonly, nostack, preserves_flags)),
                4 => asm!("ldr {0:w}, [{1}]", out(reg) low, in(reg) from,
                    options(readonly, nostack, preserves_flags)),
                8 => asm!("ldr {0}, [{1}]", out(reg) low, in(reg) from,
                    options(readonly, nostack, preserves_flags)),
                _ => asm!("ldp {0}, {1}, [{2}]", out(reg) low, out(reg) high, in(reg) from,
                    options(readonly, nostack, preserves_flags)),
            }
        }
        let value = u128::from(low) | (u128::from(high) << u64::BITS);
        // SAFETY: the first bytes of an integer in this byte order, and every value of them is a `T`.
        unsafe { transmute_copy(&value) }
    }

    /// Writes an integer.
    ///
    /// # Safety
    ///
    /// It lies inside a writable buffer.
    #[inline(always)]
    pub(crate) unsafe fn store<T: Copy>(to: *mut T, value: T) {
        const { assert!(matches!(size_of::<T>(), 1 | 2 | 4 | 8 | 16)) };
        // SAFETY: each takes as many bytes as `T` has, and writes as many.
        unsafe {
            match size_of::<T>() {
                1 => asm!("strb {0:w}, [{1}]", in(reg) u64::from(transmute_copy::<T, u8>(&value)),
                    in(reg) to, options(nostack, preserves_flags)),
                2 => asm!("strh {0:w}, [{1}]", in(reg) u64::from(transmute_copy::<T, u16>(&value)),
                    in(reg) to, options(nostack, preserves_flags)),
                4 => asm!("str {0:w}, [{1}]", in(reg) u64::from(transmute_copy::<T, u32>(&value)),
                    in(reg) to, options(nostack, preserves_flags)),
                8 => asm!("str {0}, [{1}]", in(reg) transmute_copy::<T, u64>(&value),
                    in(reg) to, options(nostack, preserves_flags)),
                _ => {
                    let value = transmute_copy::<T, u128>(&value);
                    asm!("stp {0}, {1}, [{2}]", in(reg) value as u64,
                        in(reg) (value >> u64::BITS) as u64, in(reg) to,
                        options(nostack, preserves_flags));
                }
            }
        }
    }
}
