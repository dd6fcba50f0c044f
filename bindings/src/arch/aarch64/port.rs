//! Ports of PCI: the I/O space, which the host bridge shows in memory.
//!
//! The names are those of x86_64, whose CPU has instructions for ports. Where there is no window, or a port
//! lies behind its end or is not aligned, a read gives ones and a write does nothing.

use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering::Relaxed};

use crate::virtio::register;

static WINDOW: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());
static LENGTH: AtomicU32 = AtomicU32::new(0);

/// Uses the window at `start`, which shows the ports below `length`.
///
/// # Safety
///
/// The window is mapped for good, and shows registers.
pub(crate) unsafe fn set_window(start: *mut u8, length: u32) {
    WINDOW.store(start, Relaxed);
    LENGTH.store(length, Relaxed);
}

/// Where `size` bytes of ports are.
fn place(port: u16, size: usize) -> Option<*mut u8> {
    let end = usize::from(port).checked_add(size)?;
    let is_there = end <= LENGTH.load(Relaxed) as usize;
    let place = WINDOW.load(Relaxed).wrapping_add(port.into());
    (is_there && place.addr().is_multiple_of(size)).then_some(place)
}

/// Reads and writes of one width.
macro_rules! accessors {
    ($read:ident, $write:ident, $read_register:ident, $write_register:ident, $number:ty) => {
        #[doc = concat!("Reads a `", stringify!($number), "`.")]
        pub(crate) fn $read(port: u16) -> $number {
            let Some(place) = place(port, size_of::<$number>()) else { return <$number>::MAX };
            // SAFETY: in the window and aligned. A read has effects in the device only.
            unsafe { register::$read_register(place) }
        }

        #[doc = concat!("Writes a `", stringify!($number), "`.")]
        ///
        /// # Safety
        ///
        /// What the device does then is sound.
        pub(crate) unsafe fn $write(port: u16, value: $number) {
            let Some(place) = place(port, size_of::<$number>()) else { return };
            // SAFETY: in the window and aligned; the caller's promise.
            unsafe { register::$write_register(place, value) };
        }
    };
}

accessors!(in8, out8, read8, write8, u8);
accessors!(in16, out16, read16, write16, u16);
accessors!(in32, out32, read32, write32, u32);
