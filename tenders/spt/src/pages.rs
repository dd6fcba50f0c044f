//! The rights of an image's pages on a host whose pages are larger than the image's
//! (`docs/reference/spt.md#memory`).
//!
//! The kernel protects whole pages of its own size. Linkers align segments to 64 KiB, so that no two
//! with different rights share a page anywhere. An image that was linked with a finer alignment cannot
//! have its rights on such a host; it is refused.

use std::ops::Range;

use solo5_image::{LoadPlan, Protection};

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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use solo5_abi::{Arch, Target};
    use solo5_image::Image;
    use solo5_image::testing::Sample;

    use super::*;

    const READ: Protection = Protection { read: true, write: false, execute: false };
    const CODE: Protection = Protection { read: true, write: false, execute: true };

    /// A plan with segments at these pages.
    fn plan(segments: &[Rights]) -> LoadPlan {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&Sample::new(Target::Spt, Arch::Aarch64, &[]).bytes()).unwrap();
        let image = Image::read(&file, &[Arch::Aarch64]).unwrap();
        let mut plan = image.plan(&file, Target::Spt).unwrap();
        let sample = plan.segments.remove(0);
        plan.segments.clear();
        for (pages, protection) in segments {
            let mut segment = sample.clone();
            (segment.pages, segment.protection) = (pages.clone(), *protection);
            plan.segments.push(segment);
        }
        plan
    }

    #[test]
    fn rights_are_those_of_the_image_on_a_host_with_its_pages() {
        let segments = [
            (0x10_0000..0x10_1000, CODE),
            (0x10_1000..0x10_3000, READ),
            (0x10_3000..0x10_4000, Protection::READ_WRITE),
        ];
        assert_eq!(rights(&plan(&segments), 0x1000), Some(segments.to_vec()));
        for page in [0x4000, 0x1_0000] {
            assert_eq!(rights(&plan(&segments), page), None, "{page:#x}");
        }
    }

    #[test]
    fn an_image_aligned_to_the_largest_pages_runs_on_every_host() {
        let segments = [
            (0x10_0000..0x10_1000, CODE),
            (0x11_0000..0x11_3000, READ),
            (0x12_0000..0x12_1000, Protection::READ_WRITE),
            (0x12_1000..0x12_9000, Protection::READ_WRITE),
        ];
        let sixty_four = [
            (0x10_0000..0x11_0000, CODE),
            (0x11_0000..0x12_0000, READ),
            (0x12_0000..0x13_0000, Protection::READ_WRITE),
            (0x12_0000..0x13_0000, Protection::READ_WRITE),
        ];
        assert_eq!(rights(&plan(&segments), 0x1_0000), Some(sixty_four.to_vec()));
        assert_eq!(rights(&plan(&segments), 0x4000).unwrap()[0].0, 0x10_0000..0x10_4000);
    }

    #[test]
    fn the_heap_keeps_the_page_that_it_begins_in() {
        let whole = plan(&[(0x10_0000..0x11_0000, CODE)]);
        assert!(rights(&whole, 0x1_0000).is_some());
        let shared = plan(&[(0x10_0000..0x10_1000, CODE)]);
        assert_eq!(rights(&shared, 0x4000), None);
        assert!(rights(&shared, 0x1000).is_some());
    }
}
