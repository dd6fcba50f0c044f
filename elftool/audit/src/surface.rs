//! S5: size and attack surface.

use solo5_abi::mft1::DeviceType;
use solo5_abi::offer::{Feature, Features};
use solo5_image::elf::SHF_ALLOC;
use solo5_report::Place;

use crate::budget::Measure;
use crate::calls::Use;
use crate::finding::Finding;
use crate::subject::Subject;

/// How many of the largest sections are named.
const LARGEST: usize = 5;

const KINDS: [(Use, DeviceType, &str); 2] =
    [(Use::Net, DeviceType::NetBasic, "network"), (Use::Block, DeviceType::BlockBasic, "block")];

fn declares(subject: &Subject<'_>, kind: DeviceType) -> Option<bool> {
    let manifest = subject.image()?.manifest().ok()?;
    let mut devices = manifest.devices();
    Some(devices.any(|(_, entry)| entry.kind() == Some(kind)))
}

/// Functions of features, with what the manifest has to say for them.
const FEATURES: [(&str, Feature, &str); 2] = [
    ("solo5_seed", Feature::Seed, "`seed: true`"),
    ("solo5_block_flush", Feature::Flush, "`flush: true` of a block device"),
];

/// The features that the manifest needs; `None` if it cannot be read.
fn needs(subject: &Subject<'_>) -> Option<Features> {
    let properties = subject.image()?.properties().ok()?;
    Some(properties.map_or(Features::NONE, |properties| properties.needs()))
}

pub(crate) fn undeclared(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for (usage, kind, name) in KINDS {
        if declares(subject, kind) != Some(false) {
            continue;
        }
        let Some(calls) = subject.calls() else { return };
        if let Some(first) = calls.first(usage) {
            let message = format!("uses {}, but declares no {name} device", first.name);
            out.push(Finding::new(message, subject.at(first.from)));
        }
    }
    let Some(needs) = needs(subject) else { return };
    for (name, feature, key) in FEATURES {
        // Without any block device, the absent device is what is reported.
        let of_device = feature == Feature::Flush;
        if needs.has(feature)
            || of_device && declares(subject, DeviceType::BlockBasic) != Some(true)
        {
            continue;
        }
        let Some(calls) = subject.calls() else { return };
        if let Some(first) = calls.first_to(name) {
            let message = format!("uses {name}, but the manifest has no {key}");
            out.push(Finding::new(message, subject.at(first.from)));
        }
    }
}

pub(crate) fn unused(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for (usage, kind, name) in KINDS {
        if declares(subject, kind) != Some(true) {
            continue;
        }
        let Some(calls) = subject.calls() else { return };
        if calls.first(usage).is_none() {
            let message = format!("declares a {name} device, but uses none");
            out.push(Finding::new(message, subject.whole()));
        }
    }
    let Some(needs) = needs(subject) else { return };
    for (name, _, key) in FEATURES.into_iter().filter(|(_, feature, _)| needs.has(*feature)) {
        let Some(calls) = subject.calls() else { return };
        if calls.first_to(name).is_none() {
            let message = format!("the manifest has {key}, but nothing uses {name}");
            out.push(Finding::new(message, subject.whole()));
        }
    }
}

pub(crate) fn budgets(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for budget in subject.budgets() {
        let Some(size) = measure(subject, &budget.what) else { continue };
        let (what, place) = match &budget.what {
            Measure::Loaded => ("the loaded part", subject.whole()),
            Measure::Memory => ("the smallest memory", subject.whole()),
            Measure::Section(name) => {
                let section = subject.sections().and_then(|all| all.find(name));
                let place = section.map_or_else(|| subject.whole(), |it| subject.section(it));
                (name.as_str(), place)
            }
        };
        if size > budget.bytes {
            let message = format!("{what} has {size} bytes; the budget is {}", budget.bytes);
            out.push(Finding::new(message, place));
        }
    }
}

/// The size that a budget limits; `None` if the image does not have what is measured.
pub fn measure(subject: &Subject<'_>, what: &Measure) -> Option<u64> {
    let image = subject.image()?;
    match what {
        Measure::Loaded => {
            let loads = image.segments().iter().filter(|header| header.is_load());
            Some(loads.map(|header| header.p_filesz).fold(0, u64::saturating_add))
        }
        Measure::Memory => {
            let least = subject.plan().map(|_| subject.least_memory().unwrap_or(u64::MAX));
            Some(least.unwrap_or(0))
        }
        Measure::Section(name) => Some(subject.sections()?.find(name)?.header.sh_size),
    }
}

pub(crate) fn largest(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    let sections = subject.sections().map_or(&[][..], |all| all.all());
    let loaded = sections.iter().filter(|section| section.has(SHF_ALLOC));
    let mut sizes: Vec<_> = loaded.filter(|section| section.header.sh_size > 0).collect();
    sizes.sort_by_key(|section| std::cmp::Reverse(section.header.sh_size));
    let Some(first) = sizes.first() else { return };
    let place = Place {
        offset: Some(first.header.sh_offset),
        length: Some(first.header.sh_size),
        section: Some(first.name.clone()),
        ..subject.whole()
    };
    let message = format!("{} is the largest of {} sections", first.name, sizes.len());
    let mut finding = Finding::new(message, place);
    for section in sizes.iter().take(LARGEST) {
        let line = format!("{:>10} bytes  {}", section.header.sh_size, section.name);
        finding.notes.push(line);
    }
    out.push(finding);
}
