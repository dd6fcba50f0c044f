//! S3: are notes and manifest well-formed, and where readers look for them?

use solo5_abi::mft1::ErrorKind;
use solo5_abi::{Target, note};
use solo5_image::elf::{PF_W, PT_INTERP, PT_NOTE};
use solo5_image::error::ImageError;
use solo5_image::{Image, Note, ProgramHeader};
use solo5_report::Place;

use crate::finding::{FINDINGS_MAX, Finding};
use crate::subject::Subject;

pub(crate) fn no_abi(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    subject.report(out, |fault| match fault {
        ImageError::NoAbi => Some(String::from("nothing says which target the image is for")),
        _ => None,
    });
}

pub(crate) fn target(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    subject.report(out, |fault| match fault {
        ImageError::AbiTarget { found, .. } => Some(format!("no target has the number {found}")),
        _ => None,
    });
}

pub(crate) fn version(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    subject.report(out, |fault| match (fault, subject.target()) {
        (ImageError::AbiVersion { found }, Some(target)) => Some(match target.abi_version() {
            Some(ours) => format!("{} ABI version {found}; this release has {ours}", target.name()),
            None => format!("{} has no ABI version in any release", target.name()),
        }),
        _ => None,
    });
}

/// The rule that bindings without a tender apply too.
pub(crate) const NO_MANIFEST: &str = "S304";

pub(crate) fn no_manifest(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    subject.report(out, |fault| match fault {
        ImageError::NoManifest => Some(String::from("nothing says which devices the image needs")),
        _ => None,
    });
}

pub(crate) fn malformed(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    subject.report(out, |fault| match fault {
        ImageError::NoteSegmentShort { phdr, size } => {
            Some(format!("segment {phdr} has {size} bytes, too few for a note"))
        }
        ImageError::NoteRead { error, .. } => Some(format!("a note cannot be read: {error}")),
        ImageError::NoteShort { got, want, .. } => {
            Some(format!("a note reaches past the end of the file: {got} of {want} bytes"))
        }
        ImageError::NoteSize { size, least, most, .. } => {
            Some(format!("a note's descriptor has {size} bytes, not {least} to {most}"))
        }
        ImageError::NoteReach { have, need, .. } => {
            Some(format!("a note needs {need} bytes, and its segment has {have} left"))
        }
        ImageError::NotesMany { .. } => {
            Some(format!("more than {} notes", solo5_image::notes::NOTES_MAX))
        }
        _ => None,
    });
}

pub(crate) fn features(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    subject.report(out, |fault| match fault {
        ImageError::Features { missing } => Some(format!("the bindings do not know: {missing}")),
        _ => None,
    });
}

pub(crate) fn no_stack(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    let has_guard = matches!(subject.target(), Some(Target::Spt | Target::Hvt));
    let Some(Ok(properties)) = subject.image().filter(|_| has_guard).map(Image::properties) else {
        return;
    };
    if properties.and_then(|properties| properties.stack()).is_none() {
        let message = "heap and stack share one region, with no guard between them";
        out.push(Finding::new(message, subject.whole()));
    }
}

/// Reports the manifest's fault if it is one of those `wanted`.
fn manifest_fault(subject: &Subject<'_>, out: &mut Vec<Finding>, wanted: fn(ErrorKind) -> bool) {
    subject.report(out, |fault| match fault {
        ImageError::Manifest { fault, .. } if wanted(fault.kind) => Some(fault.to_string()),
        _ => None,
    });
}

pub(crate) fn manifest(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    manifest_fault(subject, out, |kind| match kind {
        ErrorKind::Short
        | ErrorKind::Version(_)
        | ErrorKind::Entries(_)
        | ErrorKind::Size
        | ErrorKind::NotReserved => true,
        ErrorKind::NameUnterminated
        | ErrorKind::Attached
        | ErrorKind::Name
        | ErrorKind::Type(_)
        | ErrorKind::Duplicate
        | ErrorKind::Preset => false,
    });
}

