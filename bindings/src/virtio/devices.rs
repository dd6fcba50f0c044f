//! The devices of the machine, driven: what the target calls.
//!
//! The target has checked handle, offset and size of a call before it gets here. A handle is the
//! index of an entry.

use solo5_abi::mft1::ENTRIES_MAX;

pub(crate) use super::attach::attach;
use super::clock;
use super::disk::{Disk, Request};
use super::hardware::Hardware;
use super::names::Devices;
use super::nic::{Nic, Nothing};
use super::pci::Place;
use super::setup::{Global, Setup, physical};
use super::shared::Shared;
use super::transport::Machine;
use crate::api_types::Error;

/// Most devices, a boot disk included.
pub(super) const MOST: usize = ENTRIES_MAX;

/// A device with its driver.
pub(super) struct Device {
    pub(super) driver: Driver,
    pub(super) bus: Bus,
    /// Its interrupt line.
    pub(super) line: u32,
    /// Whether it shares its interrupt line with a network device.
    pub(super) shares: bool,
}

/// A driver.
pub(super) enum Driver {
    /// A block device's.
    Disk(Disk<Hardware>),
    /// A network device's.
    Nic(Nic<Hardware>),
}

/// Where a device is.
#[derive(Clone, Copy)]
pub(super) enum Bus {
    /// The function's place.
    Pci(Place),
    /// The physical address of its registers.
    Mmio(u64),
}

/// The devices in the order in which they were found.
pub(super) static DEVICES: Global<[Option<Device>; MOST]> = Global::new([const { None }; MOST]);
/// The device of each entry.
pub(super) static OWNED: Global<Devices> = Global::new([None; ENTRIES_MAX]);

/// The machine, with its memory while devices attach.
pub(super) struct Pc<'a, 'b>(pub(super) Option<&'a mut Setup<'b>>);

impl Machine for Pc<'_, '_> {
    fn now(&self) -> u64 {
        clock::monotonic()
    }

    fn pause(&self) {
        core::hint::spin_loop();
    }

    fn pages(&mut self, count: usize) -> Option<Shared> {
        /// The size of a page in bytes.
        const PAGE: usize = 4096;
        let pages = self.0.as_mut()?.pages(count as u64)?;
        let len = count.checked_mul(PAGE)?;
        // SAFETY: the pages are the drivers' for good.
        Some(unsafe { Shared::new(pages.start, len, pages.physical) })
    }
}

/// The machine after the devices were attached.
pub(super) const RUNNING: Pc<'static, 'static> = Pc(None);

/// Calls `call` with the driver of `handle`.
fn with<T>(handle: u64, call: impl FnOnce(&mut Driver) -> Result<T, Error>) -> Result<T, Error> {
    // SAFETY: a driver calls nothing that gets here, so the references are the only ones. They end
    // with the call.
    let (owned, devices) = unsafe { both() };
    let index =
        usize::try_from(handle).ok().and_then(|handle| owned.get(handle).copied().flatten());
    let device = index.and_then(|index| devices.get_mut(usize::from(index))?.as_mut());
    call(&mut device.ok_or(Error::Unspecified)?.driver)
}

/// Both tables.
///
/// # Safety
///
/// As for [`Global::get`].
unsafe fn both() -> (&'static Devices, &'static mut [Option<Device>; MOST]) {
    // SAFETY: the caller's promise.
    let owned = unsafe { OWNED.get() };
    // SAFETY: likewise.
    (owned, unsafe { DEVICES.get() })
}

fn with_nic<T>(
    handle: u64,
    call: impl FnOnce(&mut Nic<Hardware>) -> Result<T, Error>,
) -> Result<T, Error> {
    with(handle, |driver| match driver {
        Driver::Nic(nic) => call(nic),
        Driver::Disk(_) => Err(Error::Invalid),
    })
}

fn with_disk<T>(
    handle: u64,
    call: impl FnOnce(&mut Disk<Hardware>) -> Result<T, Error>,
) -> Result<T, Error> {
    with(handle, |driver| match driver {
        Driver::Disk(disk) => call(disk),
        Driver::Nic(_) => Err(Error::Invalid),
    })
}

