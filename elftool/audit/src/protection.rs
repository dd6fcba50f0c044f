//! S2: is memory protected as it should be?

use solo5_image::elf::{
    PF_W, PF_X, PT_GNU_STACK, PT_NOTE, ProgramHeader, SHF_ALLOC, SHF_EXECINSTR, SHF_WRITE, SHT_NOTE,
};
use solo5_image::fault::Fault;
use solo5_image::sections::Section;

use crate::loadable::segments_of;
use crate::subject::{Finding, Subject};

/// Most segments whose sections are looked at: real images have fewer than ten.
const SEGMENTS_MAX: usize = 64;

/// The sections with memory in a segment.
fn sections_in<'s>(
    subject: &'s Subject<'_>,
    header: &ProgramHeader,
) -> impl Iterator<Item = &'s Section> + use<'s> {
    let (start, size) = (header.p_vaddr, header.p_memsz);
    let sections = subject
        .sections()
        .map_or(&[][..], |sections| sections.all());
    sections.iter().filter(move |section| {
        section.has(SHF_ALLOC)
            && section.header.sh_size > 0
            && section.header.sh_addr.wrapping_sub(start) < size
    })
}

fn names(sections: &[&Section]) -> String {
    let shown: Vec<&str> = sections
        .iter()
        .take(4)
        .map(|section| section.name.as_str())
        .collect();
    shown.join(" ")
}

pub(crate) fn write_exec_segment(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    let start = out.len();
    subject.report(out, |fault| match fault {
        Fault::WriteExec { phdr } => Some(format!("segment {phdr} is writable and executable")),
        _ => None,
    });
    let faults = subject.faults().iter().filter_map(|fault| match fault {
        Fault::WriteExec { phdr } => Some(*phdr),
        _ => None,
    });
    let Some(image) = subject.image() else { return };
    for (finding, phdr) in out.iter_mut().skip(start).zip(faults) {
        let Some(header) = image.segments().get(phdr) else {
            continue;
        };
        let with = |flag| -> Vec<&Section> {
            sections_in(subject, header)
                .filter(|section| section.has(flag))
                .collect()
        };
        let (code, data) = (with(SHF_EXECINSTR), with(SHF_WRITE));
        let both = data.iter().find(|section| section.has(SHF_EXECINSTR));
        if let Some(culprit) = both.or(code.first()) {
            let place = subject.section(culprit);
            finding.place.section = place.section;
            finding.place.symbol = place.symbol;
            finding.place.source = place.source;
        }
        for (what, sections) in [("executable", code), ("writable", data)] {
            if !sections.is_empty() {
                finding.notes.push(format!("{what}: {}", names(&sections)));
            }
        }
    }
}

pub(crate) fn write_exec_section(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    let Some(sections) = subject.sections() else {
        return;
    };
    for section in sections.all() {
        if section.has(SHF_ALLOC | SHF_WRITE | SHF_EXECINSTR) && section.header.sh_size > 0 {
            let message = format!("{} is writable and executable", section.name);
            out.push(Finding::new(message, subject.section(section)));
            if out.len() >= crate::FINDINGS_MAX {
                return;
            }
        }
    }
}

pub(crate) fn stack(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    let Some(image) = subject.image() else { return };
    for index in segments_of(subject, PT_GNU_STACK) {
        if image
            .segments()
            .get(index)
            .is_some_and(|header| header.has(PF_X))
        {
            let message = "some object asks for an executable stack";
            out.push(Finding::new(message, subject.phdr(index)));
        }
    }
}

/// Whether nobody writes to a section although it is called writable: `.tdata` is a template, of
/// which threads get copies, and the rest is so for the sake of relocation at start-up, of which a
/// unikernel has none.
fn is_constant_in_the_end(section: &str) -> bool {
    const PREFIXES: [&str; 4] = [".tdata", ".data.rel.ro", ".init_array", ".fini_array"];
    PREFIXES.iter().any(|prefix| section.starts_with(prefix))
}

/// Sections of constants in a segment that may be written to. Notes are passed over: some bindings
/// fill in the manifest where it is.
pub(crate) fn writable_constants(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    let Some(image) = subject.image() else { return };
    let loads = image.segments().iter().enumerate();
    let loads = loads.filter(|(_, header)| header.is_load() && header.p_filesz > 0);
    for (index, header) in loads.take(SEGMENTS_MAX) {
        for section in sections_in(subject, header).filter(|_| header.has(PF_W)) {
            let note = section.header.sh_type == SHT_NOTE;
            if note || section.has(SHF_WRITE) || section.has(SHF_EXECINSTR) {
                continue;
            }
            let message = format!(
                "{} holds constants, but segment {index} is writable",
                section.name
            );
            out.push(Finding::new(message, subject.section(section)));
            if out.len() >= crate::FINDINGS_MAX {
                return;
            }
        }
    }
}

pub(crate) fn misplaced_section(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    let Some(image) = subject.image() else { return };
    let loads = image.segments().iter().enumerate();
    let loads = loads.filter(|(_, header)| header.is_load() && header.p_filesz > 0);
    for (index, header) in loads.take(SEGMENTS_MAX) {
        for section in sections_in(subject, header) {
            let message = if section.has(SHF_WRITE) && !header.has(PF_W) {
                if is_constant_in_the_end(&section.name) {
                    continue;
                }
                format!("{} is writable, but segment {index} is not", section.name)
            } else if section.has(SHF_EXECINSTR) && !header.has(PF_X) {
                format!(
                    "{} holds code, but segment {index} is not executable",
                    section.name
                )
            } else {
                continue;
            };
            out.push(Finding::new(message, subject.section(section)));
            if out.len() >= crate::FINDINGS_MAX {
                return;
            }
        }
    }
}

pub(crate) fn entry(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    subject.report(out, |fault| match fault {
        Fault::EntryNotExecutable { entry, .. } => Some(format!(
            "the entry point {entry:#x} is in no executable segment"
        )),
        _ => None,
    });
}

pub(crate) fn executable_notes(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    let Some(image) = subject.image() else { return };
    for index in segments_of(subject, PT_NOTE) {
        if image
            .segments()
            .get(index)
            .is_some_and(|header| header.has(PF_X))
        {
            let message = format!("the notes of segment {index} are marked executable");
            out.push(Finding::new(message, subject.phdr(index)));
        }
    }
}

pub(crate) fn no_access(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    subject.report(out, |fault| match fault {
        Fault::NoAccess { phdr } => Some(format!(
            "segment {phdr} has content, but may not be read, written or executed"
        )),
        _ => None,
    });
}

pub(crate) fn executable_bss(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    let Some(image) = subject.image() else { return };
    let loads = image.segments().iter().enumerate();
    for (index, header) in loads.filter(|(_, header)| header.is_load() && header.p_filesz == 0) {
        if header.has(PF_X) {
            let message = format!("segment {index}, zeroed memory, is marked executable");
            out.push(Finding::new(message, subject.phdr(index)));
            if out.len() >= crate::FINDINGS_MAX {
                return;
            }
        }
    }
}
