//! Guest memory while the guest runs. It is only copied; no reference into it exists.
//!
//! The guest's CPU and both threads of the tender can access it at any time. So every value is
//! copied once, with volatile accesses, and checks apply to the tender's own copy. For larger
//! pieces the tender passes the kernel a checked address, and the kernel copies.
//!
//! Pages whose protection would make the tender fault are recorded here, and refused like addresses
//! outside memory.

use std::ops::Range;
use std::os::fd::RawFd;

use solo5_abi::hvt::GUEST_MIN_BASE;
use solo5_image::Protection;
use solo5_tender::arch::system_call;
use solo5_tender::memory::Allegation;
use solo5_tender::sys::Errno;
use solo5_tender::sys::image::page_size;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::fault::GuestFault;

/// Guest memory, mapped into this process.
#[derive(Debug)]
pub struct SharedMemory {
    base: usize,
    size: u64,
    /// Pages that are not both readable and writable, with their protection.
    protected: Vec<(Range<u64>, Protection)>,
    /// What is between them, the highest first: there are the stack and, below a guard, the heap.
    open: Vec<Range<u64>>,
}

/// A piece of guest memory that is in bounds and has the requested rights.
#[derive(Clone, Copy, Debug)]
pub struct Piece {
    host: usize,
    length: usize,
}

/// Bytes of a word, and its alignment.
const WORD: usize = size_of::<u64>();

/// The intended use of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// The tender reads it.
    Read,
    /// The tender writes to it.
    Write,
}

/// Memory below the image: page tables, boot information, the command line, the seed. Once the guest
/// runs, the tender never writes there. Reading is allowed, because a guest may print its command line.
pub const LOW: (Range<u64>, Protection) =
    (0..GUEST_MIN_BASE, Protection { read: true, write: false, execute: false });

/// The rights to a guard: it is none of the guest's memory.
pub const NO_ACCESS: Protection = Protection { read: false, write: false, execute: false };

impl SharedMemory {
    /// Guest memory of `size` bytes from guest address 0, at host address `base`. `protected` lists
    /// the pages that are not both readable and writable, with their rights in the host's mapping.
    ///
    /// # Safety
    ///
    /// The host addresses `base .. base + size` are one mapping that holds no object of this
    /// program and lasts until the process ends. It is readable and writable, except for the pages
    /// in `protected`. `base + size` does not overflow.
    pub unsafe fn new(
        base: usize,
        size: u64,
        protected: Vec<(Range<u64>, Protection)>,
    ) -> SharedMemory {
        let open = gaps(size, &protected);
        SharedMemory { base, size, protected, open }
    }

    /// End of guest memory in bytes, counted from guest address 0.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Checks a range for the use `wanted`. The range may reach the end of memory.
    #[inline]
    pub fn piece(&self, at: Allegation, wanted: Use) -> Result<Piece, GuestFault> {
        // Nearly every range is in one of these, and each hypercall has several ranges.
        let is_in =
            |open: &Range<u64>| open.contains(&at.address) && at.length <= open.end - at.address;
        if self.open.iter().any(is_in) {
            // In memory, whose addresses are `usize`.
            return Ok(Piece { host: self.base + at.address as usize, length: at.length as usize });
        }
        self.judged(at, wanted)
    }

    /// Checks a range that is not between protected pages.
    #[inline(never)]
    fn judged(&self, at: Allegation, wanted: Use) -> Result<Piece, GuestFault> {
        let fault = GuestFault::Access { address: at.address, size: at.length };
        let range = at.within(&(0..self.size)).map_err(|_| fault)?;
        let (start, end) = (at.address, range.end as u64);
        let refuses = |(pages, rights): &(Range<u64>, Protection)| {
            let has = match wanted {
                Use::Read => rights.read,
                Use::Write => rights.write,
            };
            !has && pages.start < end && pages.end > start
        };
        if self.protected.iter().any(refuses) {
            return Err(fault);
        }
        Ok(Piece { host: self.base + range.start, length: range.len() })
    }

    /// Copies a structure out of guest memory.
    #[inline]
    pub fn load<T: FromBytes + IntoBytes>(&self, at: u64) -> Result<T, GuestFault> {
        self.piece(Allegation::of::<T>(at), Use::Read).map(|piece| piece.load())
    }

