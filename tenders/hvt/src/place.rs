//! Guest memory in the tender's own address space: mapped, loaded, protected.

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

/// Guest memory and what became of it when the image was loaded.
#[derive(Debug)]
pub struct Loaded {
    /// Host address of guest address 0.
    pub base: usize,
    /// How large it is.
    pub size: Size,
    /// Pages that the tender does not read and write for the guest, and what it does.
    protected: Vec<(Range<u64>, Protection)>,
    /// Pages of code, as guest addresses.
    pub code: Vec<Range<u64>>,
}

impl Loaded {
    /// Maps guest memory, from `shared` if that is given, and loads the image's segments into it.
    pub fn new(
        plan: &LoadPlan,
        file: &File,
        size: Size,
        shared: Option<&OwnedFd>,
        kernel: OsString,
    ) -> Result<Loaded, Error> {
        let base = map(size.mapped, shared)?;
        // SAFETY: the mapping `map` has made: readable, writable, fresh, and never unmapped.
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

    /// Writes what lies below the image.
    pub fn write_low(&self, pieces: &[(u64, &[u8])]) -> Result<(), Error> {
        // SAFETY: as in `new`; no segment, and so no protected page, is this low.
        let memory = unsafe { GuestMemory::from_raw(self.base, 0, self.size.guest) };
        for (at, bytes) in pieces {
            // It always fits: all of it ends below the lowest guest address.
            let outside = |_| host("writing boot information")(Errno::FAULT);
            memory.write(*at, bytes).map_err(outside)?;
        }
        Ok(())
    }

    /// The same memory, for as long as the guest runs.
    pub fn shared(&self) -> &'static SharedMemory {
        // SAFETY: `map` has mapped this memory, which is never unmapped; `new` has protected the
        // pages in `protected` as it says there. The ring's part after `size.guest` is left out.
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
        // SAFETY: the last granule of the mapping is the ring's alone: page-aligned, large enough,
        // all zero, readable and writable for good. Its fields are atomics, for which any bits do
        // and which the guest may change.
        Some(unsafe { &*at })
    }
}

/// Maps `size` bytes of zeros, those of `shared` if there is one, for good. Returns where.
pub fn map(size: u64, shared: Option<&OwnedFd>) -> Result<usize, Error> {
    let access = ProtFlags::READ | ProtFlags::WRITE;
    let (at, length) = (std::ptr::null_mut(), size as usize);
    let mapped = match shared {
        None => {
            let flags = mapping() | MapFlags::NORESERVE;
            // SAFETY: a new mapping at an address of the kernel's choice replaces nothing.
            unsafe { rustix::mm::mmap_anonymous(at, length, access, flags) }
        }
        // SAFETY: as above; the file is this process's own.
        Some(file) => unsafe { rustix::mm::mmap(at, length, access, MapFlags::SHARED, file, 0) },
    };
    let mapped = mapped.map_err(|error| Error::Allocate { error })?;
    Ok(mapped.expose_provenance())
}

/// The rights a guest's page has in the tender's own mapping: nothing of it is ever executed there,
/// and what the guest executes or writes it can read.
fn in_host(wanted: Protection) -> Protection {
    Protection {
        read: wanted.read || wanted.write || wanted.execute,
        write: wanted.write,
        execute: false,
    }
}
