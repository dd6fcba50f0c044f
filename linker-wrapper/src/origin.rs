//! The input sections that brought a fault into an image, and the objects they are from.
//!
//! An image does not record them: its sections are those of the linker script. So when a finding
//! needs it, the link is repeated with a map, by the same linker with the same arguments, into a
//! temporary folder. The map tells which input sections lie in a segment; their objects tell the
//! flags.

use std::ffi::OsString;
use std::fs::{self, File};
use std::ops::Range;
use std::path::Path;

use object::elf::{SHF_EXECINSTR, SHF_WRITE};
use object::read::archive::ArchiveFile;
use object::{Object, ObjectSection, ReadCache, ReadRef, SectionFlags};
use solo5_abi::Arch;
use solo5_image::Image;
use solo5_image::elf::{PF_W, PF_X};
use solo5_report::Diagnostic;

use crate::arguments::Arguments;
use crate::name::Tool;

/// The rule whose findings have an origin: a segment writable and executable.
const WRITE_EXEC: &str = "S201";
/// Name of the second image, in the temporary folder.
const IMAGE: &str = "image";
/// Name of the map, in the temporary folder.
const MAP: &str = "map";
/// Most bytes of a map that are read.
const MAP_MAX: u64 = 256 << 20;
/// Most input sections named in one finding.
const SHOWN_MAX: usize = 4;

/// Whether one of the findings has an origin to look for.
pub fn wanted(findings: &[Diagnostic]) -> bool {
    findings.iter().any(|finding| finding.code == WRITE_EXEC)
}

/// Further arguments that make the link leave image, map and temporary objects in `folder`.
pub fn arguments(tool: Tool, read: &Arguments, folder: &Path) -> Vec<OsString> {
    // The first link's files must stay. Of an option given twice linkers take the last one.
    let mut files = vec![("Map", MAP)];
    let others = read.side_files.iter().map(|side| (side.option, side.option));
    files.extend(others.filter(|(option, _)| *option != "Map"));
    let mut out = Vec::new();
    for (option, file) in files {
        let mut option = OsString::from(format!("--{option}="));
        option.push(folder.join(file));
        if tool == Tool::Cc {
            out.push("-Xlinker".into());
        }
        out.push(option);
    }
    if tool == Tool::Cc {
        // A compiler that also links removes its objects, but their section flags are needed.
        out.push("-save-temps=obj".into());
        if read.dependencies.file.is_some() {
            out.extend(["-MF".into(), folder.join("dependencies").into()]);
        }
    }
    out.extend(["-o".into(), folder.join(IMAGE).into()]);
    out
}

/// Adds the origin to each finding, as far as the second link's files in `folder` tell it.
pub fn add(findings: &mut [Diagnostic], folder: &Path) {
    let Some((image, pieces)) = read(folder) else {
        return;
    };
    for (index, header) in image.segments().iter().enumerate() {
        if !(header.is_load() && header.has(PF_W | PF_X)) {
            continue;
        }
        let part = format!("phdr[{index}]");
        let found = findings.iter_mut().find(|finding| {
            let place = finding.place.as_ref();
            finding.code == WRITE_EXEC
                && place.and_then(|place| place.part.as_deref()) == Some(&part)
        });
        let Some(found) = found else { continue };
        let within = header.p_vaddr..header.p_vaddr.saturating_add(header.p_memsz);
        let Some(culprits) = culprits(&pieces, &within, folder) else {
            continue;
        };
        if let Some(place) = &mut found.place {
            place.origin = Some(culprits.names);
        }
        if let Some(help) = culprits.help {
            found.help = Some(help);
        }
    }
}

fn read(folder: &Path) -> Option<(Image, Vec<Piece>)> {
    let file = File::open(folder.join(IMAGE)).ok()?;
    let image = Image::read(&file, &Arch::ALL).ok()?;
    let map = folder.join(MAP);
    if fs::metadata(&map).ok()?.len() > MAP_MAX {
        return None;
    }
    let map = fs::read(map).ok()?;
    Some((image, pieces(&String::from_utf8_lossy(&map))))
}

