//! The devices of the machine: found, matched to the manifest's entries, and driven.
//!
//! The target has checked handle, offset and size of a call before it gets here. A handle is the
//! index of an entry.

use solo5_abi::mft1::Entry;

use super::setup::Setup;
use crate::abort::abort;
use crate::api_types::Error;

/// Finds the devices and attaches them to the manifest's entries: properties, `attached`, and what a
/// flush does. Runs once, after the clock has started and before the application. Ends the unikernel
/// if a device that the manifest declares is missing.
pub(crate) fn attach(setup: &mut Setup<'_>) {
    let has_device = |entry: &Entry| entry.kind().is_some();
    if setup.entries.iter().any(has_device) {
        abort!("All declared devices must be attached.");
    }
}

/// Acknowledges the devices' interrupts, and returns the network devices that have a frame, bit N for
/// handle N. Called before and after each sleep, with interrupts off.
pub(crate) fn poll() -> u64 {
    0
}

/// Sends a frame, or drops it if the device takes none. The device may get to know of it only by
/// [`net_submitted`].
///
/// # Safety
///
/// `size` bytes at `buf` can be read.
pub(crate) unsafe fn net_submit(_handle: u64, _buf: *const u8, _size: usize) -> Result<(), Error> {
    Err(Error::Unspecified)
}

/// Tells the devices of the frames of [`net_submit`].
pub(crate) fn net_submitted() {}

/// Receives one frame into `buf`, which has room for the longest; returns its length. `Again` if there
/// is none.
///
/// # Safety
///
/// `size` bytes at `buf` are the caller's to write.
pub(crate) unsafe fn net_read(_handle: u64, _buf: *mut u8, _size: usize) -> Result<usize, Error> {
    Err(Error::Unspecified)
}

/// Reads whole blocks; `size` may be any number of them.
///
/// # Safety
///
/// `size` bytes at `buf` are the caller's to write.
pub(crate) unsafe fn block_read(
    _handle: u64,
    _offset: u64,
    _buf: *mut u8,
    _size: usize,
) -> Result<(), Error> {
    Err(Error::Unspecified)
}

/// Writes whole blocks; `size` may be any number of them.
///
/// # Safety
///
/// `size` bytes at `buf` can be read.
pub(crate) unsafe fn block_write(
    _handle: u64,
    _offset: u64,
    _buf: *const u8,
    _size: usize,
) -> Result<(), Error> {
    Err(Error::Unspecified)
}

/// Makes everything written permanent; returns whether that succeeded.
pub(crate) fn block_flush(_handle: u64) -> bool {
    false
}
