//! The rights of pages on hosts whose pages are larger than the image's.

use std::io::Write;

use solo5_abi::{Arch, Target};
use solo5_image::pages::{Rights, largest, rights};
use solo5_image::testing::Sample;
use solo5_image::{Image, LoadPlan, Protection};

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
    assert_eq!(largest(&plan(&segments), Arch::Aarch64), Some(0x1000));
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
    assert_eq!(largest(&plan(&segments), Arch::Aarch64), Some(0x1_0000));
    // Their hosts have pages of one size.
    assert_eq!(largest(&plan(&segments), Arch::X86_64), None);
    assert_eq!(largest(&plan(&segments), Arch::Ppc64le), None);
}

#[test]
fn the_heap_keeps_the_page_that_it_begins_in() {
    let whole = plan(&[(0x10_0000..0x11_0000, CODE)]);
    assert!(rights(&whole, 0x1_0000).is_some());
    let shared = plan(&[(0x10_0000..0x10_1000, CODE)]);
    assert_eq!(rights(&shared, 0x4000), None);
    assert!(rights(&shared, 0x1000).is_some());
}
