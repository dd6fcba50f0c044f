//! Guest memory: the only code that turns a guest's address into bytes.
//!
//! A range of guest memory starts as an [`Allegation`]: two untrusted numbers, an address and a
//! length. [`Allegation::within`] is the only bounds check, for all tenders. Bytes that passed it
//! are only copied. There is never a reference into guest memory, so the guest cannot change a
//! value after it was checked.

use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::os::fd::AsRawFd;

use rustix::mm::{Advice, MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, munmap};
use solo5_image::{Protection, ReadError};

use crate::sys::Errno;
use crate::sys::limits::limit;

/// An unchecked claim that two numbers are a range of guest memory.
///
/// Such a range may lie outside memory, may overflow, and may include pages without the needed
/// rights. [`Allegation::within`] rules out the first two. It does not check rights: that is up to
/// the code that knows the pages' protection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allegation {
    /// Guest address of the first byte.
    pub address: u64,
    /// Length in bytes.
    pub length: u64,
}

impl Allegation {
    /// `length` bytes at guest address `address`.
    pub const fn new(address: u64, length: u64) -> Allegation {
        Allegation { address, length }
    }

    /// Room for a `T` at guest address `address`.
    pub const fn of<T>(address: u64) -> Allegation {
        Allegation { address, length: size_of::<T>() as u64 }
    }

    /// The same range as `usize`, if it is wholly within the guest addresses `memory`. As in
    /// upstream, the address of an empty range must be within them too.
    pub fn within(self, memory: &Range<u64>) -> Result<Range<usize>, OutOfBounds> {
        let end = self.address.checked_add(self.length).ok_or(OutOfBounds)?;
        if !memory.contains(&self.address) || end > memory.end {
            return Err(OutOfBounds);
        }
        match (usize::try_from(self.address), usize::try_from(end)) {
            (Ok(start), Ok(end)) => Ok(start..end),
            _ => Err(OutOfBounds),
        }
    }
}

/// An address range that is not wholly in guest memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfBounds;

impl fmt::Display for OutOfBounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("outside guest memory")
    }
}

impl std::error::Error for OutOfBounds {}

/// How guest memory is mapped: private, which is faster, unless there is a limit on data (`ulimit
/// -d`). That limit counts only private memory, and guest memory must not count as the tender's
/// data. If the limit cannot be read, the memory is shared too.
pub fn mapping() -> MapFlags {
    match limit(libc::RLIMIT_DATA as libc::c_int) {
        Ok(None) => MapFlags::PRIVATE,
        Ok(Some(_)) | Err(_) => MapFlags::SHARED,
    }
}

/// Checks that this host gives a process `size` bytes of memory for a guest, as far as that can be known
/// without using them.
///
/// # Errors
///
/// It does not.
pub fn check_room(size: u64) -> Result<(), Errno> {
    let size = usize::try_from(size).map_err(|_| Errno::NOMEM)?;
    let access = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: without a fixed address the mapping replaces nothing.
    let mapped = unsafe { mmap_anonymous(std::ptr::null_mut(), size, access, mapping()) }?;
    // SAFETY: this is the mapping just made, with that length, and nothing uses it.
    unsafe { munmap(mapped, size) }
}

/// Size of a huge page. Guest address 0 must be aligned to it for guest memory to have any.
pub const HUGE_PAGE: u64 = 2 << 20;

/// Whether guest memory of `size` bytes is large enough for huge pages.
pub fn has_huge_pages(size: u64) -> bool {
    huge(&(0..size)).is_some()
}

/// The part of guest memory that is worth huge pages: not the image and the start of the heap, and
/// not the stack.
fn huge(addresses: &Range<u64>) -> Option<Range<u64>> {
    const START: u64 = 16 << 20;
    const REST: u64 = 8 << 20;
    let end = addresses.end.checked_sub(REST)? / HUGE_PAGE * HUGE_PAGE;
    (addresses.start <= START && START < end).then_some(START..end)
}

/// The memory of one guest, mapped into this process.
///
/// Guest addresses from `first` to `size` are backed by memory; `base` is the host address of guest
/// address 0. The content is only accessed by copying, and only while no guest runs in another
/// thread.
#[derive(Debug)]
pub struct GuestMemory {
    base: usize,
    /// The guest addresses that are backed by memory.
    addresses: Range<u64>,
}

impl GuestMemory {
    /// Guest memory whose guest address 0 is host address `base`.
    ///
    /// # Safety
    ///
    /// The host addresses `base + first .. base + size` are one readable and writable mapping that
    /// holds no object of this program and lives as long as the value. `base + size` does not
    /// overflow.
    pub unsafe fn from_raw(base: usize, first: u64, size: u64) -> GuestMemory {
        GuestMemory { base, addresses: first..size }
    }