    /// Copies a structure into guest memory.
    #[inline]
    pub fn store<T: IntoBytes + Immutable>(&self, at: u64, value: &T) -> Result<(), GuestFault> {
        self.piece(Allegation::of::<T>(at), Use::Write)?.copy_from(value.as_bytes());
        Ok(())
    }

    /// Makes KVM put these pages into the machine's tables anew when the guest needs them next. Their content stays.
    ///
    /// # Safety
    ///
    /// The mapping is one of a file, and shared: otherwise the content would be lost.
    pub unsafe fn map_anew(&self, at: Allegation) {
        let Ok(range) = at.within(&(0..self.size)) else {
            return;
        };
        let page = page_size() as usize;
        let start = range.start / page * page;
        let length = (range.end - start).next_multiple_of(page);
        let address = std::ptr::with_exposed_provenance_mut(self.base + start);
        // SAFETY: whole pages of guest memory, which hold no object of this program. By the caller's promise the
        // file has their content.
        unsafe { libc::madvise(address, length, libc::MADV_DONTNEED) };
    }

    /// Sets bit 0 of each byte of `vector` if the page is resident, for consecutive pages from
    /// guest address `at` on.
    pub fn resident(&self, at: u64, vector: &mut [u8]) -> Result<(), Errno> {
        let length = vector.len() as u64 * page_size();
        let range = Allegation::new(at, length).within(&(0..self.size));
        let range = range.map_err(|_| Errno::INVAL)?;
        let start = std::ptr::with_exposed_provenance_mut(self.base + range.start);
        // SAFETY: the `length` bytes of addresses are guest memory, and the call writes one byte
        // for each page, which is the length of `vector`.
        let result = unsafe { libc::mincore(start, length as usize, vector.as_mut_ptr()) };
        if result == 0 { Ok(()) } else { Err(Errno::IO) }
    }
}

/// The ranges of `size` bytes between those of `protected`, the highest first.
fn gaps(size: u64, protected: &[(Range<u64>, Protection)]) -> Vec<Range<u64>> {
    let mut pages: Vec<_> = protected.iter().map(|(pages, _)| pages.clone()).collect();
    pages.sort_by_key(|pages| pages.start);
    let mut gaps = Vec::new();
    let mut start = 0;
    for Range { start: end, end: next } in pages.into_iter().chain(std::iter::once(size..size)) {
        if start < end.min(size) {
            gaps.push(start..end.min(size));
        }
        start = start.max(next);
    }
    gaps.reverse();
    gaps
}

impl Piece {
    /// Copies a structure from its start.
    #[inline]
    pub fn load<T: FromBytes + IntoBytes>(&self) -> T {
        let mut value = T::new_zeroed();
        self.copy_to(value.as_mut_bytes());
        value
    }

    /// Its length in bytes.
    pub fn length(&self) -> usize {
        self.length
    }

    /// The part after the first `count` bytes; empty if there are no more.
    #[must_use]
    pub fn skip(&self, count: usize) -> Piece {
        let count = count.min(self.length);
        Piece { host: self.host + count, length: self.length - count }
    }

    /// Copies from the start of the piece to `bytes`, up to the shorter length.
    #[inline]
    pub fn copy_to(&self, bytes: &mut [u8]) {
        let words = self.words();
        for (word, index) in bytes.chunks_exact_mut(WORD).zip(0..words) {
            let from = std::ptr::with_exposed_provenance::<u64>(self.host + index * WORD);
            // SAFETY: inside the piece, which is readable guest memory, and aligned. The access is
            // volatile because the guest may change the memory at any time.
            let value = unsafe { from.read_volatile() };
            word.copy_from_slice(&value.to_ne_bytes());
        }
        let done = words.min(bytes.len() / WORD) * WORD;
        for (index, byte) in bytes.iter_mut().enumerate().take(self.length).skip(done) {
            let from = std::ptr::with_exposed_provenance::<u8>(self.host + index);
            // SAFETY: as above.
            *byte = unsafe { from.read_volatile() };
        }
    }

    /// How many words it has that can be accessed as such: hypercalls' arguments are copied at every
    /// exit, and byte by byte that takes several times as long.
    fn words(&self) -> usize {
        if self.host.is_multiple_of(WORD) { self.length / WORD } else { 0 }
    }