/// An input section in the image.
#[derive(Debug, PartialEq, Eq)]
struct Piece {
    address: u64,
    section: String,
    /// The object as the linker calls it: a path, or `ARCHIVE(MEMBER)`.
    object: String,
}

/// The input sections with content in a map of GNU ld or lld.
fn pieces(map: &str) -> Vec<Piece> {
    const GNU_MEMORY: &str = "\nLinker script and memory map\n";
    match map.split_once(GNU_MEMORY) {
        Some((_, memory)) => gnu_pieces(memory),
        None => map.lines().filter_map(lld_piece).collect(),
    }
}

/// ` SECTION ADDRESS SIZE OBJECT`; a long name has a line of its own.
fn gnu_pieces(memory: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut name = "";
    for line in memory.lines() {
        let indented = line.strip_prefix(' ');
        let rest = match indented {
            Some(text)
                if text.starts_with(['.', '_']) || text.starts_with(char::is_alphanumeric) =>
            {
                let end = text.find(' ').unwrap_or(text.len());
                name = &text[..end];
                &text[end..]
            }
            Some(text) if !name.is_empty() => text,
            _ => "",
        };
        if rest.is_empty() {
            // A long name, whose numbers are on the next line, or the end of an input section.
            if indented.is_none() {
                name = "";
            }
            continue;
        }
        let (address, rest) = word(rest);
        let (size, object) = word(rest);
        let numbers = (hexadecimal(address), hexadecimal(size));
        if let (Some(address), Some(size)) = numbers
            && size > 0
            && !object.is_empty()
        {
            pieces.push(Piece { address, section: name.to_owned(), object: object.to_owned() });
        }
        name = "";
    }
    pieces
}

/// `VMA LMA SIZE ALIGN OBJECT:(SECTION)`, in hexadecimal.
fn lld_piece(line: &str) -> Option<Piece> {
    let (address, rest) = word(line);
    let (_, rest) = word(rest);
    let (size, rest) = word(rest);
    let (_, rest) = word(rest);
    let (object, section) = rest.strip_suffix(')')?.rsplit_once(":(")?;
    let number = |text| u64::from_str_radix(text, 16).ok();
    let size = number(size)?;
    let piece =
        Piece { address: number(address)?, section: section.to_owned(), object: object.to_owned() };
    (size > 0).then_some(piece)
}

/// The first word, and what follows it.
fn word(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    let (word, rest) = text.split_at(text.find(' ').unwrap_or(text.len()));
    (word, rest.trim())
}

fn hexadecimal(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

/// The wrong input sections in words, and what to do.
struct Culprits {
    names: String,
    help: Option<String>,
}

/// Whether a section may be written to, and executed.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Rights {
    write: bool,
    execute: bool,
}

/// The sections in a segment whose rights differ from the others'.
fn culprits(pieces: &[Piece], within: &Range<u64>, folder: &Path) -> Option<Culprits> {
    let known: Vec<(&Piece, Rights)> = pieces
        .iter()
        .filter(|piece| within.contains(&piece.address))
        .filter_map(|piece| Some((piece, rights(piece)?)))
        .collect();
    let count = |write, execute| {
        let rights = Rights { write, execute };
        known.iter().filter(|(_, other)| *other == rights).count()
    };
    let (data, code) = (count(true, false), count(false, true));
    // The rights that the segment would have without the wrong sections. Both are false if every
    // section asks for both.
    let usual = Rights { write: data > 0 && data >= code, execute: code > data };
    let wrong: Vec<_> = known
        .iter()
        .filter(|(_, rights)| (rights.write && !usual.write) || (rights.execute && !usual.execute))
        .filter(|(_, rights)| usual.write || usual.execute || (rights.write && rights.execute))
        .map(|(piece, _)| piece)
        .collect();
    let (first, _) = wrong.split_first()?;
    let mut names: Vec<String> = wrong
        .iter()
        .take(SHOWN_MAX)
        .map(|piece| format!("{} ({})", piece.section, shown(&piece.object, folder)))
        .collect();
    if wrong.len() > SHOWN_MAX {
        names.push(format!("{} more", wrong.len() - SHOWN_MAX));
    }
    let flag = match usual {
        Rights { write: true, .. } => Some('X'),
        Rights { execute: true, .. } => Some('W'),
        _ => None,
    };
    let section = &first.section;
    Some(Culprits {
        names: names.join(", "),
        help: flag.map(|flag| format!("loaders refuse it; drop the {flag} flag of {section}")),
    })
}

