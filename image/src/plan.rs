//! Segments → load plan (`docs/reference/elf-loading.md#segments`).
//!
//! Checks that depend on the size of guest memory are separate from the rest. For every image,
//! `plan.fits(memory)` succeeds exactly if `memory >= plan.minimum_memory`.
//!
//! Unlike upstream's loader, this one also checks segments without content
//! (`docs/reference/elf-loading.md#segments`): they must lie in guest memory like any other. Their
//! flags are ignored: a bss is always readable and writable, because the scripts of virtio, xen and
//! stub give it no flags at all.

use std::ops::Range;

use solo5_abi::Target;

use crate::elf::{PF_R, PF_W, PF_X, ProgramHeader};
use crate::error::ImageError;
use crate::image::Image;
use crate::read::ReadAt;

/// Access to pages; never writable and executable at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protection {
    /// May be read.
    pub read: bool,
    /// May be written.
    pub write: bool,
    /// May be executed.
    pub execute: bool,
}

impl Protection {
    /// Readable and writable.
    pub const READ_WRITE: Protection = Protection { read: true, write: true, execute: false };

    fn from_flags(flags: u32) -> Protection {
        Protection { read: flags & PF_R != 0, write: flags & PF_W != 0, execute: flags & PF_X != 0 }
    }
}

/// One segment to load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadSegment {
    /// Its index in the program header table.
    pub phdr: usize,
    /// The bytes of the file to copy; empty for a bss.
    pub file: Range<u64>,
    /// Guest address of the first byte.
    pub address: u64,
    /// How many zero bytes follow the copied ones.
    pub zero: u64,
    /// The pages to protect, as guest addresses; multiples of the page size. Bytes in them that
    /// belong to no segment keep their previous content.
    pub pages: Range<u64>,
    /// The access rights of these pages.
    pub protection: Protection,
}

impl LoadSegment {
    /// The bytes of the segment, as guest addresses.
    pub fn range(&self) -> Range<u64> {
        self.address..self.address + (self.file.end - self.file.start) + self.zero
    }
}

/// The segments to load. They are in ascending order, and no two share a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadPlan {
    /// The entry point, in an executable segment.
    pub entry: u64,
    /// Lowest address a segment may have.
    pub base: u64,
    /// Highest end of a segment with file content, rounded up to pages. The guest gets it as
    /// `kernel_end`. As with upstream, it does not include a separate bss.
    pub kernel_end: u64,
    /// The address at which the guest's memory begins.
    pub memory_start: u64,
    /// The smallest size of guest memory, in bytes from its start, that holds all segments.
    pub minimum_memory: u64,
    /// The segments, in ascending order.
    pub segments: Vec<LoadSegment>,
}

impl LoadPlan {
    /// Fails unless guest memory of `memory` bytes holds everything.
    pub fn fits(&self, memory: u64) -> Result<(), ImageError> {
        // From here on it is the address at which memory ends.
        let memory = self.memory_start.saturating_add(memory);
        let (entry, base) = (self.entry, self.base);
        if entry >= memory {
            return Err(ImageError::Entry { entry, base, memory: Some(memory) });
        }
        for segment in &self.segments {
            let (phdr, address) = (segment.phdr, segment.address);
            let file_size = segment.file.end - segment.file.start;
            if address >= memory {
                return Err(ImageError::FileBeyond { phdr, address, memory });
            }
            if address + file_size > memory {
                let size = file_size;
                return Err(ImageError::FileEnd { phdr, address, size, memory: Some(memory) });
            }
            if segment.pages.end > memory {
                let size = file_size + segment.zero;
                return Err(ImageError::MemoryEnd { phdr, address, size, memory: Some(memory) });
            }
        }
        Ok(())
    }
}

/// Address and end of the previous segment.
#[derive(Clone, Copy, Default)]
struct Previous {
    address: u64,
    end: u64,
}

impl Image {
    /// The load plan by the rules of `target`'s loader, or the first error that does not depend on
    /// the memory size.
    pub fn plan<R: ReadAt + ?Sized>(
        &self,
        reader: &R,
        target: Target,
    ) -> Result<LoadPlan, ImageError> {
        let mut first = None;
        let plan = examine(self, reader, target, &mut |fault| {
            first.get_or_insert(fault);
        });
        first.map_or(Ok(plan), Err)
    }

    /// The load plan by the rules of the loader that really loads the image. For a target that only
    /// other programs load, what they are not known to refuse is no error, and the plan may lack
    /// segments.
    pub fn plan_as_loaded<R: ReadAt + ?Sized>(
        &self,
        reader: &R,
        target: Target,
    ) -> Result<LoadPlan, ImageError> {
        match target.has_tender() {
            true => self.plan(reader, target),
            false => Ok(examine(self, reader, target, &mut |_| {})),
        }
    }
}