    /// Copies `bytes` to the start of the piece, up to the shorter length. The caller asked for
    /// write access.
    #[inline]
    pub(crate) fn copy_from(&self, bytes: &[u8]) {
        let words = self.words();
        for (word, index) in bytes.as_chunks::<WORD>().0.iter().zip(0..words) {
            let to = std::ptr::with_exposed_provenance_mut::<u64>(self.host + index * WORD);
            // SAFETY: inside the piece, which is writable guest memory and holds no object of this
            // program, and aligned.
            unsafe { to.write_volatile(u64::from_ne_bytes(*word)) };
        }
        let done = words.min(bytes.len() / WORD) * WORD;
        for (index, byte) in bytes.iter().enumerate().take(self.length).skip(done) {
            let to = std::ptr::with_exposed_provenance_mut::<u8>(self.host + index);
            // SAFETY: as above.
            unsafe { to.write_volatile(*byte) };
        }
    }

    /// One `write` of it.
    pub fn write_to(&self, fd: RawFd) -> Result<usize, Errno> {
        // SAFETY: the kernel reads the piece, which is readable guest memory.
        unsafe { self.transfer(libc::SYS_write, fd, 0) }
    }

    /// One `read` into it.
    pub fn read_from(&self, fd: RawFd) -> Result<usize, Errno> {
        // SAFETY: the kernel writes to the piece, which is writable guest memory.
        unsafe { self.transfer(libc::SYS_read, fd, 0) }
    }

    /// One `pwrite` of it.
    pub fn write_at(&self, fd: RawFd, offset: i64) -> Result<usize, Errno> {
        // SAFETY: the kernel reads the piece, which is readable guest memory.
        unsafe { self.transfer(libc::SYS_pwrite64, fd, offset) }
    }

    /// One `pread` into it.
    pub fn read_at(&self, fd: RawFd, offset: i64) -> Result<usize, Errno> {
        // SAFETY: the kernel writes to the piece, which is writable guest memory.
        unsafe { self.transfer(libc::SYS_pread64, fd, offset) }
    }

    /// Makes the system call `number` with this piece as its buffer.
    ///
    /// # Safety
    ///
    /// The call takes a descriptor, a buffer, its size and perhaps an offset, and does nothing to memory
    /// but what the piece permits.
    #[inline]
    unsafe fn transfer(&self, number: i64, fd: RawFd, offset: i64) -> Result<usize, Errno> {
        let arguments = [fd as usize, self.host, self.length, offset as usize, 0, 0];
        // SAFETY: the caller's promise.
        let result = unsafe { system_call(number, arguments) };
        usize::try_from(result).map_err(|_| Errno::from_raw_os_error(-result as i32))
    }
}

/// Guest memory in a buffer, for tests.
#[cfg(any(test, feature = "testing"))]
pub mod testing {
    use super::*;

    /// Leaks `size` zero bytes as guest memory.
    pub fn memory(size: usize, protected: Vec<(Range<u64>, Protection)>) -> SharedMemory {
        let buffer = vec![0u8; size].leak();
        let base = buffer.as_mut_ptr().expose_provenance();
        // SAFETY: the buffer is leaked, so nothing else uses it and it is never freed.
        unsafe { SharedMemory::new(base, size as u64, protected) }
    }

