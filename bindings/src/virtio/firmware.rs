//! The firmware's tables in memory: read at the start and at the end, through the tables that map the
//! first 4 GiB to themselves.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use core::{ptr, slice};

use super::acpi::{self, Physical};

/// The address of ACPI's root pointer, if the loader said it.
static ROOT: AtomicU64 = AtomicU64::new(0);

/// Sets the address of ACPI's root pointer.
pub(crate) fn set_root(address: u64) {
    ROOT.store(address, Relaxed);
}

/// Memory below 4 GiB, through the tables from the start.
pub(crate) struct Low;

impl Physical for Low {
    fn bytes(&self, address: u64, size: usize) -> Option<&[u8]> {
        let end = address.checked_add(size as u64)?;
        if address == 0 || end > 1 << 32 {
            return None;
        }
        // SAFETY: the tables in use map it. Memory that the firmware uses does not change now, and
        // where there is no memory, a read gives ones.
        Some(unsafe { slice::from_raw_parts(ptr::with_exposed_provenance(address as usize), size) })
    }
}

/// The root pointer of ACPI: as the loader said, else in the first KiB of the extended BIOS area, else
/// in the BIOS itself.
pub(crate) fn root() -> Option<u64> {
    match ROOT.load(Relaxed) {
        0 => {}
        address => return Some(address),
    }
    const AREA: u64 = 0x40e;
    let extended = Low.bytes(AREA, 2).map_or(0, |bytes| match bytes {
        [low, high] => u64::from(u16::from_le_bytes([*low, *high])) << 4,
        _ => 0,
    });
    [(extended, 0x400), (0xe_0000, 0x2_0000)].into_iter().find_map(|(start, size)| {
        let at = acpi::find_root(Low.bytes(start, size)?)?;
        Some(start.wrapping_add(at as u64))
    })
}
