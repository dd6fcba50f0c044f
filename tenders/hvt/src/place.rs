//! Maps guest memory into the tender's address space, loads the image, and sets protections.

use std::ffi::OsString;
use std::fs::File;
use std::ops::Range;
use std::os::fd::OwnedFd;

use rustix::mm::{MapFlags, ProtFlags};
use solo5_abi::hvt::GUEST_MIN_BASE;
use solo5_image::{LoadPlan, Protection};
use solo5_tender::error::Error;
use solo5_tender::load::load;
use solo5_tender::memory::{GuestMemory, HUGE_PAGE, has_huge_pages, mapping};
use solo5_tender::offer::{self, Offered};
use solo5_tender::start::host;
use solo5_tender::sys::{Errno, image};

use crate::layout::Size;
use crate::memory::{LOW, NO_ACCESS, SharedMemory};

/// Guest memory with the image loaded.
#[derive(Debug)]
pub struct Loaded {
    /// Host address of guest address 0.
    pub base: usize,
    /// Its size.
    pub size: Size,
    /// Pages that the tender may not both read and write, with the rights that it has.
    protected: Vec<(Range<u64>, Protection)>,
    /// Code pages, as guest addresses.
    pub code: Vec<Range<u64>>,
}

impl Loaded {
    /// Maps guest memory (from the file `shared`, if given), loads the image's segments into it, and
    /// takes all access from the `guard` below the stack.
    pub fn new(
        plan: &LoadPlan,
        file: &File,
        size: Size,
        guard: Option<&Range<u64>>,
        shared: Option<&OwnedFd>,
        kernel: OsString,
    ) -> Result<Loaded, Error> {
        let base = map(size.mapped, shared)?;
        // SAFETY: this is the mapping that `map` has made: readable, writable, fresh, and never
        // unmapped.
        let memory = unsafe { GuestMemory::from_raw(base, 0, size.guest) };
        memory.prefer_huge_pages();
        let mut protected = vec![LOW];
        let loaded = load(&memory, file, plan, |pages, wanted| {
            let rights = in_host(wanted);
            if rights == Protection::READ_WRITE {
                return Ok(());
            }
            let whole = host_pages(plan, &pages, image::page_size());
            if !whole.is_empty() {
                memory.protect(whole, rights)?;
            }
            protected.push((pages, rights));
            Ok(())
        });
        loaded.map_err(|error| error.of(kernel))?;
        if let Some(guard) = guard {
            memory.protect(guard.clone(), NO_ACCESS).map_err(host("mprotect()"))?;
            protected.push((guard.clone(), NO_ACCESS));
        }
        let code = plan.segments.iter().filter(|segment| segment.protection.execute);
        Ok(Loaded {
            base,
            size,
            protected,
            code: code.map(|segment| segment.pages.clone()).collect(),
        })
    }

    /// Memory below the image, to be written before the guest runs.
    fn low(&self) -> GuestMemory {
        // SAFETY: as in `new`; no segment, and therefore no protected page, is this low.
        unsafe { GuestMemory::from_raw(self.base, 0, GUEST_MIN_BASE) }
    }

    /// Puts a seed into its page, if one is offered.
    pub fn seed(&self, offered: &mut Offered) -> Result<(), Error> {
        offer::seed(&self.low(), offered)
    }

    /// Writes memory below the image: pairs of guest address and content.
    pub fn write_low(&self, pieces: &[(u64, &[u8])]) -> Result<(), Error> {
        let memory = self.low();
        for (at, bytes) in pieces {
            // It always fits: all pieces end below the lowest guest address.
            let outside = |_| host("writing boot information")(Errno::FAULT);
            memory.write(*at, bytes).map_err(outside)?;
        }
        Ok(())
    }

    /// The same memory, for use while the guest runs.
    pub fn shared(&self) -> &'static SharedMemory {
        // SAFETY: `map` has mapped this memory, and it is never unmapped. `new` has set the
        // protections listed in `protected`. The ring after `size.guest` is not included.
        let memory =
            unsafe { SharedMemory::new(self.base, self.size.guest, self.protected.clone()) };
        Box::leak(Box::new(memory))
    }

    /// The ring that follows guest memory, if the mapping has room for one.
    #[cfg(feature = "net")]
    pub fn ring(&self) -> Option<&'static solo5_abi::hvt::ring::Ring> {
        if self.size.mapped == self.size.guest {
            return None;
        }
        let at = std::ptr::with_exposed_provenance::<solo5_abi::hvt::ring::Ring>(
            self.base + self.size.guest as usize,
        );
        // SAFETY: the last granule of the mapping is used only for the ring. It is page-aligned,
        // large enough, zeroed, and readable and writable forever. The ring's fields are atomics,
        // for which all bit patterns are valid, so the guest may change them.
        Some(unsafe { &*at })
    }
}