/// The section's rights, from its object.
fn rights(piece: &Piece) -> Option<Rights> {
    let archive = piece.object.strip_suffix(')');
    let parts = archive.and_then(|object| object.rsplit_once('('));
    let (path, member) = match parts {
        Some((archive, member)) if !Path::new(&piece.object).exists() => (archive, Some(member)),
        _ => (piece.object.as_str(), None),
    };
    let file = ReadCache::new(File::open(path).ok()?);
    let Some(member) = member else {
        return rights_in(&piece.section, object::File::parse(&file).ok()?);
    };
    let archive = ArchiveFile::parse(&file).ok()?;
    archive.members().flatten().find_map(|found| {
        let (offset, size) = found.file_range();
        let range = file.range(offset, size);
        let named = found.name() == member.as_bytes();
        named.then(|| rights_in(&piece.section, object::File::parse(range).ok()?))?
    })
}

fn rights_in<'d>(section: &str, object: object::File<'d, impl ReadRef<'d>>) -> Option<Rights> {
    let mut found = None;
    // Several sections may share the name.
    for flags in object.sections().filter(|one| one.name() == Ok(section)).map(|one| one.flags()) {
        let SectionFlags::Elf { sh_flags, .. } = flags else {
            continue;
        };
        let all = found.get_or_insert(Rights { write: false, execute: false });
        all.write |= sh_flags.0 & SHF_WRITE.0 != 0;
        all.execute |= sh_flags.0 & SHF_EXECINSTR.0 != 0;
    }
    found
}

/// The object's name as the user knows it: a compiler that also links calls the object of `a.c` in
/// the temporary folder `image-a.o` or `a.o`.
fn shown(object: &str, folder: &Path) -> String {
    match Path::new(object).strip_prefix(folder) {
        Ok(name) => {
            let name = name.to_string_lossy();
            let prefix = format!("{IMAGE}-");
            name.strip_prefix(&prefix).unwrap_or(&name).to_owned()
        }
        Err(_) => object.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(address: u64, section: &str, object: &str) -> Piece {
        Piece { address, section: section.to_owned(), object: object.to_owned() }
    }

    #[test]
    fn maps_of_gnu_ld_are_read() {
        let map = "\
Discarded input sections

 .comment       0x0000000000000000       0x28 gone.o

Linker script and memory map

.data           0x0000000000102000       0x30
 *(.data .data.*)
 .data          0x0000000000102000        0x0 none.o
 .data          0x0000000000102000       0x18 a b.o
 .data.jit      0x0000000000102018        0x8 ./libj.a(jit.o)
                0x0000000000102018                jit
 .data.a_very_long_name
                0x0000000000102020       0x10 long.o
                0x0000000000102020                long
 *fill*         0x0000000000102030        0x2 
";
        assert_eq!(
            pieces(map),
            [
                piece(0x102000, ".data", "a b.o"),
                piece(0x102018, ".data.jit", "./libj.a(jit.o)"),
                piece(0x102020, ".data.a_very_long_name", "long.o"),
            ]
        );
    }

    #[test]
    fn maps_of_lld_are_read() {
        let map = "\
             VMA              LMA     Size Align Out     In      Symbol
          102000           102000       20     8 .data
          102000           102000        0     1         none.o:(.data)
          102000           102000       18     8         a b.o:(.data)
          102018           102018        8     1         ./libj.a(jit.o):(.data.jit)
          102018           102018        0     1                 jit
          102020           102020        0     1         _edata = .
";
        assert_eq!(
            pieces(map),
            [piece(0x102000, ".data", "a b.o"), piece(0x102018, ".data.jit", "./libj.a(jit.o)"),]
        );
    }
}
