//! Maps guest memory into the tender's address space, loads the image, and sets protections.

use std::ffi::OsString;
use std::fs::File;
use std::ops::Range;
use std::os::fd::OwnedFd;

use rustix::mm::{MapFlags, ProtFlags};
use solo5_image::{LoadPlan, Protection};
use solo5_tender::error::Error;
use solo5_tender::load::load;
use solo5_tender::memory::{GuestMemory, mapping};
use solo5_tender::start::host;
use solo5_tender::sys::Errno;

use crate::layout::Size;
use crate::memory::{LOW, SharedMemory};

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
    /// Maps guest memory (from the file `shared`, if given), and loads the image's segments into
    /// it.
    pub fn new(
        plan: &LoadPlan,
        file: &File,
        size: Size,
        shared: Option<&OwnedFd>,
        kernel: OsString,
    ) -> Result<Loaded, Error> {
        let base = map(size.mapped, shared)?;
        // SAFETY: this is the mapping that `map` has made: readable, writable, fresh, and never
        // unmapped.
        let memory = unsafe { GuestMemory::from_raw(base, 0, size.guest) };
        let mut protected = vec![LOW];
        let loaded = load(&memory, file, plan, |pages, wanted| {
            let rights = in_host(wanted);
            if rights == Protection::READ_WRITE {
                return Ok(());
            }
            memory.protect(pages.clone(), rights)?;
            protected.push((pages, rights));
            Ok(())
        });
        loaded.map_err(|error| error.of(kernel))?;
        let code = plan.segments.iter().filter(|segment| segment.protection.execute);
        Ok(Loaded {
            base,
            size,
            protected,
            code: code.map(|segment| segment.pages.clone()).collect(),
        })
    }

    /// Writes memory below the image: pairs of guest address and content.
    pub fn write_low(&self, pieces: &[(u64, &[u8])]) -> Result<(), Error> {
        // SAFETY: as in `new`; no segment, and therefore no protected page, is this low.
        let memory = unsafe { GuestMemory::from_raw(self.base, 0, self.size.guest) };
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

/// Maps `size` zeroed bytes, from the file `shared` if given, for the rest of the process's life.
/// Returns the address.
pub fn map(size: u64, shared: Option<&OwnedFd>) -> Result<usize, Error> {
    let access = ProtFlags::READ | ProtFlags::WRITE;
    let (at, length) = (std::ptr::null_mut(), size as usize);
    let mapped = match shared {
        None => {
            let flags = mapping() | MapFlags::NORESERVE;
            // SAFETY: a new mapping at an address of the kernel's choice replaces nothing.
            unsafe { rustix::mm::mmap_anonymous(at, length, access, flags) }
        }
        // SAFETY: as above; no other process has the file.
        Some(file) => unsafe { rustix::mm::mmap(at, length, access, MapFlags::SHARED, file, 0) },
    };
    let mapped = mapped.map_err(|error| Error::Allocate { error })?;
    Ok(mapped.expose_provenance())
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