pub(crate) fn device_name(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    manifest_fault(subject, out, |kind| {
        matches!(kind, ErrorKind::Name | ErrorKind::NameUnterminated)
    });
}

pub(crate) fn duplicate_device(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    manifest_fault(subject, out, |kind| kind == ErrorKind::Duplicate);
}

pub(crate) fn device_type(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    manifest_fault(subject, out, |kind| matches!(kind, ErrorKind::Type(_)));
}

pub(crate) fn preset(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    manifest_fault(subject, out, |kind| matches!(kind, ErrorKind::Preset | ErrorKind::Attached));
}

pub(crate) fn properties(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    subject.report(out, |fault| match fault {
        ImageError::Properties { fault, .. } => Some(fault.to_string()),
        _ => None,
    });
}

pub(crate) fn second_properties(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    subject.report(out, |fault| match fault {
        ImageError::SecondProperties { .. } => {
            Some(String::from("a second note of manifest properties"))
        }
        _ => None,
    });
}

/// Solo5 notes of this type.
fn solo5_notes<'s>(subject: &'s Subject<'_>, kind: u32) -> impl Iterator<Item = &'s Note> {
    let all = subject.image().map_or(&[][..], |image| image.notes().all());
    all.iter().filter(move |note| note.is(note::OWNER_SOLO5, kind))
}

pub(crate) fn duplicates(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for (kind, name) in [(note::TYPE_ABI1, "ABI"), (note::TYPE_MFT1, "manifest")] {
        for note in solo5_notes(subject, kind).skip(1).take(FINDINGS_MAX) {
            let mut place = subject.phdr(note.phdr);
            place.offset = Some(note.offset);
            place.length = None;
            let message = format!("another {name} note, which readers ignore");
            out.push(Finding::new(message, place));
        }
    }
}

pub(crate) fn lost_properties(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    if solo5_notes(subject, note::TYPE_MFT2).next().is_some() {
        return;
    }
    let Some(sections) = subject.sections() else {
        return;
    };
    for name in [note::SECTION_MFT2, note::SECTION_MFT2_INPUT] {
        if let Some(section) = sections.find(name) {
            let message = format!("{name} is in no PT_NOTE, so no tender sees it");
            out.push(Finding::new(message, subject.section(section)));
        }
    }
}

pub(crate) fn interp(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    let Some(image) = subject.image() else { return };
    let Some(index) = subject.first_segment(PT_INTERP) else {
        let message = "there is no PT_INTERP, so a host may execute the file directly";
        out.push(Finding::new(message, subject.whole()));
        return;
    };
    let Some(header) = image.segments().get(index) else {
        return;
    };
    // Only the path up to its terminator is compared; linkers may pad or cut what follows.
    let mut path = [0; note::NO_EXEC_INTERP.len()];
    let size = header.p_filesz.min(path.len() as u64) as usize;
    let read = path.get_mut(..size).map(|path| subject.reader.read_at(header.p_offset, path));
    if !matches!(read, Some(Ok(_))) || path != note::NO_EXEC_INTERP {
        let message = "PT_INTERP is not the path that cannot be executed";
        let mut finding = Finding::new(message, subject.phdr(index));
        let text = String::from_utf8_lossy(path.split(|byte| *byte == 0).next().unwrap_or(&path));
        finding.notes.push(format!("it is {text:?}"));
        out.push(finding);
    }
}

pub(crate) fn openbsd(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    let Some(image) = subject.image() else { return };
    let first = subject.first_segment(PT_NOTE);
    let found = image
        .notes()
        .all()
        .iter()
        .find(|note| note.is(note::OWNER_OPENBSD, note::TYPE_OPENBSD_IDENT));
    let (message, place) = match found {
        None => {
            ("there is no OpenBSD note, so OpenBSD does not recognize the file", subject.whole())
        }
        Some(note) if Some(note.phdr) != first => {
            ("OpenBSD before 6.7 looks at the first PT_NOTE only", subject.phdr(note.phdr))
        }
        Some(_) => return,
    };
    out.push(Finding::new(message, place));
}