    /// End of guest memory in bytes, counted from guest address 0.
    pub fn size(&self) -> u64 {
        self.addresses.end
    }

    /// The host address of guest address `at`, if all `length` bytes there are guest memory.
    fn host(&self, at: u64, length: u64) -> Result<usize, OutOfBounds> {
        let range = Allegation::new(at, length).within(&self.addresses)?;
        // In bounds, and `base + size` does not overflow.
        Ok(self.base + range.start)
    }

    /// Asks the kernel to back guest memory by huge pages, which the processor finds faster. This
    /// is a wish: nothing depends on it. Guests that use little memory touch only the ends, and
    /// those keep small pages: a huge page is zeroed as a whole and counts as a whole.
    pub fn prefer_huge_pages(&self) {
        let Some(range) = huge(&self.addresses) else { return };
        let Ok(host) = self.host(range.start, range.end - range.start) else { return };
        let start = std::ptr::with_exposed_provenance_mut(host);
        // SAFETY: by `host` the range is guest memory, whose content the advice does not change.
        let advised = unsafe {
            let length = (range.end - range.start) as usize;
            rustix::mm::madvise(start, length, Advice::LinuxHugepage)
        };
        // A kernel without huge pages refuses.
        let _ = advised;
    }

    /// Has the kernel make the pages of this range, which are about to be written, without a fault for each.
    /// `range` has whole pages. A kernel before 5.14 refuses, which changes nothing.
    pub fn populate(&self, range: Range<u64>) {
        let length = range.end.saturating_sub(range.start);
        let Ok(host) = self.host(range.start, length) else { return };
        let start = std::ptr::with_exposed_provenance_mut(host);
        // SAFETY: by `host` the range is guest memory, whose content the advice does not change.
        let advised =
            unsafe { rustix::mm::madvise(start, length as usize, Advice::LinuxPopulateWrite) };
        let _ = advised;
    }

    /// Copies `bytes` to guest address `at`.
    pub fn write(&self, at: u64, bytes: &[u8]) -> Result<(), OutOfBounds> {
        let to = self.host(at, bytes.len() as u64)?;
        let to = std::ptr::with_exposed_provenance_mut::<u8>(to);
        // SAFETY: by `host` and `from_raw`, `to` is the start of `bytes.len()` writable bytes. No
        // object of this program is there, so `bytes` does not overlap them.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
        Ok(())
    }

    /// Copies from guest address `at` to `bytes`.
    pub fn read(&self, at: u64, bytes: &mut [u8]) -> Result<(), OutOfBounds> {
        let from = self.host(at, bytes.len() as u64)?;
        let from = std::ptr::with_exposed_provenance::<u8>(from);
        // SAFETY: by `host` and `from_raw`, `from` is the start of `bytes.len()` readable bytes. No
        // object of this program is there, so `bytes` does not overlap them.
        unsafe { std::ptr::copy_nonoverlapping(from, bytes.as_mut_ptr(), bytes.len()) };
        Ok(())
    }

    /// Fills `length` bytes at guest address `at`, at most 256, with random bytes of the host. The
    /// kernel writes them, so this program has no copy. The outer error is a range outside guest
    /// memory, the inner one a call that failed.
    pub fn randomize(&self, at: u64, length: usize) -> Result<Result<(), Errno>, OutOfBounds> {
        let host = self.host(at, length as u64)?;
        let to = std::ptr::with_exposed_provenance_mut::<u8>(host);
        loop {
            // SAFETY: by `host` and `from_raw`, `to` is the start of `length` writable bytes; the
            // kernel writes no more than that.
            let got = unsafe { libc::syscall(libc::SYS_getrandom, to, length, 0) };
            if usize::try_from(got) == Ok(length) {
                return Ok(Ok(()));
            }
            // Up to 256 bytes come whole, unless a signal ends the wait for the host's first
            // random bytes.
            let error = Errno::from_io_error(&std::io::Error::last_os_error());
            match error.unwrap_or(Errno::IO) {
                Errno::INTR => {}
                error => return Ok(Err(error)),
            }
        }
    }

