//! Reading an image: headers, notes, load plan, sections and symbols.

use std::ops::ControlFlow;

use solo5_abi::Arch;
use solo5_image::sections::Sections;
use solo5_image::{Image, ImageError, LoadPlan, plan};

use crate::Target;
use crate::files::{self, File};

pub(crate) const TARGET: Target =
    Target { name: "image", run, seeds: files::images, words: files::note_words };

/// Most symbols that are read.
const SYMBOLS_MAX: usize = 4096;

fn run(data: &[u8]) -> bool {
    let file = File::new(data);
    let image = match Image::read(&file, &Arch::ALL) {
        Ok(image) => image,
        Err(fault) => {
            shown(&fault);
            return false;
        }
    };
    image.notes().faults().iter().for_each(shown);
    for note in image.notes().all() {
        let read = note.read(&file, 4096).expect("reading cannot fail here");
        assert!(read.len() as u64 <= note.size().min(4096));
        assert!(note.phdr < image.segments().len() && note.owner().len() <= 8);
    }
    for fault in [
        image.abi().err(),
        image.manifest().err(),
        image.checked_manifest().err(),
        image.properties().err(),
    ] {
        fault.iter().for_each(shown);
    }
    let mut taken = false;
    for target in solo5_abi::Target::ALL {
        let mut faults = Vec::new();
        let examined = plan::examine(&image, &file, target, &mut |fault| faults.push(fault));
        let planned = image.plan(&file, target);
        assert_eq!(planned.as_ref().err(), faults.first(), "{target:?}");
        faults.iter().for_each(shown);
        match planned {
            Ok(plan) => {
                assert_eq!(plan, examined);
                check(&plan, image.arch().page_size());
                taken = true;
            }
            // A loader refuses this plan, but the audit reads it.
            Err(_) => _ = examined.fits(examined.minimum_memory),
        }
    }
    sections(&file, &image);
    taken
}

/// Asserts what a loader relies on.
fn check(plan: &LoadPlan, page: u64) {
    let minimum = plan.minimum_memory;
    let mut sizes = vec![0, minimum.saturating_sub(1), minimum, u64::MAX];
    sizes.extend(plan.segments.iter().flat_map(|segment| [segment.pages.start, segment.pages.end]));
    for memory in sizes {
        let fits = plan.fits(memory);
        assert_eq!(fits.is_ok(), memory >= minimum, "{memory:#x} in {plan:?}");
        fits.err().iter().for_each(shown);
    }
    let mut end = plan.base;
    let mut entered = false;
    for segment in &plan.segments {
        let (range, pages) = (segment.range(), &segment.pages);
        let needed = pages.end - plan.memory_start;
        assert!(end <= pages.start && needed <= minimum, "{plan:?}");
        assert!(pages.start <= range.start && range.end <= pages.end, "{plan:?}");
        assert!(pages.start.is_multiple_of(page) && pages.end.is_multiple_of(page), "{plan:?}");
        let protection = segment.protection;
        assert!(!(protection.write && protection.execute), "{plan:?}");
        entered |= protection.execute && range.contains(&plan.entry);
        end = pages.end;
    }
    assert!(entered && plan.kernel_end <= minimum, "{plan:?}");
}

fn sections(file: &File<'_>, image: &Image) {
    let sections = match Sections::read(file, image.header()) {
        Ok(sections) => sections,
        Err(fault) => {
            assert!(!fault.to_string().is_empty());
            return;
        }
    };
    let _ = sections.at_address(image.entry());
    let _ = sections.find(".text").map(|text| sections.at_offset(text.header.sh_offset));
    let mut left = SYMBOLS_MAX;
    let _ = sections.visit_symbols(file, |symbol| {
        left -= 1;
        if left > SYMBOLS_MAX - 16 {
            let _ = sections.symbol_name(file, symbol);
        }
        if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
}

fn shown(fault: &ImageError) {
    assert!(!fault.to_string().is_empty(), "{fault:?}");
}