/// A free place of `length` bytes that begins at a huge page, so that the machine can have huge pages
/// too; null if there is none, or if the memory is too small. It is a hint: the caller's mapping may end
/// up elsewhere.
fn aligned(length: usize) -> *mut libc::c_void {
    let huge = HUGE_PAGE as usize;
    let (nowhere, none) = (std::ptr::null_mut(), ProtFlags::empty());
    let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
    let room = length.checked_add(huge).filter(|_| has_huge_pages(length as u64));
    let Some(room) = room else { return nowhere };
    // SAFETY: a new mapping at an address of the kernel's choice replaces nothing.
    let Ok(found) = (unsafe { rustix::mm::mmap_anonymous(nowhere, room, none, flags) }) else {
        return nowhere;
    };
    // SAFETY: the mapping made above, which nothing uses.
    match unsafe { rustix::mm::munmap(found, room) } {
        Ok(()) => found.with_addr(found.addr().next_multiple_of(huge)),
        Err(_) => nowhere,
    }
}

/// Maps `size` zeroed bytes, from the file `shared` if given, for the rest of the process's life.
/// Returns the address.
pub fn map(size: u64, shared: Option<&OwnedFd>) -> Result<usize, Error> {
    let access = ProtFlags::READ | ProtFlags::WRITE;
    let (at, length) = (std::ptr::null_mut(), size as usize);
    let mapped = match shared {
        None => {
            let flags = mapping() | MapFlags::NORESERVE;
            // SAFETY: a new mapping at an address of the kernel's choice replaces nothing.
            unsafe { rustix::mm::mmap_anonymous(aligned(length), length, access, flags) }
        }
        // SAFETY: as above; no other process has the file.
        Some(file) => unsafe { rustix::mm::mmap(at, length, access, MapFlags::SHARED, file, 0) },
    };
    let mapped = mapped.map_err(|error| Error::Allocate { error })?;
    Ok(mapped.expose_provenance())
}

/// The host's pages, of `page` bytes, to protect for a segment at `pages`: those in it, and those that it
/// shares with no other segment and not with the heap. What is in a page with others is protected by
/// [`SharedMemory`] only, which binds the tender but not the guest.
fn host_pages(plan: &LoadPlan, pages: &Range<u64>, page: u64) -> Range<u64> {
    let mut others = plan.segments.iter().map(|segment| &segment.pages);
    let is_free = |part: Range<u64>| {
        let overlaps = |other: &Range<u64>| other.start < part.end && other.end > part.start;
        !plan.segments.iter().any(|segment| segment.pages != *pages && overlaps(&segment.pages))
    };
    let (start, end) = (pages.start / page * page, pages.end.next_multiple_of(page));
    let is_last = others.all(|other| other.end <= pages.end);
    let start = if is_free(start..pages.start) { start } else { start + page };
    let is_shared = end != pages.end && (is_last || !is_free(pages.end..end));
    start..if is_shared { end - page } else { end }
}

