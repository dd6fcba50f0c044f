//! The attached devices, and what the tender offers: the manifest that it fills in and hands over.

use core::ptr;
use core::slice;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering::Relaxed};

use solo5_abi::mft1::{DeviceType, Entry, Flush, HEADER_SIZE};
use solo5_abi::offer::{Feature, Features, Record};

use crate::api_types::{BlockInfo, Error, NetInfo};
use crate::device::{Devices, transfer_most};

// There is one thread. Atomics only make the statics writable.
static ENTRIES: AtomicPtr<Entry> = AtomicPtr::new(ptr::dangling_mut());
static ENTRY_COUNT: AtomicU32 = AtomicU32::new(0);
static ACQUIRED: AtomicU64 = AtomicU64::new(0);
static HAS_NET: AtomicBool = AtomicBool::new(false);
/// The block devices on which a flush has failed, bit N for handle N.
static FAILED: AtomicU64 = AtomicU64::new(0);
static OFFERED: AtomicU32 = AtomicU32::new(0);
static RECORD: AtomicPtr<Record> = AtomicPtr::new(ptr::dangling_mut());

/// Makes the manifest at `address` the table of devices.
///
/// # Safety
///
/// At `address` is a manifest with as many entries as it says, and it never changes.
pub(crate) unsafe fn set(address: u64) {
    let manifest = ptr::with_exposed_provenance::<u8>(address as usize);
    // SAFETY: a manifest begins with its version and the number of its entries, 4 bytes each.
    let count = unsafe { manifest.wrapping_add(4).cast::<u32>().read_unaligned() };
    let entries = manifest.wrapping_add(HEADER_SIZE).cast_mut();
    ENTRIES.store(entries.cast(), Relaxed);
    ENTRY_COUNT.store(count, Relaxed);
    HAS_NET.store(devices().longest_frame().is_some(), Relaxed);
    let offer = devices().offer();
    OFFERED.store(offer.features().bits(), Relaxed);
    RECORD.store(ptr::with_exposed_provenance_mut(offer.address() as usize), Relaxed);
}

/// The table of devices.
pub(crate) fn devices() -> Devices<'static> {
    // SAFETY: before `set` there are no entries. After it, by its contract, this many entries
    // follow the manifest's header and never change. Every bit pattern is a valid entry.
    let entries =
        unsafe { slice::from_raw_parts(ENTRIES.load(Relaxed), ENTRY_COUNT.load(Relaxed) as usize) };
    Devices::new(entries, &ACQUIRED)
}

/// The values of the tender's offer, if it offers `feature`.
pub(crate) fn offered(feature: Feature) -> Option<Record> {
    if !Features::from_bits(OFFERED.load(Relaxed)).has(feature) {
        return None;
    }
    // SAFETY: a tender that offers a feature has put the record there, and it never changes. After a
    // shorter one low memory continues.
    Some(unsafe { RECORD.load(Relaxed).read_unaligned() })
}

/// Random bits from the tender, if it gives any.
#[cfg(any(feature = "hvt", feature = "spt"))]
pub(crate) fn random() -> Option<u64> {
    let offer = devices().offer();
    if !offer.has_random() {
        return None;
    }
    let record = ptr::with_exposed_provenance::<Record>(offer.address() as usize);
    // SAFETY: a tender that offers something has put a record of that length there, and it never changes.
    let random = unsafe { record.read_unaligned() }.random.get();
    (random != 0).then_some(random)
}

/// Whether any network interface is attached, so that input can arrive.
pub(crate) fn has_net() -> bool {
    HAS_NET.load(Relaxed)
}

/// A transfer of blocks, as the application asks for it.
#[derive(Clone, Copy)]
pub(crate) struct Transfer {
    /// Whether blocks are written; otherwise they are read.
    pub(crate) writes: bool,
    /// Whether there may be several blocks; otherwise there is exactly one.
    pub(crate) many: bool,
    pub(crate) handle: u64,
    /// Where the blocks are on the device.
    pub(crate) offset: u64,
    /// The address of their content.
    pub(crate) buf: usize,
    pub(crate) size: usize,
}

/// Transfers blocks by calls of `call`: one call for all of them, or with `by_offer` as few as the
/// tender offers. It gets the device and a part of the transfer, and returns how many bytes of it were
/// transferred. After a part of a part, the next one begins at the first block that is not complete.
pub(crate) fn transfer(
    all: Transfer,
    by_offer: bool,
    mut call: impl FnMut(&Entry, Transfer) -> Result<usize, Error>,
) -> Result<(), Error> {
    let devices = devices();
    let entry = if all.many {
        devices.blocks(all.handle, all.offset, all.size)?
    } else {
        devices.block(all.handle, all.offset, all.size)?
    };
    if has_failed(all.handle) {
        return Err(Error::Unspecified);
    }
    let block_size = usize::from(entry.block().block_size.get());
    let most = if all.many && by_offer {
        let offers = offered(Feature::Transfers).map(|record| record.transfer_max.get());
        transfer_most(block_size, offers)
    } else {
        all.size
    };
    let mut part = all;
    while part.size > 0 {
        let length = part.size.min(most);
        let moved = call(entry, Transfer { size: length, ..part })?;
        let whole = if moved == length {
            moved
        } else {
            moved.wrapping_sub(moved.checked_rem(block_size).unwrap_or(moved))
        };
        if whole == 0 {
            return Err(Error::Unspecified);
        }
        // The range is on the device and in memory, so no sum overflows.
        part.offset = part.offset.wrapping_add(whole as u64);
        part.buf = part.buf.wrapping_add(whole);
        part.size = part.size.wrapping_sub(whole);
    }
    Ok(())
}

/// Flushes the block device `handle` by `call`, which returns whether it succeeds.
///
/// After a failure the device fails for ever: the host reports the loss of data once, and may count
/// the data as written from then on.
pub(crate) fn block_flush(handle: u64, call: impl FnOnce(&Entry) -> bool) -> Result<(), Error> {
    let entry = devices().block_device(handle)?;
    match entry.flush() {
        Flush::Unavailable => Err(Error::Unspecified),
        Flush::Needless => Ok(()),
        Flush::Available if has_failed(handle) => Err(Error::Unspecified),
        Flush::Available if call(entry) => Ok(()),
        Flush::Available => {
            // The device exists, so the handle is below 64.
            FAILED.fetch_or(1u64.wrapping_shl(handle as u32), Relaxed);
            Err(Error::Unspecified)
        }
    }
}

/// Whether a flush of this device, which exists, has failed.
fn has_failed(handle: u64) -> bool {
    FAILED.load(Relaxed).wrapping_shr(handle as u32) & 1 != 0
}

/// Acquires a network interface: its handle, and its properties for the application.
pub(crate) fn net_acquire(name: &[u8]) -> Result<(u64, NetInfo), Error> {
    let (handle, entry) = devices().acquire(name, DeviceType::NetBasic)?;
    let net = entry.net();
    let info = NetInfo { mac_address: net.mac, mtu: net.mtu.get().into() };
    Ok((handle, info))
}

/// Acquires a block device: its handle, and its properties for the application.
pub(crate) fn block_acquire(name: &[u8]) -> Result<(u64, BlockInfo), Error> {
    let (handle, entry) = devices().acquire(name, DeviceType::BlockBasic)?;
    let block = entry.block();
    let info =
        BlockInfo { capacity: block.capacity.get(), block_size: block.block_size.get().into() };
    Ok((handle, info))
}
