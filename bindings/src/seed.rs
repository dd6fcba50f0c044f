//! The seed: random bytes of the host, which the application takes once
//! (`docs/reference/features.md#seed`).

use core::ptr;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use solo5_abi::offer::{Feature, SEED_SIZE};

use crate::api_types::Error;
use crate::arch::PAGE_SIZE;
use crate::attached::offered;
use crate::memory::overlap;

static TAKEN: AtomicBool = AtomicBool::new(false);

/// Moves the seed to `buf`: afterwards its page is zero. `Unspecified` if the tender offers none,
/// `Invalid` if it was taken before or `buf` is in its page.
///
/// # Safety
///
/// [`SEED_SIZE`] bytes at `buf` are the caller's to write.
pub(crate) unsafe fn take(buf: *mut u8) -> Result<(), Error> {
    let record = offered(Feature::Seed).ok_or(Error::Unspecified)?;
    let page = record.seed.get();
    if TAKEN.load(Relaxed) || overlap((page, PAGE_SIZE), (buf.addr() as u64, SEED_SIZE as u64)) {
        return Err(Error::Invalid);
    }
    TAKEN.store(true, Relaxed);
    let page = ptr::with_exposed_provenance_mut::<u8>(page as usize);
    for index in 0..SEED_SIZE {
        let (from, to) = (page.wrapping_add(index), buf.wrapping_add(index));
        // SAFETY: a tender that offers a seed has put it at the start of a page that is readable
        // and writable and used for nothing else. Volatile, so that each byte is read once.
        let byte = unsafe { from.read_volatile() };
        // SAFETY: by this function's contract.
        unsafe { to.write(byte) };
        // SAFETY: as for the read. Volatile, because nothing reads it again.
        unsafe { from.write_volatile(0) };
    }
    Ok(())
}
