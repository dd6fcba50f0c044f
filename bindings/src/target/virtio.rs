//! The virtio target: a machine without a tender (`docs/reference/virtio.md`).
//!
//! The unikernel runs in the CPU's most privileged mode on page tables of its own. On x86_64 interrupts are
//! on only while it sleeps, on aarch64 never. The machine is in `virtio/`.

use core::ptr;

use solo5_abi::offer::{Feature, Features};

use crate::abort::abort;
use crate::api_types::{EXIT_ABORT, Error};
use crate::arch::TrapFrame;
pub(crate) use crate::arch::set_thread_pointer as set_tls_base;
use crate::attached::{self, Transfer, devices as table, has_net};
pub(crate) use crate::attached::{block_acquire, net_acquire};
pub(crate) use crate::virtio::clock::{monotonic as clock_monotonic, wall as clock_wall};
use crate::virtio::interrupt::{self, NAP};
use crate::virtio::{devices, power, serial};

/// The target of the ABI note.
pub(crate) const TARGET: solo5_abi::Target = solo5_abi::Target::Virtio;
/// The version of the ABI note.
pub(crate) const ABI_VERSION: u32 = 1;
/// The features of the ABI note.
pub(crate) const FEATURES: Features =
    Features::of(&[Feature::Stack, Feature::Transfers, Feature::Flush, Feature::Seed]);

pub(crate) fn panic() -> ! {
    abort!("internal error")
}

/// Ends the guest. Frames under way are sent first.
pub(crate) fn exit(status: i32) -> ! {
    devices::drain();
    power::off(status)
}

/// Ends the guest after a trap. Nobody stores the frame. A driver may have been interrupted, so it is
/// not asked for anything.
pub(crate) fn fault(_frame: &TrapFrame) -> ! {
    power::off(EXIT_ABORT)
}

pub(crate) fn console_write(bytes: &[u8]) {
    for byte in bytes {
        if *byte == b'\n' {
            serial::write(b'\r');
        }
        serial::write(*byte);
    }
}

/// Waits for the deadline or for input; returns the network devices that have some.
pub(crate) fn wait(deadline: u64) -> u64 {
    loop {
        interrupt::unmask();
        let ready = devices::poll();
        let left = deadline.saturating_sub(clock_monotonic());
        if ready != 0 || left == 0 {
            return ready;
        }
        interrupt::sleep(if has_net() { left.min(NAP) } else { left });
    }
}

pub(crate) fn net_write(handle: u64, buf: *const u8, size: usize) -> Result<(), Error> {
    let result = net_submit(handle, buf, size);
    net_submitted();
    result
}

pub(crate) use devices::net_submitted;

pub(crate) fn net_submit(handle: u64, buf: *const u8, size: usize) -> Result<(), Error> {
    table().net_write(handle, size)?;
    // SAFETY: by the API's contract the application may read `size` bytes at `buf`.
    unsafe { devices::net_submit(handle, buf, size) }
}

/// # Safety
///
/// `size` bytes at `buf` are the caller's to write.
pub(crate) unsafe fn net_read(handle: u64, buf: *mut u8, size: usize) -> Result<usize, Error> {
    table().net_read(handle, size)?;
    // SAFETY: the caller's promise.
    unsafe { devices::net_read(handle, buf, size) }
}

pub(crate) fn block_flush(handle: u64) -> Result<(), Error> {
    attached::block_flush(handle, |_| devices::block_flush(handle))
}

/// # Safety
///
/// Memory that a read writes has to be the caller's to write.
pub(crate) unsafe fn block_transfer(all: Transfer) -> Result<(), Error> {
    // The devices take any number of blocks in one call.
    attached::transfer(all, false, |_, part| {
        let Transfer { writes, handle, offset, size, .. } = part;
        let buf = ptr::with_exposed_provenance_mut::<u8>(part.buf);
        if writes {
            // SAFETY: by the API's contract the application may read `size` bytes at `buf`.
            unsafe { devices::block_write(handle, offset, buf, size) }
        } else {
            // SAFETY: the caller's promise.
            unsafe { devices::block_read(handle, offset, buf, size) }
        }
        .map(|()| size)
    })
}
