//! S2: memory protection.

use solo5_image::elf::{
    PF_W, PF_X, PT_GNU_STACK, PT_NOTE, ProgramHeader, SHF_ALLOC, SHF_EXECINSTR, SHF_WRITE, SHT_NOTE,
};
use solo5_image::error::ImageError;
use solo5_image::sections::Section;

use crate::finding::{FINDINGS_MAX, Finding};
use crate::subject::Subject;

/// The sections that occupy memory in a segment.
fn sections_in<'s>(
    subject: &'s Subject<'_>,
    header: &ProgramHeader,
) -> impl Iterator<Item = &'s Section> + use<'s> {
    let (start, size) = (header.p_vaddr, header.p_memsz);
    let sections = subject.sections().map_or(&[][..], |sections| sections.all());
    sections.iter().filter(move |section| {
        section.has(SHF_ALLOC)
            && section.header.sh_size > 0
            && section.header.sh_addr.wrapping_sub(start) < size
    })
}

fn names(sections: &[&Section]) -> String {
    let shown: Vec<&str> = sections.iter().take(4).map(|section| section.name.as_str()).collect();
    shown.join(" ")
}

pub(crate) fn write_exec_segment(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    let start = out.len();
    subject.report(out, |fault| match fault {
        ImageError::WriteExec { phdr } => {
            Some(format!("segment {phdr} is writable and executable"))
        }
        _ => None,
    });
    let faults = subject.faults().iter().filter_map(|fault| match fault {
        ImageError::WriteExec { phdr } => Some(*phdr),
        _ => None,
    });
    let Some(image) = subject.image() else { return };
    for (finding, phdr) in out.iter_mut().skip(start).zip(faults) {
        let Some(header) = image.segments().get(phdr) else {
            continue;
        };
        let with = |flag| -> Vec<&Section> {
            sections_in(subject, header).filter(|section| section.has(flag)).collect()
        };
        let (code, data) = (with(SHF_EXECINSTR), with(SHF_WRITE));
        let both = data.iter().find(|section| section.has(SHF_EXECINSTR));
        if let Some(culprit) = both.or(code.first()) {
            let (place, listed) = match both {
                Some(both) => subject.mixed_section(both),
                None => (subject.section(culprit), None),
            };
            finding.notes.extend(listed);
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
            let (place, listed) = subject.mixed_section(section);
            let mut finding = Finding::new(message, place);
            finding.notes.extend(listed);
            out.push(finding);
            if out.len() >= FINDINGS_MAX {
                return;
            }
        }
    }
}

pub(crate) fn stack(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    subject.report_segments(out, |_, header| {
        (header.p_type == PT_GNU_STACK && header.has(PF_X))
            .then(|| String::from("some object asks for an executable stack"))
    });
}

/// Whether a section has the W flag but is never written: `.tdata` is a template that threads copy,
/// and the others are writable only for relocation at start-up, which unikernels do not have.
fn is_never_written(section: &str) -> bool {
    const PREFIXES: [&str; 4] = [".tdata", ".data.rel.ro", ".init_array", ".fini_array"];
    PREFIXES.iter().any(|prefix| section.starts_with(prefix))
}

/// The `wanted` sections that occupy memory, sorted by address for [`within`]. A file may have so
/// many sections and segments that comparing each with each would take too long.
fn by_address<'s>(subject: &'s Subject<'_>, wanted: impl Fn(&Section) -> bool) -> Vec<&'s Section> {
    let sections = subject.sections().map_or(&[][..], |all| all.all()).iter();
    let mut found: Vec<&Section> = sections
        .filter(|section| section.has(SHF_ALLOC) && section.header.sh_size > 0 && wanted(section))
        .collect();
    found.sort_by_key(|section| section.header.sh_addr);
    found
}

/// Those of `sections` in a segment.
fn within<'v, 's>(sections: &'v [&'s Section], header: &ProgramHeader) -> &'v [&'s Section] {
    let end = header.p_vaddr.saturating_add(header.p_memsz);
    let before = |address| sections.partition_point(|section| section.header.sh_addr < address);
    sections.get(before(header.p_vaddr)..before(end)).unwrap_or_default()
}

/// The loaded segments that have content in the file.
fn loads<'s>(subject: &'s Subject<'_>) -> impl Iterator<Item = (usize, &'s ProgramHeader)> {
    let segments = subject.image().map_or(&[][..], |image| image.segments());
    let segments = segments.iter().enumerate();
    segments.filter(|(_, header)| header.is_load() && header.p_filesz > 0)
}

fn report_sections(
    subject: &Subject<'_>,
    out: &mut Vec<Finding>,
    sections: &[&Section],
    describe: impl Fn(&str) -> String,
) {
    let left = FINDINGS_MAX.saturating_sub(out.len());
    for section in sections.iter().take(left) {
        let message = describe(&section.name);
        out.push(Finding::new(message, subject.section(section)));
    }
}

/// Sections of constants in a segment that may be written to. Notes are skipped, because some
/// bindings fill in the manifest in place.
pub(crate) fn writable_constants(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    let constants = by_address(subject, |section| {
        let note = section.header.sh_type == SHT_NOTE;
        !note && !section.has(SHF_WRITE) && !section.has(SHF_EXECINSTR)
    });
    for (index, header) in loads(subject).filter(|(_, header)| header.has(PF_W)) {
        report_sections(subject, out, within(&constants, header), |name| {
            format!("{name} holds constants, but segment {index} is writable")
        });
    }
}

pub(crate) fn misplaced_section(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    let writable =
        by_address(subject, |section| section.has(SHF_WRITE) && !is_never_written(&section.name));
    let code = by_address(subject, |section| section.has(SHF_EXECINSTR));
    for (index, header) in loads(subject) {
        if !header.has(PF_W) {
            report_sections(subject, out, within(&writable, header), |name| {
                format!("{name} is writable, but segment {index} is not")
            });
        }
        if !header.has(PF_X) {
            report_sections(subject, out, within(&code, header), |name| {
                format!("{name} holds code, but segment {index} is not executable")
            });
        }
    }
}

pub(crate) fn entry(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    subject.report(out, |fault| match fault {
        ImageError::EntryNotExecutable { entry, .. } => {
            Some(format!("the entry point {entry:#x} is in no executable segment"))
        }
        _ => None,
    });
}

pub(crate) fn executable_notes(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    subject.report_segments(out, |index, header| {
        (header.p_type == PT_NOTE && header.has(PF_X))
            .then(|| format!("the notes of segment {index} are marked executable"))
    });
}

pub(crate) fn no_access(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    subject.report(out, |fault| match fault {
        ImageError::NoAccess { phdr } => {
            Some(format!("segment {phdr} has content, but may not be read, written or executed"))
        }
        _ => None,
    });
}

pub(crate) fn executable_bss(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    subject.report_segments(out, |index, header| {
        let zeroed = header.is_load() && header.p_filesz == 0;
        (zeroed && header.has(PF_X))
            .then(|| format!("segment {index}, zeroed memory, is marked executable"))
    });
}