    /// Reads the range `content` of a file to guest address `at`. Returns the number of bytes read,
    /// which is less than requested only at the end of the file. The outer error is a range outside
    /// guest memory, the inner one a read that failed.
    pub fn fill(
        &self,
        at: u64,
        file: &File,
        content: Range<u64>,
    ) -> Result<Result<u64, ReadError>, OutOfBounds> {
        let length = content.end.checked_sub(content.start).ok_or(OutOfBounds)?;
        let host = self.host(at, length)?;
        let mut done = 0;
        while done < length {
            let Ok(offset) = libc::off_t::try_from(content.start.saturating_add(done)) else {
                return Ok(Err(ReadError(libc::EINVAL)));
            };
            let to = std::ptr::with_exposed_provenance_mut(host + done as usize);
            let left = (length - done) as usize;
            // SAFETY: by `host` and `from_raw`, `to` is the start of `left` writable bytes; the
            // kernel writes no more than that.
            let got = unsafe { libc::pread(file.as_raw_fd(), to, left, offset) };
            match u64::try_from(got) {
                Ok(0) => break,
                Ok(got) => done += got,
                Err(_) => {
                    let error = std::io::Error::last_os_error();
                    if error.kind() != std::io::ErrorKind::Interrupted {
                        let number = error.raw_os_error().unwrap_or(libc::EIO);
                        return Ok(Err(ReadError(number)));
                    }
                }
            }
        }
        Ok(Ok(done))
    }

    /// Sets the protection of `pages`, given as guest addresses.
    pub fn protect(&self, pages: Range<u64>, protection: Protection) -> Result<(), Errno> {
        let length = pages.end.checked_sub(pages.start).ok_or(Errno::INVAL)?;
        let host = self.host(pages.start, length).map_err(|_| Errno::INVAL)?;
        let flag = |has, flag| if has { flag } else { MprotectFlags::empty() };
        let flags = flag(protection.read, MprotectFlags::READ)
            | flag(protection.write, MprotectFlags::WRITE)
            | flag(protection.execute, MprotectFlags::EXEC);
        let start = std::ptr::with_exposed_provenance_mut(host);
        // SAFETY: by `host` the range is guest memory, so no page of the program itself loses a
        // right. A later copy to a protected page would fault, so callers protect last.
        unsafe { rustix::mm::mprotect(start, length as usize, flags) }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// Guest memory in a test buffer of 64 bytes; the first 16 are not the guest's.
    fn memory(buffer: &mut [u8; 64]) -> GuestMemory {
        let base = buffer.as_mut_ptr().expose_provenance();
        // SAFETY: the caller keeps the buffer borrowed while the value is in use.
        unsafe { GuestMemory::from_raw(base, 16, 64) }
    }

    #[test]
    fn only_large_memory_has_huge_pages_and_only_in_the_middle() {
        const MIB: u64 = 1 << 20;
        for size in [0, MIB, 24 * MIB, 25 * MIB, 26 * MIB - 1] {
            assert_eq!(huge(&(0x11000..size)), None, "{size}");
        }
        assert_eq!(huge(&(0x11000..26 * MIB)), Some(16 * MIB..18 * MIB));
        assert_eq!(huge(&(0..513 * MIB)), Some(16 * MIB..504 * MIB));
    }

    #[test]
    fn only_ranges_wholly_in_bounds_are_accessed() {
        let mut buffer = [0; 64];
        let memory = memory(&mut buffer);
        memory.write(16, b"ab").unwrap();
        memory.write(62, b"yz").unwrap();
        memory.write(63, b"").unwrap();
        let mut read = [0; 2];
        memory.read(62, &mut read).unwrap();
        assert_eq!(&read, b"yz");
        for bad in [0, 15, 63, 64, 65, u64::MAX - 1, u64::MAX] {
            assert_eq!(memory.write(bad, b"ab"), Err(OutOfBounds), "{bad}");
            assert_eq!(memory.read(bad, &mut read), Err(OutOfBounds), "{bad}");
        }
    }

    #[test]
    fn randomize_fills_exactly_its_range() {
        let mut buffer = [0; 64];
        let memory = memory(&mut buffer);
        assert_eq!(memory.randomize(24, 32), Ok(Ok(())));
        assert_eq!(memory.randomize(40, 32), Err(OutOfBounds));
        assert_eq!(memory.randomize(0, 32), Err(OutOfBounds));
        assert_ne!(buffer[24..56], [0; 32]);
        assert_eq!((&buffer[..24], &buffer[56..]), (&[0; 24][..], &[0; 8][..]));
    }

    #[test]
    fn fill_stops_at_the_end_of_the_file_and_refuses_ranges_out_of_bounds() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"0123456789").unwrap();
        let mut buffer = [0; 64];
        let memory = memory(&mut buffer);
        assert_eq!(memory.fill(20, &file, 2..6), Ok(Ok(4)));
        assert_eq!(memory.fill(40, &file, 8..20), Ok(Ok(2)));
        assert_eq!(memory.fill(60, &file, 0..5), Err(OutOfBounds));
        let huge = 1 << 63;
        let error = memory.fill(20, &file, huge..huge + 1);
        assert_eq!(error, Ok(Err(ReadError(libc::EINVAL))));
        assert_eq!(&buffer[20..24], b"2345");
        assert_eq!(&buffer[40..43], b"89\0");
    }
}
