//! S4: where does it come from, and how was it built?

use serde_json::Value;
use solo5_abi::note::{OWNER_FDO, TYPE_FDO_PACKAGE};
use solo5_image::elf::SHT_SYMTAB;
use solo5_image::sections::Section;
use solo5_report::Place;

use crate::calls::Use;
use crate::strings::Texts;
use crate::subject::{Finding, Subject};

/// Most bytes of a packaging note read.
const PACKAGE_MAX: usize = 16 * 1024;

pub(crate) fn stack_protector(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    let Some(calls) = subject.calls() else { return };
    if calls.functions.is_empty() || calls.first(Use::StackCheck).is_some() {
        return;
    }
    let message = format!(
        "none of {} functions checks its stack",
        calls.functions.len()
    );
    let mut finding = Finding::new(message, subject.whole());
    finding
        .notes
        .push(String::from("nothing calls __stack_chk_fail"));
    out.push(finding);
}

pub(crate) fn build_paths(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    texts(subject, &subject.traces().paths, "build path", out);
}

pub(crate) fn build_times(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    texts(subject, &subject.traces().times, "point in time", out);
}

/// One finding, at the first text of its kind.
fn texts(subject: &Subject<'_>, found: &Texts, what: &str, out: &mut Vec<Finding>) {
    let Some(first) = found.first.first() else {
        return;
    };
    let plural = if found.count == 1 { "" } else { "s" };
    let message = format!("holds {} {what}{plural}", found.count);
    let place = Place {
        offset: Some(first.offset),
        length: Some(first.text.len() as u64),
        section: Some(first.section.clone()),
        ..subject.whole()
    };
    let mut finding = Finding::new(message, place);
    for text in &found.first {
        finding
            .notes
            .push(format!("{}: {}", text.section, text.text));
    }
    out.push(finding);
}

/// The packaging notes: where each is, and its descriptor.
fn packages(subject: &Subject<'_>) -> Vec<(Place, Vec<u8>)> {
    let Some(image) = subject.image() else {
        return Vec::new();
    };
    let notes = image.notes().all().iter();
    notes
        .filter(|note| note.is(OWNER_FDO, TYPE_FDO_PACKAGE))
        .take(2)
        .filter_map(|note| {
            let bytes = note.read(subject.reader, PACKAGE_MAX).ok()?;
            let place = Place {
                offset: Some(note.descriptor.start),
                length: Some(note.size()),
                part: Some(format!("phdr[{}]", note.phdr)),
                section: Some(String::from(".note.package")),
                ..subject.whole()
            };
            Some((place, bytes))
        })
        .collect()
}

pub(crate) fn no_package(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    if subject.image().is_some() && packages(subject).is_empty() {
        let message = "no packaging note says what it is a build of";
        out.push(Finding::new(message, subject.whole()));
    }
}

pub(crate) fn package(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    let found = packages(subject);
    if let [_, (place, _)] = &found[..] {
        out.push(Finding::new("two packaging notes", place.clone()));
    }
    for (place, bytes) in found {
        if let Some(message) = package_fault(subject, &bytes) {
            out.push(Finding::new(message, place));
        }
    }
}

/// What is wrong with a packaging note, if anything is. A manifest of version 1 or 2 does not keep
/// its package in the image, so what the image itself knows is compared: kind and machine.
fn package_fault(subject: &Subject<'_>, bytes: &[u8]) -> Option<String> {
    let json = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    let Ok(Value::Object(fields)) = serde_json::from_slice(json) else {
        return Some(String::from("the packaging note is no JSON object"));
    };
    let text = |key: &str| fields.get(key).and_then(Value::as_str);
    match text("type") {
        Some("solo5") => {}
        Some(other) => {
            return Some(format!("the packaging note is for '{other}', not 'solo5'"));
        }
        None => return Some(String::from("the packaging note has no type")),
    }
    if text("name").is_none_or(str::is_empty) {
        return Some(String::from("the packaging note names no package"));
    }
    let machine = subject.image()?.arch().name();
    text("architecture")
        .filter(|named| *named != machine)
        .map(|named| format!("the packaging note says {named}, the header {machine}"))
}

pub(crate) fn debug_info(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    let sections = subject.sections().map_or(&[][..], |all| all.all());
    let is_debug = |section: &&Section| {
        section.name.starts_with(".debug_") || section.name.starts_with(".zdebug_")
    };
    let mut debug = sections.iter().filter(is_debug).peekable();
    if let Some(first) = debug.peek().copied() {
        let bytes: u128 = debug
            .map(|section| u128::from(section.header.sh_size))
            .sum();
        let message = format!("{bytes} bytes of debug information");
        out.push(Finding::new(message, named(subject, first)));
    }
}

pub(crate) fn unstripped(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    let sections = subject.sections().map_or(&[][..], |all| all.all());
    let mut tables = sections.iter();
    if let Some(table) = tables.find(|section| section.header.sh_type == SHT_SYMTAB) {
        let count = table.header.sh_size / solo5_image::elf::SYMBOL_SIZE as u64;
        out.push(Finding::new(
            format!("{count} symbols"),
            named(subject, table),
        ));
    }
}

/// A section that is not loaded, so that no symbol is at its start.
fn named(subject: &Subject<'_>, section: &Section) -> Place {
    Place {
        offset: Some(section.header.sh_offset),
        length: Some(section.header.sh_size),
        section: Some(section.name.clone()),
        ..subject.whole()
    }
}