    impl SharedMemory {
        /// The same memory, with these pages protected.
        pub fn protecting(&self, protected: Vec<(Range<u64>, Protection)>) -> SharedMemory {
            let open = gaps(self.size, &protected);
            SharedMemory { base: self.base, size: self.size, protected, open }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use solo5_abi::hvt::Puts;

    use super::testing::memory;
    use super::*;

    #[test]
    fn a_range_may_reach_the_end_of_memory_but_not_past_it() {
        let memory = memory(64, Vec::new());
        for (at, length) in [(0, 64), (56, 8), (63, 1), (63, 0)] {
            assert!(memory.piece(Allegation::new(at, length), Use::Write).is_ok(), "{at} {length}");
        }
        let bad = [(57, 8), (64, 0), (64, 1), (0, 65), (8, u64::MAX), (u64::MAX, 1), (u64::MAX, 0)];
        for (at, length) in bad {
            let fault = memory.piece(Allegation::new(at, length), Use::Read).unwrap_err();
            assert_eq!(fault, GuestFault::Access { address: at, size: length });
        }
    }

    proptest! {
        /// A range becomes a piece if and only if every byte of it is memory with the requested
        /// right, computed without overflow. The piece then covers exactly these bytes.
        #[test]
        fn a_piece_covers_exactly_the_requested_range(
            at in prop_oneof![0u64..80, any::<u64>(), u64::MAX - 80..=u64::MAX],
            length in prop_oneof![0u64..80, any::<u64>(), u64::MAX - 80..=u64::MAX],
            (protected, other) in (0u64..64, 0u64..64),
            write: bool,
        ) {
            let read_only = Protection { read: true, write: false, execute: false };
            let pages = [protected..protected + 8, other..other + 4];
            let memory = memory(64, pages.clone().map(|pages| (pages, read_only)).to_vec());
            let wanted = if write { Use::Write } else { Use::Read };
            let end = u128::from(at) + u128::from(length);
            let touches = |pages: &Range<u64>| u128::from(pages.start) < end && at < pages.end;
            let valid = at < 64 && end <= 64 && !(write && pages.iter().any(touches));
            match memory.piece(Allegation::new(at, length), wanted) {
                Ok(piece) => {
                    prop_assert!(valid);
                    prop_assert_eq!(piece.length() as u64, length);
                    prop_assert_eq!((piece.host - memory.base) as u64, at);
                }
                Err(fault) => {
                    prop_assert!(!valid);
                    prop_assert_eq!(fault, GuestFault::Access { address: at, size: length });
                }
            }
        }
    }

    #[test]
    fn memory_below_the_image_is_read_only() {
        let memory = memory(GUEST_MIN_BASE as usize + 64, vec![LOW]);
        let is_ok = |at, length, wanted| memory.piece(Allegation::new(at, length), wanted).is_ok();
        assert!(is_ok(0x100a8, 100, Use::Read), "the command line");
        assert!(is_ok(GUEST_MIN_BASE - 8, 16, Use::Read));
        assert!(is_ok(GUEST_MIN_BASE, 64, Use::Write));
        for (at, length) in
            [(0, 8), (0x2000, 8), (0x8000, 0), (0x1_f000, 32), (GUEST_MIN_BASE - 1, 2)]
        {
            assert!(!is_ok(at, length, Use::Write), "{at:#x}");
        }
    }

    #[test]
    fn pieces_of_any_length_and_alignment_are_copied_exactly() {
        for (at, length) in (8..24).flat_map(|at| (0..40).map(move |length| (at, length))) {
            let memory = memory(64, Vec::new());
            let bytes: Vec<u8> = (1..=length as u8).collect();
            let piece = memory.piece(Allegation::new(at, length), Use::Write).unwrap();
            // The shorter length counts, on either side.
            piece.copy_from(&[&bytes[..], &[0xff; 9]].concat());
            let mut all = [0xee; 64];
            memory.piece(Allegation::new(0, 64), Use::Read).unwrap().copy_to(&mut all);
            let (start, end) = (at as usize, (at + length) as usize);
            assert_eq!(&all[start..end], bytes, "{at} {length}");
            assert!(all[..start].iter().chain(&all[end..]).all(|byte| *byte == 0));
            let mut longer = [0xee; 50];
            piece.copy_to(&mut longer);
            assert_eq!(longer[..length as usize], bytes);
            assert!(longer[length as usize..].iter().all(|byte| *byte == 0xee));
        }
    }

    #[test]
    fn a_stored_structure_loads_unchanged() {
        let memory = memory(64, Vec::new());
        let puts = Puts { data: 0x1122_3344_5566_7788.into(), len: 7.into() };
        memory.store(13, &puts).unwrap();
        assert_eq!(memory.load::<Puts>(13), Ok(puts));
        assert!(memory.load::<Puts>(49).is_err());
    }

    #[test]
    fn protected_pages_are_refused_and_their_neighbours_are_not() {
        let read_only = Protection { read: true, write: false, execute: false };
        let nothing = Protection { read: false, ..read_only };
        let memory = memory(64, vec![(16..32, read_only), (32..48, nothing)]);
        let is_ok = |at, length, wanted| memory.piece(Allegation::new(at, length), wanted).is_ok();
        assert!(is_ok(0, 16, Use::Write) && is_ok(48, 16, Use::Write));
        assert!(is_ok(8, 24, Use::Read));
        assert!(!is_ok(8, 9, Use::Write) && !is_ok(31, 1, Use::Write));
        assert!(!is_ok(8, 25, Use::Read) && !is_ok(47, 2, Use::Read));
    }
}
