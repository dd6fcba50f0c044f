//! The rights of an image's pages on a host whose pages are larger than the image's
//! (`docs/reference/spt.md#host-pages`).
//!
//! The kernel protects whole pages of its own size. Linkers align segments to 64 KiB, so that no two
//! with different rights share a page anywhere. An image that was linked with a finer alignment cannot
//! have its rights on such a host; it is refused.

use std::ops::Range;

use solo5_abi::Arch;

use crate::plan::{LoadPlan, Protection};

/// Pages, and what may be done with them.
pub type Rights = (Range<u64>, Protection);

/// The rights of each segment's pages, in whole pages of `page` bytes. `None` if two parts with
/// different rights share a page. What follows the last segment is the heap.
pub fn rights(plan: &LoadPlan, page: u64) -> Option<Vec<Rights>> {
    let mut all: Vec<Rights> = Vec::new();
    let segments = plan.segments.iter().filter(|segment| !segment.pages.is_empty());
    for segment in segments {
        let start = segment.pages.start / page * page;
        let end = segment.pages.end.checked_next_multiple_of(page)?;
        if let Some((before, protection)) = all.last()
            && before.end > start
            && *protection != segment.protection
        {
            return None;
        }
        all.push((start..end, segment.protection));
    }
    let last = plan.segments.iter().rfind(|segment| !segment.pages.is_empty());
    let shares_with_heap = last.is_some_and(|last| {
        last.protection != Protection::READ_WRITE && !last.pages.end.is_multiple_of(page)
    });
    (!shares_with_heap).then_some(all)
}

/// Sizes of pages that hosts of some architecture have.
const SIZES: [u64; 3] = [0x1_0000, 0x4000, 0x1000];

/// The largest pages of a host of `arch` on which each part of the image can have its rights; `None` if
/// all its hosts have pages of one size.
pub fn largest(plan: &LoadPlan, arch: Arch) -> Option<u64> {
    let (least, most) = (arch.page_size(), arch.page_size_max());
    let mut sizes = SIZES.into_iter().filter(|size| (least..=most).contains(size));
    if least == most { None } else { sizes.find(|size| rights(plan, *size).is_some()) }
}
