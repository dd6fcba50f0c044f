//! How many bits the addresses of a process have, where that depends on the kernel.

use rustix::mm::{MapFlags, ProtFlags};
use solo5_tender::sys::{Errno, image};

/// End of the addresses that a process can map: 2 to the first of `bits`, which go down, at which the
/// kernel maps the last page. The kernel does not say it, but it refuses to map a page beyond.
pub(crate) fn addresses_end(bits: &[u32]) -> u64 {
    let mut ends = bits.iter().map(|bits| 1u64 << bits);
    let least = ends.clone().next_back().unwrap_or_default();
    ends.find(|end| is_address(end - image::page_size())).unwrap_or(least)
}

/// Whether a process can map the page at `page`.
fn is_address(page: u64) -> bool {
    let (at, length) =
        (std::ptr::with_exposed_provenance_mut(page as usize), image::page_size() as usize);
    let flags = MapFlags::PRIVATE | MapFlags::NORESERVE | MapFlags::FIXED_NOREPLACE;
    // SAFETY: the mapping replaces nothing.
    match unsafe { rustix::mm::mmap_anonymous(at, length, ProtFlags::empty(), flags) } {
        Ok(mapped) => {
            // SAFETY: the mapping just made, which nothing uses. A kernel before 4.17 treats the
            // address as a hint.
            let _ = unsafe { rustix::mm::munmap(mapped, length) };
            mapped == at
        }
        Err(error) => error == Errno::EXIST,
    }
}
