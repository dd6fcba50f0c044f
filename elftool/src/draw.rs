//! An image for people: one line of facts, and its segments drawn to scale.

use std::fmt::Write;

use solo5_abi::mft1::DeviceType;
use solo5_audit::Subject;
use solo5_image::elf::{PF_R, PF_W, PF_X};
use solo5_image::{Image, ProgramHeader};
use solo5_report::{Diagnostic, Place, one_line};

/// Width in characters of all segments together.
const BAR: u64 = 24;
/// Column after which a new line of segments starts.
const WIDTH: usize = 100;

/// One line: target, machine, size, devices.
pub(crate) fn headline(subject: &Subject<'_>, size: Option<u64>) -> String {
    let mut out = format!("{}  ", one_line(subject.name()));
    let mut facts = Vec::new();
    match subject.image() {
        None => facts.push(String::from("no unikernel image")),
        Some(image) => {
            facts.push(match image.abi() {
                Ok(abi) => format!("{} ABI {}", abi.target_name(), abi.version()),
                Err(_) => String::from("no ABI note"),
            });
            facts.push(image.arch().name().to_owned());
        }
    }
    facts.extend(size.map(bytes));
    if let Some(image) = subject.image() {
        facts.extend(devices(image).iter().map(|device| one_line(device)));
    }
    out.push_str(&facts.join(" · "));
    out
}

/// The devices that an image declares, those of one kind together.
pub(crate) fn devices(image: &Image) -> Vec<String> {
    let Ok(manifest) = image.manifest() else {
        return vec![String::from("no manifest")];
    };
    let kinds = [("net", DeviceType::NetBasic), ("block", DeviceType::BlockBasic)];
    let mut out = Vec::new();
    for (word, kind) in kinds {
        let of_kind = manifest.devices().filter(|(_, entry)| entry.kind() == Some(kind));
        let names: Vec<_> = of_kind
            .map(|(_, entry)| String::from_utf8_lossy(entry.name_bytes()).into_owned())
            .collect();
        match names.len() {
            0 => {}
            1..=8 => out.push(format!("{word}: {}", names.join(" "))),
            count => out.push(format!("{count} {word} devices")),
        }
    }
    let unknown = manifest.devices();
    match unknown.filter(|(_, entry)| entry.kind().is_none()).count() {
        0 => {}
        1 => out.push(String::from("1 device of unknown type")),
        count => out.push(format!("{count} devices of unknown type")),
    }
    if out.is_empty() {
        out.push(String::from("no devices"));
    }
    out
}

/// The segments that are loaded, drawn to scale, with the codes of `findings` in them.
pub(crate) fn segments(subject: &Subject<'_>, findings: &[Diagnostic]) -> String {
    let Some(image) = subject.image() else {
        return String::new();
    };
    let loads = || {
        let headers = image.segments().iter().enumerate();
        headers.filter(|(_, header)| header.is_load()).take(32)
    };
    let total: u128 = loads().map(|(_, header)| u128::from(header.p_memsz)).sum();
    let mut out = String::new();
    let mut column = 0;
    for (index, header) in loads() {
        let blocks = (u128::from(header.p_memsz) * u128::from(BAR))
            .checked_div(total)
            .map_or(1, |blocks| blocks.max(1));
        let mut item = format!(
            "{:#x} {} {} {} {}",
            header.p_vaddr,
            rights(header.p_flags),
            segment_name(subject, header),
            "█".repeat(usize::try_from(blocks).unwrap_or(1)),
            short(header.p_memsz),
        );
        let codes = codes_in(findings, index);
        if !codes.is_empty() {
            item.push_str("  ← ");
            item.push_str(&codes.join(" "));
        }
        let length = item.chars().count();
        if column == 0 || column + 3 + length > WIDTH {
            out.push_str(if column == 0 { "  " } else { "\n  " });
            column = 2 + length;
        } else {
            out.push_str("   ");
            column += 3 + length;
        }
        out.push_str(&item);
    }
    if !out.is_empty() {
        out.push('\n');
    }
    out
}

/// The codes of `findings` in the segment with this index.
pub(crate) fn codes_in(findings: &[Diagnostic], index: usize) -> Vec<&'static str> {
    let found = findings.iter().filter(|finding| in_segment(finding, index));
    let mut codes: Vec<&'static str> = found.map(|finding| finding.code).collect();
    codes.dedup();
    codes
}

fn in_segment(finding: &Diagnostic, index: usize) -> bool {
    let part = finding.place.as_ref().and_then(|place| place.part.as_deref());
    part == Some(format!("phdr[{index}]").as_str())
}

/// A segment's rights, as `R-X`.
pub(crate) fn rights(flags: u32) -> String {
    let rights = [(PF_R, 'R'), (PF_W, 'W'), (PF_X, 'X')];
    rights.into_iter().map(|(flag, letter)| if flags & flag != 0 { letter } else { '-' }).collect()
}

/// The main content of a segment, in a word.
pub(crate) fn segment_name(subject: &Subject<'_>, header: &ProgramHeader) -> &'static str {
    let starts_with = |name: &str| {
        let section = subject.sections().and_then(|all| all.at_address(header.p_vaddr));
        section.is_some_and(|section| section.name.starts_with(name))
    };
    match header {
        _ if header.p_filesz == 0 => "bss",
        _ if header.has(PF_W) => "data",
        _ if header.has(PF_X) => "text",
        _ if starts_with(".tdata") => "tdata",
        _ => "rodata",
    }
}

/// Where a finding is, without the file's name.
pub(crate) fn place(place: &Place) -> String {
    let place = Place { file: String::new(), ..place.clone() };
    let text = solo5_report::human::place_text(&place);
    text.trim_start_matches([':', ' ']).to_owned()
}

/// A size for a sentence: `412 KiB`.
pub(crate) fn bytes(size: u64) -> String {
    scaled(size, " bytes", [" KiB", " MiB", " GiB", " TiB"])
}

/// A size for a table: `268K`.
fn short(size: u64) -> String {
    scaled(size, "", ["K", "M", "G", "T"])
}

fn scaled(size: u64, plain: &str, units: [&str; 4]) -> String {
    if size < 1024 {
        return format!("{size}{plain}");
    }
    let mut scaled = size;
    let mut tenths = 0;
    let mut name = "";
    for unit in units {
        tenths = scaled % 1024 * 10 / 1024;
        scaled /= 1024;
        name = unit;
        if scaled < 1024 {
            break;
        }
    }
    let mut out = scaled.to_string();
    if tenths > 0 && scaled < 10 {
        // Writing to a String cannot fail.
        let _ = write!(out, ".{tenths}");
    }
    out + name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        for (size, long, table) in [
            (0, "0 bytes", "0"),
            (1023, "1023 bytes", "1023"),
            (1024, "1 KiB", "1K"),
            (1536, "1.5 KiB", "1.5K"),
            (268 << 10, "268 KiB", "268K"),
            (5 << 30, "5 GiB", "5G"),
            (u64::MAX, "16777215 TiB", "16777215T"),
        ] {
            assert_eq!((bytes(size).as_str(), short(size).as_str()), (long, table));
        }
    }
}
