//! A machine of Arm, by its device tree (`docs/reference/virtio.md#aarch64-boot`).

use core::ops::Range;
use core::ptr;
use core::slice;
use core::sync::atomic::Ordering::Relaxed;

use super::{DESCRIBED, DESCRIBED_COUNT, LINE, Machine, copy};
use crate::abort::abort;
use crate::arch;
use crate::virtio::info::LINE_MAX;
use crate::virtio::setup::{Global, Setup};
use crate::virtio::tree::{self, Conduit, Gic};
use crate::virtio::{clock, configuration, interrupt, power, serial};
use crate::{start, target, trap};

/// Where loaders that pass no address put the tree: at the beginning of memory.
const FALLBACK: u64 = 0x4000_0000;
/// The memory that the tables of the start map.
const MAPPED: Range<u64> = 0x4000_0000..0x8000_0000;
/// The console of a machine whose tree cannot be read, so that the reason is seen.
const SERIAL: u64 = 0x900_0000;

/// The level of hypervisors, as the CPU's register has it.
const EL2: u64 = 2 << 2;

/// What the second part of the start needs.
struct Parts {
    gic: Option<Gic>,
    timer: Option<u32>,
    clock: Option<u64>,
}

static PARTS: Global<Parts> = Global::new(Parts { gic: None, timer: None, clock: None });
/// Pages of registers that are used from the start on: the console's.
static REGISTERS: Global<[u64; 1]> = Global::new([SERIAL]);

/// Entered from `arch::boot`, with the address of the tree, or 0, and the exception level of the start, as the
/// CPU's register has it.
///
/// # Safety
///
/// The tables of the start are in use.
#[unsafe(no_mangle)]
unsafe extern "C" fn solo5_start(address: u64, level: u64) -> ! {
    start::guard(None);
    // Uses of thread-local storage before the application sets it up have to fault.
    target::set_tls_base(0);
    arch::handle_traps(trap::report);
    // SAFETY: the reference is the only one and ends with this function.
    let transports = unsafe { DESCRIBED.get() };
    let found = [address, FALLBACK].into_iter().find_map(bytes);
    let Some((tree, count)) = found.and_then(|bytes| tree::read(bytes, transports)) else {
        serial::init(SERIAL);
        // After a start as the hypervisor there is only the firmware above.
        let was_hypervisor = level == EL2;
        let conduit = if was_hypervisor { Conduit::Monitor } else { Conduit::Hypervisor };
        power::set_firmware(Some(conduit));
        abort!("No device tree that can be read");
    };
    DESCRIBED_COUNT.store(count, Relaxed);
    power::set_firmware(tree.firmware);
    configuration::set_host(tree.pci);
    // SAFETY: the references to these statics are the only ones, and end here.
    *unsafe { PARTS.get() } = Parts { gic: tree.gic, timer: tree.timer, clock: tree.clock };
    if let Some(address) = tree.serial {
        serial::init(address);
        // SAFETY: as above.
        *unsafe { REGISTERS.get() } = [address];
    }
    // SAFETY: as above.
    if let Some(slots) = unsafe { LINE.get() }.get_mut(..LINE_MAX) {
        copy(slots, tree.line);
    }
    let cut = tree.line.len() > LINE_MAX;
    super::begin(Machine { ranges: tree.memory, cut, boot_disk: None, seed: tree.seed })
}

/// The tree at an address, as its header says how long it is.
fn bytes(address: u64) -> Option<&'static [u8]> {
    const HEADER: usize = 8;
    let at = |size: usize| -> Option<&'static [u8]> {
        let end = address.checked_add(size as u64)?;
        // A tree is aligned, so that its numbers are.
        if !MAPPED.contains(&address) || end > MAPPED.end || !address.is_multiple_of(8) {
            return None;
        }
        // SAFETY: the tables of the start map it. Memory that the loader has filled does not change
        // until the heap is used, and what this is read for is copied before.
        Some(unsafe { slice::from_raw_parts(ptr::with_exposed_provenance(address as usize), size) })
    };
    let size = tree::size(at(HEADER)?.first_chunk()?)?;
    at(size as usize)
}

/// Uses the other parts of the machine.
pub(super) fn begin(setup: &mut Setup<'_>) {
    // SAFETY: the reference is the only one and ends with this function.
    let parts = unsafe { PARTS.get() };
    interrupt::begin(setup, parts.gic, parts.timer);
    if let Some(address) = parts.clock {
        clock::use_real(setup, address);
    }
}

/// Ends the unikernel, for which there is no memory.
pub(super) fn no_memory() -> ! {
    abort!("The device tree names no memory at 0x40200000");
}

/// Pages of registers that are used from the start on.
pub(super) fn registers() -> &'static [u64] {
    // SAFETY: nothing writes there any more.
    unsafe { REGISTERS.get() }
}

/// The line that announces transports: the tree does it.
pub(super) fn announced() -> &'static [u8] {
    b""
}
