//! Ports of PCI: the I/O space, which the host bridge shows in memory.
//!
//! The names are those of x86_64, whose CPU has instructions for ports. Where there is no window, or a port
//! lies behind its end, a read gives ones and a write does nothing.

use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering::Relaxed};

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
    is_there.then(|| WINDOW.load(Relaxed).wrapping_add(port.into()))
}

/// Reads and writes of one width.
macro_rules! accessors {
    ($read:ident, $write:ident, $number:ty) => {
        #[doc = concat!("Reads a `", stringify!($number), "`.")]
        pub(crate) fn $read(port: u16) -> $number {
            let Some(place) = place(port, size_of::<$number>()) else { return <$number>::MAX };
            // SAFETY: in the window. A read has effects in the device only; where it is not aligned, the
            // CPU reports it.
            unsafe { place.cast::<$number>().read_volatile() }
        }

        #[doc = concat!("Writes a `", stringify!($number), "`.")]
        ///
        /// # Safety
        ///
        /// What the device does then is sound.
        pub(crate) unsafe fn $write(port: u16, value: $number) {
            let Some(place) = place(port, size_of::<$number>()) else { return };
            // SAFETY: in the window; the caller's promise.
            unsafe { place.cast::<$number>().write_volatile(value) };
        }
    };
}

accessors!(in8, out8, u8);
accessors!(in16, out16, u16);
accessors!(in32, out32, u32);