/// Applies the rules of `target`'s loader that do not depend on the size of memory. Passes every error
/// to `report`, at most one per segment. The plan holds the segments without an error; a loader may use
/// it only if there was no error.
pub fn examine<R: ReadAt + ?Sized>(
    image: &Image,
    reader: &R,
    target: Target,
    report: &mut dyn FnMut(ImageError),
) -> LoadPlan {
    let (entry, base) = (image.entry(), target.base(image.arch()));
    let memory_start = target.memory_start(image.arch());
    let mut plan = LoadPlan {
        entry,
        base,
        kernel_end: 0,
        memory_start,
        minimum_memory: 0,
        segments: Vec::new(),
    };
    let entry_below = entry < base;
    if entry_below {
        let memory = None;
        report(ImageError::Entry { entry, base, memory });
    }
    let page = image.arch().page_size();
    let mut previous = Previous::default();
    // Whether the entry point is in an executable segment, even one with another error.
    let mut entry_found = false;
    let headers = image.segments().iter().enumerate();
    for (phdr, header) in headers.filter(|(_, header)| header.is_load()) {
        entry_found |= header.p_filesz > 0
            && header.has(PF_X)
            && entry >= header.p_vaddr
            && entry - header.p_vaddr < header.p_memsz;
        match segment(reader, phdr, header, base, page, &mut previous) {
            Ok(segment) => {
                if header.p_filesz > 0 {
                    plan.kernel_end = plan.kernel_end.max(segment.pages.end);
                }
                // No segment is below the base, nor the base below the start of memory.
                let needed = segment.pages.end.saturating_sub(memory_start);
                plan.minimum_memory = plan.minimum_memory.max(needed);
                plan.segments.push(segment);
            }
            Err(fault) => report(fault),
        }
    }
    if !entry_below && !entry_found {
        report(ImageError::EntryNotExecutable { entry, base });
    }
    plan
}

fn segment<R: ReadAt + ?Sized>(
    reader: &R,
    phdr: usize,
    header: &ProgramHeader,
    base: u64,
    page: u64,
    previous: &mut Previous,
) -> Result<LoadSegment, ImageError> {
    let ProgramHeader {
        p_vaddr: address,
        p_filesz: file_size,
        p_memsz: memory_size,
        p_align: align,
        p_offset: offset,
        ..
    } = *header;
    let has_content = file_size > 0;
    if address < base {
        return Err(ImageError::Below { phdr, address, base });
    }
    if address < previous.address {
        let previous = previous.address;
        return Err(ImageError::Order { phdr, address, previous });
    }
    if !align.is_power_of_two() {
        return Err(ImageError::Align { phdr, align });
    }
    // A segment occupies whole pages, so a larger alignment does not extend it. A smaller alignment
    // is used as it is, as upstream's loader does. The base is a multiple of the page size, so rounding
    // moves no segment below it.
    let round = align.min(page);
    let start = address & !(round - 1);
    if start < previous.end {
        let previous_end = previous.end;
        return Err(ImageError::Overlap { phdr, start, previous_end });
    }
    let memory = None;
    if address.checked_add(file_size).is_none() {
        let size = file_size;
        return Err(ImageError::FileEnd { phdr, address, size, memory });
    }
    if memory_size < file_size {
        return Err(ImageError::MemoryBelowFile { phdr, memory_size, file_size });
    }
    // A bss needs no alignment of its own, but its pages must exist.
    let round = if has_content { round } else { page };
    let end = address
        .checked_add(memory_size)
        .and_then(|end| end.checked_next_multiple_of(round))
        .ok_or(ImageError::MemoryEnd { phdr, address, size: memory_size, memory })?;
    *previous = Previous { address, end };
    if has_content {
        check_content(reader, phdr, offset, file_size)?;
        if !start.is_multiple_of(page) {
            return Err(ImageError::StartUnaligned { phdr, start, page });
        }
        if !end.is_multiple_of(page) {
            return Err(ImageError::EndUnaligned { phdr, end, page });
        }
        if header.has(PF_W | PF_X) {
            return Err(ImageError::WriteExec { phdr });
        }
        if header.p_flags & (PF_R | PF_W | PF_X) == 0 {
            return Err(ImageError::NoAccess { phdr });
        }
    }
    Ok(LoadSegment {
        phdr,
        file: offset..offset.saturating_add(file_size),
        address,
        zero: memory_size - file_size,
        pages: start & !(page - 1)..end,
        protection: if has_content {
            Protection::from_flags(header.p_flags)
        } else {
            Protection::READ_WRITE
        },
    })
}

/// Whether the file holds the content: its last byte can be read.
fn check_content<R: ReadAt + ?Sized>(
    reader: &R,
    phdr: usize,
    offset: u64,
    size: u64,
) -> Result<(), ImageError> {
    let short = ImageError::SegmentShort { phdr, offset, size };
    let last = offset.checked_add(size - 1).ok_or(short)?;
    match reader.read_at(last, &mut [0]) {
        Ok(1) => Ok(()),
        Ok(_) => Err(short),
        Err(error) => Err(ImageError::SegmentRead { phdr, offset, error }),
    }
}
