//! Guest memory: the only way from a guest's address to bytes.
//!
//! A range of guest memory starts as an [`Allegation`]: two numbers someone says are its address and
//! length. [`Allegation::within`] is the one check against the bounds of guest memory, for all
//! tenders. What passed it is only copied: no reference into guest memory ever exists, so nothing a
//! guest does can change what was checked.

use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::os::fd::AsRawFd;

use rustix::mm::{MapFlags, MprotectFlags};
use rustix::process::{Resource, getrlimit};
use solo5_image::{Protection, ReadError};

use crate::sys::Errno;

/// What is alleged to be a range of guest memory.
///
/// Holding one proves nothing but that someone named these two numbers: the range may lie outside
/// memory, may overflow, and may include pages without the rights for what is wanted of them.
/// [`Allegation::within`] proves the first two wrong. It says nothing about rights: those are
/// checked by whoever knows the pages' protection.
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

    /// The same range as numbers of this host's, if it is wholly within the guest addresses
    /// `memory`. The address of an empty range must be within them too, as upstream has it.
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

/// How guest memory is mapped: private, which is faster, unless there is a limit on data
/// (`ulimit -d`), which counts private memory only. Guest memory is no data of the tender's.
pub fn mapping() -> MapFlags {
    match getrlimit(Resource::Data).current {
        None => MapFlags::PRIVATE,
        Some(_) => MapFlags::SHARED,
    }
}

/// The memory of one guest, mapped into this process.
///
/// Guest addresses from `first` to `size` are bytes; the host address of guest address 0 is
/// `base`. What lies there is only ever accessed by copying, and only while no guest runs in
/// another thread.
#[derive(Debug)]
pub struct GuestMemory {
    base: usize,
    /// The guest addresses that are bytes.
    addresses: Range<u64>,
}

impl GuestMemory {
    /// Guest memory whose guest address 0 is host address `base`.
    ///
    /// # Safety
    ///
    /// The host addresses `base + first .. base + size` are one mapping that is readable and
    /// writable, holds nothing of this program's, and lasts as long as the value. `base + size`
    /// does not overflow.
    pub unsafe fn from_raw(base: usize, first: u64, size: u64) -> GuestMemory {
        GuestMemory { base, addresses: first..size }
    }

    /// End of guest memory in bytes, counted from guest address 0.
    pub fn size(&self) -> u64 {
        self.addresses.end
    }

    /// The host address of `length` bytes at guest address `at`, all of them guest memory.
    fn host(&self, at: u64, length: u64) -> Result<usize, OutOfBounds> {
        let range = Allegation::new(at, length).within(&self.addresses)?;
        // In bounds, and `base + size` does not overflow.
        Ok(self.base + range.start)
    }

    /// Copies `bytes` to guest address `at`.
    pub fn write(&self, at: u64, bytes: &[u8]) -> Result<(), OutOfBounds> {
        let to = self.host(at, bytes.len() as u64)?;
        let to = std::ptr::with_exposed_provenance_mut::<u8>(to);
        // SAFETY: `to` is the start of `bytes.len()` writable bytes by `host` and `from_raw`, and
        // nothing of this program's, so not `bytes`, is there.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
        Ok(())
    }

    /// Copies from guest address `at` to `bytes`.
    pub fn read(&self, at: u64, bytes: &mut [u8]) -> Result<(), OutOfBounds> {
        let from = self.host(at, bytes.len() as u64)?;
        let from = std::ptr::with_exposed_provenance::<u8>(from);
        // SAFETY: `from` is the start of `bytes.len()` readable bytes by `host` and `from_raw`,
        // and nothing of this program's, so not `bytes`, is there.
        unsafe { std::ptr::copy_nonoverlapping(from, bytes.as_mut_ptr(), bytes.len()) };
        Ok(())
    }

    /// Reads `content` of a file to guest address `at`. Returns how many bytes there were: fewer
    /// than asked for only at the end of the file.
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
            // SAFETY: `to` is the start of `left` writable bytes by `host` and `from_raw`; the
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

    /// Gives the pages `pages`, as guest addresses, exactly these rights.
    pub fn protect(&self, pages: Range<u64>, protection: Protection) -> Result<(), Errno> {
        let length = pages.end.checked_sub(pages.start).ok_or(Errno::INVAL)?;
        let host = self.host(pages.start, length).map_err(|_| Errno::INVAL)?;
        let flag = |has, flag| if has { flag } else { MprotectFlags::empty() };
        let flags = flag(protection.read, MprotectFlags::READ)
            | flag(protection.write, MprotectFlags::WRITE)
            | flag(protection.execute, MprotectFlags::EXEC);
        let start = std::ptr::with_exposed_provenance_mut(host);
        // SAFETY: the range is guest memory by `host`, so no page of the program's own loses a
        // right. Later copies to a protected page would fault; callers protect last.
        unsafe { rustix::mm::mprotect(start, length as usize, flags) }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// Guest memory in a buffer of ours: 64 bytes, of which the first 16 are not the guest's.
    fn memory(buffer: &mut [u8; 64]) -> GuestMemory {
        let base = buffer.as_mut_ptr().expose_provenance();
        // SAFETY: the buffer is borrowed by the caller for as long as the value is used.
        unsafe { GuestMemory::from_raw(base, 16, 64) }
    }

    #[test]
    fn only_ranges_wholly_inside_become_bytes() {
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
    fn files_are_read_to_their_end_and_not_beyond_memory() {
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