/// The rights of a guest page in the tender's mapping. The tender never executes it, and a page
/// that the guest can execute or write is readable.
fn in_host(wanted: Protection) -> Protection {
    Protection {
        read: wanted.read || wanted.write || wanted.execute,
        write: wanted.write,
        execute: false,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsRawFd;

    use solo5_abi::hvt::{BOOT_INFO_BASE, GUEST_MIN_BASE, MEMORY_GRANULE};
    use solo5_abi::{Arch, Target};
    use solo5_image::testing::{DATA, Sample, TEXT};
    use solo5_image::{Image, ImageError};
    use solo5_tender::memory::Allegation;

    use super::*;
    use crate::memory::Use;

    /// Guest memory of one granule, without a ring.
    const SMALL: Size = Size { guest: MEMORY_GRANULE, mapped: MEMORY_GRANULE };

    /// The guard below a stack of 64 KiB.
    const GUARD: Range<u64> = 0x1e_0000..0x1f_0000;

    /// A sample image, its file and its load plan.
    fn image() -> (Sample, File, LoadPlan) {
        let sample = Sample::new(Target::Hvt, Arch::X86_64, &[]);
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&sample.bytes()).unwrap();
        let image = Image::read(&file, &[Arch::X86_64]).unwrap();
        let plan = image.plan(&file, Target::Hvt).unwrap();
        (sample, file, plan)
    }

    fn loaded(size: Size) -> (Sample, Loaded) {
        let (sample, file, plan) = image();
        (sample, Loaded::new(&plan, &file, size, Some(&GUARD), None, "image".into()).unwrap())
    }

    /// A shared file of one granule, as for a debugger.
    fn shared_file() -> OwnedFd {
        let file = tempfile::tempfile().unwrap();
        file.set_len(MEMORY_GRANULE).unwrap();
        file.into()
    }

    #[test]
    fn segments_are_loaded_with_their_rights() {
        let (sample, loaded) = loaded(SMALL);
        let memory = loaded.shared();
        assert_eq!(memory.size(), MEMORY_GRANULE);
        let (text, data) = (sample.segments[TEXT], sample.segments[DATA]);
        for segment in [text, data] {
            let content = sample.contents.iter().find(|(at, _)| *at == segment.p_offset);
            let at = Allegation::new(segment.p_vaddr, segment.p_filesz);
            let mut found = vec![0; segment.p_filesz as usize];
            memory.piece(at, Use::Read).unwrap().copy_to(&mut found);
            assert_eq!(found, content.unwrap().1);
        }
        assert!(memory.store(text.p_vaddr, &1u8).is_err(), "code is read-only");
        assert!(memory.store(data.p_vaddr, &1u8).is_ok());
        assert!(memory.store(GUEST_MIN_BASE - 1, &1u8).is_err(), "below the image");
        let page = text.p_vaddr..text.p_vaddr + 0x1000;
        assert_eq!(loaded.code, [page], "the only executable pages");
    }

    #[test]
    fn a_host_with_larger_pages_protects_what_no_other_segment_needs() {
        let (_, _, mut plan) = image();
        let mut at = |all: &[Range<u64>], page| {
            let sample = plan.segments[0].clone();
            plan.segments.clear();
            for pages in all {
                plan.segments
                    .push(solo5_image::LoadSegment { pages: pages.clone(), ..sample.clone() });
            }
            all.iter().map(|pages| host_pages(&plan, pages, page)).collect::<Vec<_>>()
        };
        let aligned = [0x10_0000..0x10_1000, 0x11_0000..0x11_5000, 0x12_0000..0x12_1000];
        assert_eq!(at(&aligned, 0x1000), aligned);
        let wide = [0x10_0000..0x11_0000, 0x11_0000..0x12_0000, 0x12_0000..0x12_0000];
        assert_eq!(at(&aligned, 0x1_0000), wide, "the last one shares its page with the heap");
        let fine = [0x10_0000..0x10_5000, 0x10_5000..0x10_c000, 0x10_c000..0x10_d000];
        let narrow = [0x10_0000..0x10_4000, 0x10_8000..0x10_c000, 0x10_c000..0x10_c000];
        assert_eq!(at(&fine, 0x4000), narrow);
    }

    #[test]
    fn the_guard_is_none_of_the_guests_memory() {
        let (_, loaded) = loaded(SMALL);
        let memory = loaded.shared();
        for at in [GUARD.start, GUARD.end - 1] {
            assert!(memory.load::<u8>(at).is_err() && memory.store(at, &1u8).is_err(), "{at:#x}");
        }
        for at in [GUARD.start - 1, GUARD.end] {
            assert!(memory.store(at, &1u8).is_ok() && memory.load(at) == Ok(1u8), "{at:#x}");
        }
        for at in [GUARD.start - 1, GUARD.end - 1] {
            assert!(memory.piece(Allegation::new(at, 2), Use::Read).is_err(), "{at:#x}");
        }
    }

    #[test]
    fn the_kernel_cannot_write_to_protected_pages_either() {
        let (sample, loaded) = loaded(SMALL);
        // SAFETY: the mapping lives until the process ends, and only the kernel writes to it,
        // which gets an error for read-only pages.
        let unchecked = unsafe { SharedMemory::new(loaded.base, MEMORY_GRANULE, Vec::new()) };
        let (from, mut to) = std::io::pipe().unwrap();
        to.write_all(&[1; 2]).unwrap();
        let read = |at| {
            let piece = unchecked.piece(Allegation::new(at, 1), Use::Write).unwrap();
            piece.read_from(from.as_raw_fd())
        };
        assert_eq!(read(sample.segments[TEXT].p_vaddr), Err(Errno::FAULT));
        assert_eq!(read(sample.segments[DATA].p_vaddr), Ok(1));
        assert_eq!(read(GUARD.start), Err(Errno::FAULT));
        assert_eq!(read(GUARD.end - 1), Err(Errno::FAULT));
    }

    #[test]
    fn the_tender_writes_below_the_image_before_the_guest_runs() {
        let (_, loaded) = loaded(SMALL);
        loaded.write_low(&[(BOOT_INFO_BASE, b"boot"), (0x1000, b"tables")]).unwrap();
        let memory = loaded.shared();
        assert_eq!(memory.load::<[u8; 4]>(BOOT_INFO_BASE), Ok(*b"boot"));
        assert_eq!(memory.load::<[u8; 6]>(0x1000), Ok(*b"tables"));
        let error = loaded.write_low(&[(MEMORY_GRANULE - 1, b"12")]).unwrap_err();
        let expected = Error::Host { what: "writing boot information", error: Errno::FAULT };
        assert_eq!(error, expected, "outside memory");
    }

    #[test]
    fn an_image_that_does_not_fit_is_named() {
        let (_, file, mut plan) = image();
        let last = plan.segments.last_mut().unwrap();
        last.pages.end = MEMORY_GRANULE + 0x1000;
        let error = Loaded::new(&plan, &file, SMALL, None, None, "image".into()).unwrap_err();
        let Error::Image { kernel, fault: ImageError::MemoryEnd { memory, .. } } = &error else {
            panic!("{error:?}");
        };
        assert_eq!((kernel.to_str(), *memory), (Some("image"), Some(MEMORY_GRANULE)));
    }

    #[test]
    fn both_mappings_of_a_file_show_the_same_memory() {
        let (sample, image, plan) = image();
        let file = shared_file();
        let loaded = Loaded::new(&plan, &image, SMALL, None, Some(&file), "image".into()).unwrap();
        let alias = map(MEMORY_GRANULE, Some(&file)).unwrap();
        assert_ne!(alias, loaded.base);
        // SAFETY: a mapping of its own, readable and writable until the process ends.
        let alias = unsafe { SharedMemory::new(alias, MEMORY_GRANULE, Vec::new()) };
        let text = sample.segments[TEXT].p_vaddr;
        // A debugger sets a breakpoint in code, which the other mapping protects.
        alias.store(text, &0xccu8).unwrap();
        assert_eq!(loaded.shared().load::<u8>(text), Ok(0xcc));
    }

    #[test]
    fn memory_that_the_host_does_not_have_is_an_error() {
        let error = map(1 << 60, None).unwrap_err();
        assert_eq!(error, Error::Allocate { error: Errno::NOMEM });
    }

    #[cfg(feature = "net")]
    #[test]
    fn the_ring_follows_guest_memory() {
        use std::sync::atomic::Ordering;

        assert!(loaded(SMALL).1.ring().is_none());
        let (_, with_ring) = loaded(Size { mapped: 2 * MEMORY_GRANULE, ..SMALL });
        let ring = with_ring.ring().unwrap();
        assert_eq!(std::ptr::from_ref(ring).addr(), with_ring.base + MEMORY_GRANULE as usize);
        assert_eq!(ring.guest.ent_tail.load(Ordering::Relaxed), 0);
        let outside = with_ring.shared().load::<u8>(MEMORY_GRANULE);
        assert!(outside.is_err(), "no hypercall reaches the ring");
    }

    #[test]
    fn the_tender_never_executes_and_always_reads_what_the_guest_uses() {
        let rights = |read, write, execute| Protection { read, write, execute };
        assert_eq!(in_host(rights(false, false, true)), rights(true, false, false));
        assert_eq!(in_host(rights(false, true, false)), Protection::READ_WRITE);
        assert_eq!(in_host(rights(false, false, false)), rights(false, false, false));
    }
}
