//! A PC, by Multiboot or PVH (`docs/reference/virtio.md#boot`).

use core::ffi::CStr;
use core::ptr;
use core::slice;
use core::sync::atomic::Ordering::Relaxed;

use super::{DESCRIBED, DESCRIBED_COUNT, LINE, Machine, copy, until_nul};
use crate::abort::abort;
use crate::arch::{self, boot, control};
use crate::virtio::info::{self, LINE_MAX, Multiboot, Pvh, RANGES};
use crate::virtio::setup::{Global, Setup};
use crate::virtio::{acpi, firmware, fw_cfg, interrupt, names, serial, transports};
use crate::{start, target, trap};

/// Where QEMU's list of virtio-mmio transports goes.
static ANNOUNCED: Global<[u8; LINE_MAX + 1]> = Global::new([0; LINE_MAX + 1]);

/// Entered from `arch::boot`, with `info` as the loader's and the number of its protocol.
///
/// # Safety
///
/// The loader follows the protocol.
#[unsafe(no_mangle)]
unsafe extern "C" fn _start(info: u64, protocol: u64) -> ! {
    start::guard(None);
    // Uses of thread-local storage before the application sets it up have to fault.
    target::set_tls_base(0);
    serial::init();
    arch::handle_traps(trap::report);
    control::harden();
    // SAFETY: the caller's promise.
    super::begin(unsafe { read(info, protocol == boot::PVH.into()) })
}

/// Starts interrupts.
pub(super) fn begin(setup: &mut Setup<'_>) {
    interrupt::begin(setup);
}

/// Ends the unikernel, for which there is no memory.
pub(super) fn no_memory() -> ! {
    abort!("The loader names no memory at 1 MiB");
}

/// Pages of registers that are used from the start on.
pub(super) fn registers() -> &'static [u64] {
    &[]
}

/// The line that announces transports.
pub(super) fn announced() -> &'static [u8] {
    // SAFETY: the reference is the only one, and nothing writes there any more.
    until_nul(unsafe { ANNOUNCED.get() })
}

/// Copies what the loader says out of the memory that the heap will be.
///
/// # Safety
///
/// `info` is the loader's, and its structures are below 4 GiB.
unsafe fn read(info: u64, pvh: bool) -> Machine {
    let bytes = |address: u64, size: usize| -> &'static [u8] {
        if address == 0 || address >> 32 != 0 {
            return &[];
        }
        // SAFETY: the loader's structures are mapped, and stay until the heap is used.
        unsafe { slice::from_raw_parts(ptr::with_exposed_provenance(address as usize), size) }
    };
    let mut ranges = [const { 0..0 }; RANGES];
    let mut keep = |found: &mut dyn Iterator<Item = core::ops::Range<u64>>| {
        for (slot, range) in ranges.iter_mut().zip(found) {
            *slot = range;
        }
    };
    let (line, loader) = if pvh {
        let Some(read) = Pvh::read(bytes(info, Pvh::SIZE)) else {
            abort!("Not a PVH start information");
        };
        firmware::set_root(read.rsdp);
        keep(&mut info::pvh_ranges(bytes(read.map, read.map_length)));
        (read.line, 0)
    } else {
        let read = Multiboot::read(bytes(info, Multiboot::SIZE));
        keep(&mut info::multiboot_ranges(bytes(read.map, read.map_length)));
        (read.line, read.loader)
    };
    // SAFETY: the reference is the only one and ends with this function.
    let own = unsafe { LINE.get() };
    // SAFETY: as above.
    let announced = unsafe { ANNOUNCED.get() };
    let string = |address: u64| -> &'static [u8] {
        if address == 0 || address >> 32 != 0 {
            return &[];
        }
        // SAFETY: the loader's string is mapped, and stays until the heap is used.
        unsafe { CStr::from_ptr(ptr::with_exposed_provenance(address as usize)) }.to_bytes()
    };
    let boot_disk = names::boot_disk(string(loader));
    let mut text = string(line);
    if pvh {
        // Transports are announced on the same line, at its end.
        if let (Some(slots), Some(all)) = (announced.get_mut(..LINE_MAX), text.get(..)) {
            copy(slots, all.get(transports::without(all)..).unwrap_or_default());
        }
        text = text.get(..transports::without(text)).unwrap_or_default();
    } else {
        text = info::behind_name(text);
        if let Some(slots) = announced.get_mut(..LINE_MAX) {
            fw_cfg::command_line(slots);
        }
    }
    if let Some(slots) = own.get_mut(..LINE_MAX) {
        copy(slots, text);
    }
    if transports::announced(announced).next().is_none()
        && let Some(root) = firmware::root()
    {
        // SAFETY: as above.
        let count = acpi::transports(&firmware::Low, root, unsafe { DESCRIBED.get() });
        DESCRIBED_COUNT.store(count, Relaxed);
    }
    Machine { ranges, cut: text.len() > LINE_MAX, boot_disk, seed: None }
}
