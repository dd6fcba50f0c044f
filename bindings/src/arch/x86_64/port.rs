//! Ports of the PC: the I/O space of x86.
//!
//! Writes are unsafe: a device may answer one by writing to memory. Reads have effects in the device
//! only.

use core::arch::asm;

/// Reads a byte.
pub(crate) fn in8(port: u16) -> u8 {
    let value;
    // SAFETY: touches no memory.
    unsafe { asm!("in al, dx", in("dx") port, out("al") value, options(nostack, preserves_flags)) };
    value
}

/// Reads two bytes.
pub(crate) fn in16(port: u16) -> u16 {
    let value;
    // SAFETY: touches no memory.
    unsafe { asm!("in ax, dx", in("dx") port, out("ax") value, options(nostack, preserves_flags)) };
    value
}

/// Reads four bytes.
pub(crate) fn in32(port: u16) -> u32 {
    let value;
    // SAFETY: touches no memory.
    unsafe {
        asm!("in eax, dx", in("dx") port, out("eax") value, options(nostack, preserves_flags));
    }
    value
}

/// Writes a byte.
///
/// # Safety
///
/// What the device does then is sound.
pub(crate) unsafe fn out8(port: u16, value: u8) {
    // SAFETY: the caller's promise.
    unsafe { asm!("out dx, al", in("dx") port, in("al") value, options(nostack, preserves_flags)) };
}

/// Writes two bytes.
///
/// # Safety
///
/// What the device does then is sound.
pub(crate) unsafe fn out16(port: u16, value: u16) {
    // SAFETY: the caller's promise.
    unsafe { asm!("out dx, ax", in("dx") port, in("ax") value, options(nostack, preserves_flags)) };
}

/// Writes four bytes.
///
/// # Safety
///
/// What the device does then is sound.
pub(crate) unsafe fn out32(port: u16, value: u32) {
    // SAFETY: the caller's promise.
    unsafe {
        asm!("out dx, eax", in("dx") port, in("eax") value, options(nostack, preserves_flags));
    }
}