/// Acknowledges the devices' interrupts, and returns the network devices that have a frame, bit N for
/// handle N. Called before and after each sleep, with interrupts off.
pub(crate) fn poll() -> u64 {
    let mut ready = 0;
    // SAFETY: a driver calls nothing that gets here, so the references are the only ones.
    let (owned, devices) = unsafe { both() };
    for (handle, owner) in (0u32..).zip(owned) {
        let device = owner.and_then(|owner| devices.get_mut(usize::from(owner))?.as_mut());
        match device {
            Some(Device { driver: Driver::Nic(nic), .. }) => {
                ready |= u64::from(nic.poll()).wrapping_shl(handle);
            }
            Some(Device { driver: Driver::Disk(disk), shares: true, .. }) => disk.acknowledge(),
            _ => {}
        }
    }
    ready
}

/// Waits until the devices have sent what they were given, each for a second at most.
pub(crate) fn drain() {
    // SAFETY: nobody has a reference to this table for longer than a moment.
    if unsafe { OWNED.get() }.iter().all(Option::is_none) {
        // None are attached, or that is going on.
        return;
    }
    // SAFETY: a driver calls nothing that gets here, so the reference is the only one.
    for device in unsafe { DEVICES.get() }.iter_mut().flatten() {
        if let Driver::Nic(nic) = &mut device.driver {
            nic.drain(&RUNNING);
        }
    }
}

/// Sends a frame, or drops it if the device takes none. The device may get to know of it only by
/// [`net_submitted`].
///
/// # Safety
///
/// `size` bytes at `buf` can be read.
pub(crate) unsafe fn net_submit(handle: u64, buf: *const u8, size: usize) -> Result<(), Error> {
    with_nic(handle, |nic| {
        // SAFETY: the caller's promise.
        unsafe { nic.submit(&RUNNING, buf, size) }.map_err(|_| Error::Unspecified)
    })
}

/// Tells the devices of the frames of [`net_submit`].
pub(crate) fn net_submitted() {
    // SAFETY: a driver calls nothing that gets here, so the reference is the only one.
    for device in unsafe { DEVICES.get() }.iter_mut().flatten() {
        if let Driver::Nic(nic) = &mut device.driver {
            nic.submitted();
        }
    }
}

/// Receives one frame into `buf`, which has room for the longest; returns its length. `Again` if there
/// is none.
///
/// # Safety
///
/// `size` bytes at `buf` are the caller's to write.
pub(crate) unsafe fn net_read(handle: u64, buf: *mut u8, size: usize) -> Result<usize, Error> {
    with_nic(handle, |nic| {
        // SAFETY: the caller's promise.
        unsafe { nic.read(&RUNNING, buf, size) }.map_err(|nothing| match nothing {
            Nothing::Yet => Error::Again,
            Nothing::Broken => Error::Unspecified,
        })
    })
}

/// Reads whole blocks; `size` may be any number of them.
///
/// # Safety
///
/// `size` bytes at `buf` are the caller's to write.
pub(crate) unsafe fn block_read(
    handle: u64,
    offset: u64,
    buf: *mut u8,
    size: usize,
) -> Result<(), Error> {
    // SAFETY: the caller's promise.
    unsafe { transfer(Request::Read, handle, offset, buf, size) }
}

/// Writes whole blocks; `size` may be any number of them.
///
/// # Safety
///
/// `size` bytes at `buf` can be read.
pub(crate) unsafe fn block_write(
    handle: u64,
    offset: u64,
    buf: *const u8,
    size: usize,
) -> Result<(), Error> {
    // SAFETY: the caller's promise; a write only reads.
    unsafe { transfer(Request::Write, handle, offset, buf.cast_mut(), size) }
}

/// # Safety
///
/// As for [`Disk::transfer`].
unsafe fn transfer(
    request: Request,
    handle: u64,
    offset: u64,
    buf: *mut u8,
    size: usize,
) -> Result<(), Error> {
    with_disk(handle, |disk| {
        // SAFETY: the caller's promise.
        let outcome = unsafe { disk.transfer(&RUNNING, physical, request, offset, buf, size) };
        outcome.map_err(|_| Error::Unspecified)
    })
}

/// Makes everything written permanent; returns whether that succeeded.
pub(crate) fn block_flush(handle: u64) -> bool {
    with_disk(handle, |disk| disk.flush(&RUNNING).map_err(|_| Error::Unspecified)).is_ok()
}
