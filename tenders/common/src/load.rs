//! Executes a load plan: copies segments into guest memory, then sets their protections.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::ops::Range;

use solo5_image::{ImageError, LoadPlan, Protection};

use crate::error::Error;
use crate::memory::GuestMemory;
use crate::sys::image::page_size;
use crate::sys::{Errno, strerror};

/// Why an image could not be loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadError {
    /// The image does not fit, or its content cannot be read.
    Image(ImageError),
    /// Its pages cannot be protected.
    Protect(Errno),
}

impl LoadError {
    /// The tender's error for this fault, for the image called `kernel`.
    pub fn of(self, kernel: OsString) -> Error {
        match self {
            LoadError::Image(fault) => Error::Image { kernel, fault },
            LoadError::Protect(error) => Error::Protect { kernel, error },
        }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Image(fault) => fault.fmt(f),
            LoadError::Protect(error) => write!(f, "mprotect failed: {}", strerror(*error)),
        }
    }
}

impl std::error::Error for LoadError {}

impl From<ImageError> for LoadError {
    fn from(fault: ImageError) -> LoadError {
        LoadError::Image(fault)
    }
}

/// From so many pages on, one call that makes them takes less time than their faults.
const MANY: u64 = 8;

/// Loads every segment of `plan` into fresh, zeroed guest memory, and calls `protect` with its
/// pages and their rights.
///
/// The zeros after a segment's content (bss) need no write: the memory is fresh, and the plan's
/// segments share no page.
pub fn load(
    memory: &GuestMemory,
    file: &File,
    plan: &LoadPlan,
    mut protect: impl FnMut(Range<u64>, Protection) -> Result<(), Errno>,
) -> Result<(), LoadError> {
    plan.fits(memory.size())?;
    let page = page_size();
    for pages in contents(plan, page) {
        if pages.end - pages.start >= MANY * page {
            memory.populate(pages);
        }
    }
    for segment in &plan.segments {
        let (phdr, offset) = (segment.phdr, segment.file.start);
        let size = segment.file.end - offset;
        if size > 0 {
            let short = ImageError::SegmentShort { phdr, offset, size };
            // The plan fits, so the range is in bounds. A short read means that the file has
            // shrunk.
            let got = memory.fill(segment.address, file, segment.file.clone());
            match got.map_err(|_| short)? {
                Ok(got) if got == size => {}
                Ok(_) => return Err(short.into()),
                Err(error) => {
                    return Err(ImageError::SegmentRead { phdr, offset, error }.into());
                }
            }
        }
        if !segment.pages.is_empty() {
            protect(segment.pages.clone(), segment.protection).map_err(LoadError::Protect)?;
        }
    }
    Ok(())
}

/// The pages that content of the file goes to; neighbours are one range.
fn contents(plan: &LoadPlan, page: u64) -> Vec<Range<u64>> {
    let mut all: Vec<Range<u64>> = Vec::new();
    for segment in plan.segments.iter().filter(|segment| !segment.file.is_empty()) {
        let size = segment.file.end - segment.file.start;
        let start = segment.address / page * page;
        let end = segment.address.saturating_add(size).div_ceil(page).saturating_mul(page);
        match all.last_mut() {
            Some(last) if (last.start..=last.end).contains(&start) => last.end = last.end.max(end),
            _ => all.push(start..end),
        }
    }
    all
}