pub(crate) fn memory_minimum(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    let (Some(image), Some(plan)) = (subject.image(), subject.plan()) else {
        return;
    };
    let Ok(Some(properties)) = image.properties() else {
        return;
    };
    let loading = plan.minimum_memory;
    let least = subject.least_memory().unwrap_or(u64::MAX);
    if let Some(declared) = properties.memory_minimum()
        && least > declared
    {
        let takes = if loading > declared {
            format!("loading takes {loading}")
        } else {
            format!("image, heap, guard and stack take {least}")
        };
        let message = format!("the manifest declares a minimum of {declared} bytes, and {takes}");
        out.push(Finding::new(message, properties_place(subject)));
    }
}

pub(crate) fn memory_beyond(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    let (Some(image), Some(most)) = (subject.image(), subject.most_memory()) else {
        return;
    };
    let Ok(Some(properties)) = image.properties() else {
        return;
    };
    for (what, declared) in [
        ("declares a minimum of", properties.memory_minimum()),
        ("recommends", properties.memory_recommended()),
    ] {
        if let Some(declared) = declared.filter(|declared| *declared > most) {
            let message = format!(
                "the manifest {what} {declared} bytes, and the most that a guest can have is {most}"
            );
            out.push(Finding::new(message, properties_place(subject)));
        }
    }
}

/// Where the properties are.
pub(crate) fn properties_place(subject: &Subject<'_>) -> Place {
    let note = solo5_notes(subject, note::TYPE_MFT2).next();
    note.map_or_else(|| subject.whole(), |note| subject.phdr(note.phdr))
}

/// The manifest note and the segment it is loaded with.
fn manifest_segment<'s>(subject: &'s Subject<'_>) -> Option<(&'s Note, &'s ProgramHeader)> {
    let note = solo5_notes(subject, note::TYPE_MFT1).next()?;
    let segment = subject.image()?.segments().iter().find(|segment| {
        segment.is_load() && note.offset.wrapping_sub(segment.p_offset) < segment.p_filesz
    })?;
    Some((note, segment))
}

pub(crate) fn read_only_manifest(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    let writes = match subject.target() {
        Some(Target::Virtio | Target::Xen) => true,
        Some(Target::Hvt | Target::Spt | Target::Muen | Target::Genode) | None => false,
    };
    if !writes {
        return;
    }
    if let Some((note, segment)) = manifest_segment(subject)
        && !segment.has(PF_W)
    {
        let message = "the bindings fill in the manifest in place, and it is read-only";
        out.push(Finding::new(message, subject.phdr(note.phdr)));
    }
}

pub(crate) fn section_names(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    let unreadable = match subject.section_result() {
        Some(Err(fault)) => Some(*fault),
        Some(Ok(_)) => subject.symbols().fault,
        None => None,
    };
    if let Some(fault) = unreadable {
        let message = format!("sections or symbols cannot be read: {fault}");
        let mut finding = Finding::new(message, subject.whole());
        finding.notes.push("rules that need them find less, or nothing".to_owned());
        out.push(finding);
    }
    let Some(sections) = subject.sections() else { return };
    let pairs = [(note::TYPE_ABI1, note::SECTION_ABI1), (note::TYPE_MFT1, note::SECTION_MFT1)];
    for (kind, name) in pairs {
        if let Some(note) = solo5_notes(subject, kind).next()
            && sections.find(name).is_none()
        {
            let message = format!("there is no section {name}, where some tools look for it");
            out.push(Finding::new(message, subject.phdr(note.phdr)));
        }
    }
}

pub(crate) fn manifest_alignment(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    if let Some((note, segment)) = manifest_segment(subject) {
        // The segment of a note may have a wrong offset, which other rules report.
        let address = (note.offset.wrapping_sub(segment.p_offset)).wrapping_add(segment.p_vaddr);
        if !address.is_multiple_of(8) {
            let message = format!("the manifest note is at {address:#x}, not at a multiple of 8");
            out.push(Finding::new(message, subject.phdr(note.phdr)));
        }
    }
}
