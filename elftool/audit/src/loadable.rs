//! S1: can it be loaded?

use solo5_abi::{Arch, DEFAULT_MEMORY, Target};
use solo5_image::elf::{PT_DYNAMIC, PT_LOAD, PT_TLS, ProgramHeader, SHF_ALLOC, SHT_REL, SHT_RELA};
use solo5_image::error::{HeaderField, ImageError};

use crate::finding::{FINDINGS_MAX, Finding};
use crate::notes;
use crate::subject::Subject;

pub(crate) fn headers(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    subject.report(out, |fault| match fault {
        ImageError::HeaderRead(error) | ImageError::TableRead(error) => {
            Some(format!("the headers cannot be read: {error}"))
        }
        ImageError::HeaderShort { got, .. } => {
            let what = fault.what().map(|what| format!(": it is {what}")).unwrap_or_default();
            Some(format!("the file has {got} bytes, fewer than an ELF header{what}"))
        }
        ImageError::TableShort { got, want } => {
            Some(format!("the program headers are cut short: {got} of {want} bytes"))
        }
        _ => None,
    });
}

pub(crate) fn kind(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    subject.report(out, |fault| match fault {
        ImageError::Header(HeaderField::Machine(_)) => None,
        ImageError::Header(field) => Some(field.to_string()),
        _ => None,
    });
}

pub(crate) fn machine(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    subject.report(out, |fault| match fault {
        ImageError::Header(field @ HeaderField::Machine(_)) => Some(field.to_string()),
        _ => None,
    });
}

pub(crate) fn entry(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    subject.report(out, |fault| match fault {
        ImageError::Entry { entry, base, .. } => {
            Some(format!("the entry point {entry:#x} is below {base:#x}"))
        }
        _ => None,
    });
}

pub(crate) fn range(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    subject.report(out, |fault| match fault {
        ImageError::Below { phdr, address, base } => {
            Some(format!("segment {phdr} starts at {address:#x}, below {base:#x}"))
        }
        ImageError::FileEnd { phdr, address, size, .. }
        | ImageError::MemoryEnd { phdr, address, size, .. } => {
            Some(format!("segment {phdr} at {address:#x} wraps around with its {size:#x} bytes"))
        }
        _ => None,
    });
}

pub(crate) fn order(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    subject.report(out, |fault| match fault {
        ImageError::Order { phdr, address, previous } => {
            Some(format!("segment {phdr} at {address:#x} comes after one at {previous:#x}"))
        }
        _ => None,
    });
}

pub(crate) fn overlap(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    subject.report(out, |fault| match fault {
        ImageError::Overlap { phdr, start, previous_end } => Some(format!(
            "segment {phdr}, rounded to pages, starts at {start:#x}, before the end \
             {previous_end:#x} of the one before it"
        )),
        _ => None,
    });
}

pub(crate) fn alignment(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    subject.report(out, |fault| match fault {
        ImageError::Align { phdr, align } => {
            Some(format!("the alignment {align:#x} of segment {phdr} is not a power of two"))
        }
        ImageError::StartUnaligned { phdr, start, page } => {
            Some(format!("segment {phdr} starts at {start:#x}, not on a page of {page:#x} bytes"))
        }
        ImageError::EndUnaligned { phdr, end, page } => Some(format!(
            "segment {phdr}, rounded to its alignment, ends at {end:#x}, not on a page of \
             {page:#x} bytes"
        )),
        _ => None,
    });
}

pub(crate) fn sizes(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    subject.report(out, |fault| match fault {
        ImageError::MemoryBelowFile { phdr, memory_size, file_size } => Some(format!(
            "segment {phdr} has {file_size:#x} bytes in the file, but {memory_size:#x} in memory"
        )),
        _ => None,
    });
}

pub(crate) fn content(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    subject.report(out, |fault| match fault {
        ImageError::SegmentShort { phdr, offset, size } => Some(format!(
            "the {size:#x} bytes of segment {phdr} at {offset:#x} reach past the end of the file"
        )),
        ImageError::SegmentRead { phdr, error, .. } => {
            Some(format!("segment {phdr} cannot be read: {error}"))
        }
        _ => None,
    });
}

pub(crate) fn memory(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    let most = subject.most_memory().unwrap_or(u64::MAX);
    if subject.least_memory().is_some_and(|least| least <= most) {
        larger_than(DEFAULT_MEMORY, "a tender's default is", subject, out);
    }
}

pub(crate) fn most_memory(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    if let Some(most) = subject.most_memory() {
        larger_than(most, "the most that a guest can have is", subject, out);
    }
}

