//! Guest memory in the tender's own address space (`docs/reference/spt.md#memory`).
//!
//! ```text
//! 0x11000  .. 0x100000    boot information, manifest, command line, names: read-only once written
//! 0x1f000  .. 0x20000     in between, the seed's page: writable if a seed is offered
//! 0x100000 .. mem_size    the guest's segments, heap and stack
//! ```
//!
//! If the guest has a guard below its stack, the guard has no access. On a host with pages of more than
//! 4 KiB, low memory begins at the page that 0x11000 is in, and all of the seed's page is writable. With
//! 64 KiB the boot information is in that page.
//!
//! No existing mapping is ever replaced: the tender asks the kernel for exactly these addresses,
//! and the kernel refuses if something is mapped there. So the tender need not check where program,
//! heap, stack and vdso lie, and guest memory may extend as far up as there is room.

use std::ops::Range;

use rustix::mm::{MapFlags, ProtFlags};
use solo5_abi::offer::SEED_PAGE;
use solo5_abi::spt::{BOOT_INFO_BASE, GUEST_MIN_BASE};
use solo5_image::Protection;
use solo5_tender::arch::publish_code;
use solo5_tender::error::Error;
use solo5_tender::memory::{GuestMemory, mapping};
use solo5_tender::sys::{Errno, image};

/// Start of guest memory: that of the host's page with the boot information.
fn start() -> u64 {
    let page = image::page_size();
    BOOT_INFO_BASE / page * page
}

/// Maps guest memory up to address `size`: readable, writable, and also executable if `executable`.
/// `size` is a multiple of the page size and at least 1 MiB.
pub fn map(size: u64, executable: bool) -> Result<GuestMemory, Error> {
    let access = ProtFlags::READ | ProtFlags::WRITE;
    let access = if executable { access | ProtFlags::EXEC } else { access };
    match reserve(start()..size, access) {
        Ok(()) => {}
        Err(Errno::EXIST) => {
            return Err(Error::Overlap { size, mapping: mapping_in(start()..size) });
        }
        Err(error) => return Err(Error::Allocate { error }),
    }
    // SAFETY: from `start` to `size` this is a readable and writable mapping that is never
    // unmapped. It is fresh, so it holds no object of this program. Base 0 cannot overflow.
    let memory = unsafe { GuestMemory::from_raw(0, start(), size) };
    memory.prefer_huge_pages();
    Ok(memory)
}

/// Maps these addresses. `EEXIST` if something is already mapped at one of them.
fn reserve(addresses: Range<u64>, access: ProtFlags) -> Result<(), Errno> {
    let start = std::ptr::with_exposed_provenance_mut(addresses.start as usize);
    let length =
        addresses.end.checked_sub(addresses.start).filter(|_| i64::try_from(addresses.end).is_ok());
    let length = length.ok_or(Errno::NOMEM)? as usize;
    let flags = mapping() | MapFlags::FIXED_NOREPLACE;
    // SAFETY: the mapping replaces nothing, so it does not change existing memory. Its length is
    // not 0, and the caller chose its address for the guest.
    let mapped = unsafe { rustix::mm::mmap_anonymous(start, length, access, flags) }?;
    if mapped == start {
        return Ok(());
    }
    // A kernel before 4.17 treats the address as a hint. SAFETY: this is the mapping just made,
    // with that length, and nothing uses it.
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

/// Takes all access from the guard below the stack.
pub fn seal_guard(memory: &GuestMemory, guard: Range<u64>) -> Result<(), Errno> {
    memory.protect(guard, Protection { read: false, write: false, execute: false })
}

/// Makes low memory read-only, except for the seed's page if there is a seed: the guest wipes it.
/// Call it after everything there is written.
pub fn seal_low(memory: &GuestMemory, seed: bool) -> Result<(), Errno> {
    let read_only = Protection { read: true, write: false, execute: false };
    memory.protect(start()..GUEST_MIN_BASE, read_only)?;
    if !seed {
        return Ok(());
    }
    let page = image::page_size();
    let start = SEED_PAGE / page * page;
    memory.protect(start..start + page, Protection::READ_WRITE)
}

/// Gives the segment at `pages` its rights. Code that was loaded there can be executed afterwards.
pub fn give(memory: &GuestMemory, pages: Range<u64>, protection: Protection) -> Result<(), Errno> {
    let (start, length) = (pages.start, pages.end.saturating_sub(pages.start));
    if protection.execute {
        // SAFETY: guest memory begins at address 0, so these are its pages; they are readable until
        // they get their rights.
        unsafe { publish_code(start as usize, length as usize) };
    }
    memory.protect(pages, protection)
}
