//! S4: provenance and hardening.

use serde_json::Value;
use solo5_abi::note::{OWNER_FDO, TYPE_FDO_PACKAGE};
use solo5_image::elf::SHT_SYMTAB;
use solo5_image::sections::Section;
use solo5_report::Place;

use crate::calls::Use;
#[cfg(feature = "dwarf")]
use crate::finding::FINDINGS_MAX;
use crate::finding::Finding;
use crate::strings::Texts;
use crate::subject::Subject;
#[cfg(feature = "dwarf")]
use crate::subject::source_line;

/// Most bytes of a packaging note read.
const PACKAGE_MAX: usize = 16 * 1024;

pub(crate) fn stack_protector(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    let Some(calls) = subject.calls() else { return };
    if calls.functions.is_empty() || calls.first(Use::StackCheck).is_some() {
        return;
    }
    let message = format!("none of {} functions checks its stack", calls.functions.len());
    let mut finding = Finding::new(message, subject.whole());
    finding.notes.push(String::from("nothing calls __stack_chk_fail"));
    // The image itself does not tell the two apart.
    let either = "it was compiled without stack protector, or no function has an array or a variable \
                  whose address it takes";
    finding.notes.push(String::from(either));
    out.push(finding);
}

/// The C units without a stack protector, if other units have one. If the compiler recorded its options,
/// they decide; if not, a function with an unchecked array on its stack does. A unit with any check was
/// compiled with the protector, whatever its options: some compilers enable it by default.
#[cfg(feature = "dwarf")]
pub(crate) fn unprotected(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    // If no unit has a check, S401 reports it.
    let calls = subject.calls().filter(|calls| calls.first(Use::StackCheck).is_some());
    let Some((calls, info)) = calls.zip(subject.debug_info()) else {
        return;
    };
    let info = info.renewed();
    let checks = calls.references.iter();
    let checks = checks.filter(|found| found.usage == Use::StackCheck);
    let checks: Vec<u64> = checks.map(|found| found.from).collect();
    info.visit_units(|unit| {
        let checked = unit.functions.iter().any(|function| any_in(&checks, &function.range));
        if out.len() >= FINDINGS_MAX || !unit.unchecked || checked {
            return;
        }
        let options = Options::of(&unit.producer);
        let functions: Vec<_> = match options {
            Options::With => return,
            Options::Without => unit.functions.iter().collect(),
            Options::Unknown => {
                let functions = unit.functions.iter();
                functions.filter(|function| function.has_array).collect()
            }
        };
        let Some(first) = functions.first() else {
            return;
        };
        let (count, unit_name) = (functions.len(), &unit.name);
        let plural = if count == 1 { "" } else { "s" };
        let message = match options {
            Options::Unknown => {
                format!(
                    "{count} function{plural} of {unit_name} with an unchecked array on the stack"
                )
            }
            _ => {
                format!("{count} function{plural} of {unit_name} compiled without stack protector")
            }
        };
        let place = Place {
            length: first.range.end.checked_sub(first.range.start),
            source: first.source.clone().map(source_line),
            ..subject.without_line(first.range.start)
        };
        let mut finding = Finding::new(message, place);
        let names = functions.iter().take(NAMES_MAX);
        let mut names: Vec<_> = names.map(|function| function.name.as_str()).collect();
        if count > names.len() {
            names.push("…");
        }
        let compiler = unit.producer.split(" -").next().unwrap_or_default();
        finding.notes.push(format!("functions: {}", names.join(" ")));
        finding.notes.push(format!("compiler: {compiler}"));
        out.push(finding);
    });
    if let Some(gap) = info.gap() {
        let message = format!("not every function was looked at: {gap}");
        out.push(Finding::note(message, subject.whole()));
    }
}