/// A Multiboot loader takes the file of a virtio image as one piece (`docs/reference/virtio.md#image`).
pub(crate) fn flat(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    let (Some(image), Some(Target::Virtio)) = (subject.image(), subject.target()) else { return };
    match image.arch() {
        Arch::X86_64 => {}
        // Loaders of these take segments by their addresses.
        Arch::Aarch64 | Arch::Ppc64le => return,
    }
    let filled =
        |(_, segment): &(usize, &ProgramHeader)| segment.p_type == PT_LOAD && segment.p_filesz != 0;
    let distance = |segment: &ProgramHeader| segment.p_vaddr.wrapping_sub(segment.p_offset);
    let mut segments = image.segments().iter().enumerate().filter(filled);
    let Some((_, first)) = segments.next() else { return };
    for (phdr, segment) in segments.filter(|(_, other)| distance(other) != distance(first)) {
        let expected = segment.p_vaddr.wrapping_sub(distance(first));
        let message = format!(
            "segment {phdr} is at offset {:#x}, and a Multiboot loader takes its content from \
             {expected:#x}",
            segment.p_offset
        );
        out.push(Finding::new(message, subject.phdr(phdr)));
    }
}

/// Reports an image that takes more than `limit` bytes, with its stack; `what` says whose limit it is.
fn larger_than(limit: u64, what: &str, subject: &Subject<'_>, out: &mut Vec<Finding>) {
    let Some(plan) = subject.plan() else { return };
    let loading = plan.minimum_memory;
    let least = subject.least_memory().unwrap_or(u64::MAX);
    if least <= limit {
        return;
    }
    let (takes, place) = if loading > limit {
        let last = plan.segments.last().map(|segment| segment.phdr);
        let place = last.map_or_else(|| subject.whole(), |phdr| subject.phdr(phdr));
        (format!("loading takes {} MiB", loading.div_ceil(1 << 20)), place)
    } else {
        let mib = least.div_ceil(1 << 20);
        let takes = format!("image, heap, guard and stack take {mib} MiB");
        (takes, notes::properties_place(subject))
    };
    let message = format!("{takes}; {what} {} MiB", limit >> 20);
    out.push(Finding::new(message, place));
}

pub(crate) fn dynamic(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    subject.report_segments(out, |index, header| {
        (header.p_type == PT_DYNAMIC)
            .then(|| format!("segment {index} holds dynamic linking information"))
    });
}

pub(crate) fn ifunc(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    if let Some(symbol) = &subject.symbols().ifunc {
        let name = subject.symbol_name(symbol);
        let mut place = subject.whole();
        place.symbol = Some(name.clone());
        let message = format!("{name} is resolved by code that nothing calls");
        out.push(Finding::new(message, place));
    }
}

/// Code calls this function for the address of thread-local data, unless the linker replaces the
/// call. In a static executable the linker always does, but lld keeps the symbol.
const TLS_GETTER: &str = "__tls_get_addr";

pub(crate) fn undefined(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    let facts = subject.symbols();
    for symbol in &facts.undefined {
        let name = subject.symbol_name(symbol);
        if name == TLS_GETTER && !subject.calls_null() {
            continue;
        }
        let mut place = subject.whole();
        place.symbol = Some(name.clone());
        let message = format!("{name} is used but not defined; it was linked to address 0");
        out.push(Finding::new(message, place));
    }
    let shown = facts.undefined.len() as u64;
    if let Some(last) = out.last_mut()
        && facts.undefined_count > shown
    {
        let more = facts.undefined_count - shown;
        last.notes.push(format!("{more} more undefined symbols"));
    }
}

pub(crate) fn relocations(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    let Some(sections) = subject.sections() else {
        return;
    };
    for section in sections.all() {
        let kind = section.header.sh_type;
        let relocations = matches!(kind, SHT_REL | SHT_RELA) && section.has(SHF_ALLOC);
        if relocations && section.header.sh_size > 0 {
            let message = format!("{} holds relocations for a loader to apply", section.name);
            out.push(Finding::new(message, subject.section(section)));
            if out.len() >= FINDINGS_MAX {
                return;
            }
        }
    }
}

pub(crate) fn tls(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    let first = subject.first_segment(PT_TLS);
    subject.report_segments(out, |index, header| {
        if header.p_type != PT_TLS {
            None
        } else if first != Some(index) {
            Some(format!("segment {index} is a second TLS segment"))
        } else if header.p_memsz < header.p_filesz {
            Some(format!("the TLS segment {index} is smaller in memory than in the file"))
        } else if header.p_align > 1 && !header.p_align.is_power_of_two() {
            Some(format!(
                "the alignment {:#x} of the TLS segment is not a power of two",
                header.p_align
            ))
        } else {
            None
        }
    });
}
