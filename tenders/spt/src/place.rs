//! Guest memory in the tender's own address space (`docs/reference/spt.md#memory`).
//!
//! ```text
//! 0x10000  .. 0x11000     nobody's: no access
//! 0x11000  .. 0x100000    boot information, manifest, command line: read-only once written
//! 0x100000 .. mem_size    the guest's segments, heap and stack
//! ```
//!
//! Nothing is ever replaced: the kernel is asked for exactly these addresses, and refuses if
//! anything of the tender's is there. That is the whole check of where program, heap, stack and
//! vdso lie, so guest memory may reach as far up as there is room.

use std::ops::Range;

use rustix::mm::{MapFlags, MprotectFlags, ProtFlags};
use solo5_abi::spt::{BOOT_INFO_BASE, GUEST_MIN_BASE, HOST_MEM_BASE};
use solo5_image::Protection;
use solo5_tender::error::Error;
use solo5_tender::memory::{GuestMemory, mapping};
use solo5_tender::sys::Errno;

/// Addresses of low memory, which the guest only reads.
const LOW: Range<u64> = BOOT_INFO_BASE..GUEST_MIN_BASE;

/// Maps guest memory of `size` bytes from address 0: readable, writable, and executable if
/// `executable` says so. `size` is a multiple of the page size and above 1 MiB or equal to it.
pub fn map(size: u64, executable: bool) -> Result<GuestMemory, Error> {
    match reserve(HOST_MEM_BASE..size) {
        Ok(()) => {}
        Err(Errno::EXIST) => {
            return Err(Error::InTheWay { size, mapping: mapping_in(HOST_MEM_BASE..size) });
        }
        Err(error) => return Err(Error::Allocate { error }),
    }
    let flags = MprotectFlags::READ | MprotectFlags::WRITE;
    let flags = if executable { flags | MprotectFlags::EXEC } else { flags };
    let start = std::ptr::with_exposed_provenance_mut(BOOT_INFO_BASE as usize);
    let length = (size - BOOT_INFO_BASE) as usize;
    // SAFETY: the range is part of what `reserve` has just mapped, and nothing uses it yet.
    unsafe { rustix::mm::mprotect(start, length, flags) }
        .map_err(|error| Error::Allocate { error })?;
    // SAFETY: from here to `size` is a mapping of ours that is readable and writable and never
    // unmapped; it is fresh, so nothing of the program's is in it. Base 0 cannot overflow.
    Ok(unsafe { GuestMemory::from_raw(0, BOOT_INFO_BASE, size) })
}

/// Maps these addresses without any access; `EEXIST` if one is taken.
fn reserve(addresses: Range<u64>) -> Result<(), Errno> {
    let start = std::ptr::with_exposed_provenance_mut(addresses.start as usize);
    let length =
        addresses.end.checked_sub(addresses.start).filter(|_| i64::try_from(addresses.end).is_ok());
    let length = length.ok_or(Errno::NOMEM)? as usize;
    let flags = mapping() | MapFlags::FIXED_NOREPLACE;
    // SAFETY: without access and without replacing anything, the mapping changes nothing that
    // exists. Its length is not 0, and its address is one the caller chose for the guest.
    let mapped = unsafe { rustix::mm::mmap_anonymous(start, length, ProtFlags::empty(), flags) }?;
    if mapped == start {
        return Ok(());
    }
    // A kernel before 4.17 takes the address as a wish.
    // SAFETY: this is the mapping just made, of that length, and nothing uses it.
    unsafe { rustix::mm::munmap(mapped, length) }?;
    Err(Errno::EXIST)
}

/// The first mapping of this process that overlaps `addresses`, as `/proc/self/maps` shows it.
fn mapping_in(addresses: Range<u64>) -> Option<String> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let found = maps.lines().find(|line| {
        let range = line.split(' ').next().and_then(|range| range.split_once('-'));
        let number = |text| u64::from_str_radix(text, 16).ok();
        range
            .and_then(|(start, end)| Some((number(start)?, number(end)?)))
            .is_some_and(|(start, end)| start < addresses.end && end > addresses.start)
    });
    found.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Makes low memory read-only, after everything in it was written.
pub fn seal_low(memory: &GuestMemory) -> Result<(), Errno> {
    let read_only = Protection { read: true, write: false, execute: false };
    memory.protect(LOW, read_only)
}