#[cfg(not(feature = "dwarf"))]
pub(crate) fn unprotected(_: &Subject<'_>, _: &mut Vec<Finding>) {}

/// Whether one of the addresses, ascending, is in a range.
#[cfg(feature = "dwarf")]
fn any_in(addresses: &[u64], range: &std::ops::Range<u64>) -> bool {
    let first = addresses.partition_point(|address| *address < range.start);
    addresses.get(first).is_some_and(|address| *address < range.end)
}

/// Most functions named in one finding.
#[cfg(feature = "dwarf")]
const NAMES_MAX: usize = 8;

/// What the recorded options of a compiler say about stack protection.
#[cfg(feature = "dwarf")]
#[derive(Clone, Copy, PartialEq, Eq)]
enum Options {
    /// It is on.
    With,
    /// It is off.
    Without,
    /// No options were recorded.
    Unknown,
}

#[cfg(feature = "dwarf")]
impl Options {
    fn of(producer: &str) -> Options {
        let options = || producer.split_whitespace().filter(|word| word.starts_with('-'));
        let last = options().rfind(|option| {
            option.starts_with("-fstack-protector") || *option == "-fno-stack-protector"
        });
        match last {
            Some("-fno-stack-protector") => Options::Without,
            Some(_) => Options::With,
            None if options().next().is_some() => Options::Without,
            None => Options::Unknown,
        }
    }
}

pub(crate) fn build_paths(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    texts(subject, &subject.traces().paths, "build path", out);
}

pub(crate) fn build_times(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    texts(subject, &subject.traces().times, "date", out);
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
        finding.notes.push(format!("{}: {}", text.section, text.text));
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
        let message = "no packaging note says which package it is a build of";
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

/// What is wrong with a packaging note, if anything is. The notes of a manifest do not hold its
/// package, so the packaging note is compared only with the machine of the image.
fn package_fault(subject: &Subject<'_>, bytes: &[u8]) -> Option<String> {
    let json = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    let Ok(Value::Object(fields)) = serde_json::from_slice(json) else {
        return Some(String::from("the packaging note is not a JSON object"));
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
        let bytes: u128 = debug.map(|section| u128::from(section.header.sh_size)).sum();
        let message = format!("{bytes} bytes of debug information");
        out.push(Finding::new(message, section_place(subject, first)));
    }
}

pub(crate) fn unstripped(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    let sections = subject.sections().map_or(&[][..], |all| all.all());
    let mut tables = sections.iter();
    if let Some(table) = tables.find(|section| section.header.sh_type == SHT_SYMTAB) {
        let count = table.header.sh_size / solo5_image::elf::SYMBOL_SIZE as u64;
        out.push(Finding::new(format!("{count} symbols"), section_place(subject, table)));
    }
}

/// The place of a section that is not loaded, so no symbol is looked up.
fn section_place(subject: &Subject<'_>, section: &Section) -> Place {
    Place {
        offset: Some(section.header.sh_offset),
        length: Some(section.header.sh_size),
        section: Some(section.name.clone()),
        ..subject.whole()
    }
}

#[cfg(all(test, feature = "dwarf"))]
mod tests {
    use solo5_dwarf::testing::Compiled;

    use super::*;
    use crate::{Selection, audit_subject};

    #[test]
    fn addresses_are_in_ranges() {
        for (addresses, range, expected) in [
            (&[][..], 0..u64::MAX, false),
            (&[4, 8], 0..4, false),
            (&[4, 8], 0..5, true),
            (&[4, 8], 4..5, true),
            (&[4, 8], 5..8, false),
            (&[4, 8], 5..9, true),
            (&[4, 8], 9..u64::MAX, false),
        ] {
            assert_eq!(any_in(addresses, &range), expected, "{range:?}");
        }
    }

    #[test]
    fn s408_has_its_own_limit_of_reads() {
        let checked = "void __stack_chk_fail(void) { for (;;) {} }
            void _start(void) { volatile char a[16]; for (int i = 0; i < 16; i++) a[i] = 1; }";
        let bare = "int fill(int n) { volatile char a[32]; a[n & 31] = 1; return a[3]; }";
        let files = [
            ("checked.c", checked, &["-fstack-protector-strong"][..]),
            ("bare.c", bare, &["-fno-stack-protector"]),
        ];
        let image = Compiled::linked("cc", &files).bytes();
        let subject = Subject::new("a", &image);
        let places = subject.debug_info().unwrap();
        while places.gap().is_none() {
            places.variable(1);
        }
        let selection = Selection { select: vec![String::from("S408")], ..Selection::default() };
        let [finding] = &audit_subject(&subject, &selection)[..] else {
            panic!("one finding");
        };
        assert!(finding.message.contains("bare.c"), "{}", finding.message);
        let line = finding.place.as_ref().and_then(|place| place.source.as_ref());
        assert_eq!(line.map(|source| source.line), Some(1));
    }
}
