//! Small valid images for tests, in the layout of the linker scripts
//! (`docs/reference/toolchain.md#scripts`). A test may then damage any header. Only with the feature
//! `testing`.

use solo5_abi::abi1::Abi1;
use solo5_abi::mft1::{self, DeviceType};
use solo5_abi::{Arch, Target, mft2, note};

use crate::elf::{
    self, FileHeader, PF_R, PF_W, PF_X, PT_INTERP, PT_LOAD, PT_NOTE, PT_TLS, ProgramHeader,
    SectionHeader, Symbol,
};

/// Index of PT_INTERP in the program headers of a [`Sample`].
pub const INTERP: usize = 0;
/// Index of the PT_LOAD with code and notes.
pub const TEXT: usize = 1;
/// Index of the PT_LOAD with data.
pub const DATA: usize = 2;
/// Index of the PT_LOAD of initialised thread-local data, empty.
pub const TDATA: usize = 3;
/// Index of PT_TLS.
pub const TLS: usize = 4;
/// Index of the PT_LOAD of the bss, without content.
pub const BSS: usize = 5;
/// Index of the first PT_NOTE.
pub const NOTES: usize = 6;

/// Bytes of code in a sample.
const CODE: usize = 64;
/// Bytes of data in a sample.
const DATA_SIZE: usize = 32;

/// An image in parts. A test changes some, then calls [`Sample::bytes`].
#[derive(Clone, Debug)]
pub struct Sample {
    /// The file header; `e_phnum` and the fields of the section headers are filled in.
    pub header: FileHeader,
    /// The program headers.
    pub segments: Vec<ProgramHeader>,
    /// Contents of the file, each with its offset.
    pub contents: Vec<(u64, Vec<u8>)>,
    /// Sections with their names, without the null section. Empty for an image without sections.
    pub sections: Vec<(String, SectionHeader)>,
    /// Symbols with their names, without the null symbol.
    pub symbols: Vec<(String, Symbol)>,
}

/// A note of any kind.
pub fn any_note(owner: &[u8], kind: u32, descriptor: &[u8]) -> Vec<u8> {
    let mut out = vec![0; note::size(owner, descriptor.len())];
    if let Some(place) = note::frame(&mut out, owner, kind, descriptor.len()) {
        place.copy_from_slice(descriptor);
    }
    out
}

/// The ABI note of `target` in its current version, or 1 if it has none.
pub fn abi_note(target: Target) -> Vec<u8> {
    let version = target.abi_version().unwrap_or(1);
    Abi1::new(target, version).note().to_vec()
}

/// The manifest note for `devices`, at most 63 with valid names.
pub fn manifest_note(devices: &[(&str, DeviceType)]) -> Vec<u8> {
    let mut out = vec![0; mft1::note_size(devices.len())];
    assert!(mft1::encode(devices.iter().copied(), &mut out).is_some());
    out
}

/// The properties note with `records` (device, tag, payload), for a manifest of `entries` entries.
pub fn properties_note(entries: usize, records: &[(u32, u16, &[u8])]) -> Vec<u8> {
    let mut out = vec![0; mft2::DESCRIPTOR_MAX];
    let length = mft2::Writer::new(&mut out, entries).and_then(|mut writer| {
        for (device, tag, payload) in records {
            writer.push(*device, *tag, payload)?;
        }
        Some(writer.finish())
    });
    out.truncate(length.unwrap_or(0));
    any_note(note::OWNER_SOLO5, note::TYPE_MFT2, &out)
}

/// The OpenBSD identification note.
pub fn openbsd_note() -> Vec<u8> {
    any_note(note::OWNER_OPENBSD, note::TYPE_OPENBSD_IDENT, &[0; 4])
}

impl Sample {
    /// A valid image of `target` for `arch` with `devices`.
    pub fn new(target: Target, arch: Arch, devices: &[(&str, DeviceType)]) -> Sample {
        let groups = [openbsd_note(), abi_note(target), manifest_note(devices)];
        Sample::with_notes(target, arch, &groups)
    }

    /// An image with one PT_NOTE per element of `groups`, in that order. The last group comes first
    /// in memory, as the manifest does in linked images.
    pub fn with_notes(target: Target, arch: Arch, groups: &[Vec<u8>]) -> Sample {
        let page = arch.page_size();
        let base = target.base(arch);
        let mut text = note::NO_EXEC_INTERP.to_vec();
        let mut data = Vec::new();
        // The bindings of virtio and xen fill in the manifest in place, so it lies with the data.
        let with_data = matches!(target, Target::Virtio | Target::Xen);
        let holder = if with_data { &mut data } else { &mut text };
        let mut places = vec![0; groups.len()];
        for (place, group) in places.iter_mut().zip(groups).rev() {
            holder.resize(holder.len().next_multiple_of(8), 0);
            *place = holder.len() as u64;
            holder.extend_from_slice(group);
        }
        text.resize(text.len().next_multiple_of(16), 0);
        let code = text.len() as u64;
        text.resize(text.len() + CODE, 0x90);
        let text_size = text.len() as u64;
        let data_at = text_size.next_multiple_of(page);
        data.resize(data.len().next_multiple_of(16), 0);
        let table = data_at + data.len() as u64;
        data.resize(data.len() + DATA_SIZE, 1);
        let data_size = data.len() as u64;
        let bss_at = (data_at + data_size).next_multiple_of(page);
        let notes_at = if with_data { data_at } else { 0 };
        let load = |flags, at: u64, filesz: u64, memsz: u64| ProgramHeader {
            p_type: PT_LOAD,
            p_flags: flags,
            p_offset: page + at,
            p_vaddr: base + at,
            p_filesz: filesz,
            p_memsz: memsz,
            p_align: page,
        };
        let part = |kind, at: u64, size: u64| ProgramHeader {
            p_type: kind,
            p_align: 4,
            ..load(PF_R, at, size, size)
        };
        let empty = ProgramHeader { p_offset: 0, p_vaddr: 0, ..load(PF_R, 0, 0, 0) };
        let bss_flags = if target.has_tender() { PF_R | PF_W } else { 0 };
        let mut segments = vec![
            part(PT_INTERP, 0, note::NO_EXEC_INTERP.len() as u64),
            load(PF_R | PF_X, 0, text_size, text_size),
            load(PF_R | PF_W, data_at, data_size, data_size),
            empty,
            ProgramHeader { p_type: PT_TLS, p_flags: 0, ..empty },
            load(bss_flags, bss_at, 0, page),
        ];
        segments[TLS].p_memsz = 16;
        let mut sections = vec![
            section(".interp", 1, elf::SHF_ALLOC, &segments[INTERP]),
            section(
                ".text",
                1,
                elf::SHF_ALLOC | elf::SHF_EXECINSTR,
                &load(0, code, CODE as u64, 0),
            ),
            section(".data", 1, elf::SHF_ALLOC | elf::SHF_WRITE, &segments[DATA]),
            section(
                ".bss",
                elf::SHT_NOBITS,
                elf::SHF_ALLOC | elf::SHF_WRITE,
                &load(0, bss_at, page, page),
            ),
        ];
        for (place, group) in places.iter().zip(groups) {
            let header = part(PT_NOTE, notes_at + *place, group.len() as u64);
            sections.push(section(section_name(group), elf::SHT_NOTE, elf::SHF_ALLOC, &header));
            segments.push(header);
        }
        let mut ident = [0; 16];
        ident[..4].copy_from_slice(&elf::MAGIC);
        ident[4..7].copy_from_slice(&[elf::CLASS64, elf::DATA_LE, 1]);
        Sample {
            header: FileHeader {
                ident,
                e_type: elf::ET_EXEC,
                e_machine: arch.e_machine(),
                e_version: 1,
                e_entry: base + code,
                e_phoff: elf::FILE_HEADER_SIZE as u64,
                e_shoff: 0,
                e_flags: 0,
                e_ehsize: elf::FILE_HEADER_SIZE as u16,
                e_phentsize: elf::PROGRAM_HEADER_SIZE as u16,
                e_phnum: 0,
                e_shentsize: elf::SECTION_HEADER_SIZE as u16,
                e_shnum: 0,
                e_shstrndx: 0,
            },
            symbols: vec![
                (String::from("_start"), function(base + code, CODE as u64)),
                (String::from("table"), object(base + table, DATA_SIZE as u64)),
            ],
            segments,
            contents: vec![(page, text), (page + data_at, data)],
            sections,
        }
    }

    /// The file.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = vec![0; elf::FILE_HEADER_SIZE];
        for segment in &self.segments {
            out.extend_from_slice(&segment.encode());
        }
        for (offset, content) in &self.contents {
            let (start, end) = (*offset as usize, *offset as usize + content.len());
            out.resize(out.len().max(end), 0);
            out[start..end].copy_from_slice(content);
        }
        let mut header = self.header;
        header.e_phnum = self.segments.len() as u16;
        if !self.sections.is_empty() {
            self.append_sections(&mut out, &mut header);
        }
        out[..elf::FILE_HEADER_SIZE].copy_from_slice(&header.encode());
        out
    }

    fn append_sections(&self, out: &mut Vec<u8>, header: &mut FileHeader) {
        let mut strings = vec![0];
        let mut symbols = Symbol::default().encode().to_vec();
        let intern = |strings: &mut Vec<u8>, name: &str| {
            let at = strings.len() as u32;
            strings.extend_from_slice(name.as_bytes());
            strings.push(0);
            at
        };
        for (name, symbol) in &self.symbols {
            let st_name = intern(&mut strings, name);
            let home = |(_, section): &(String, SectionHeader)| {
                symbol.st_value.wrapping_sub(section.sh_addr) < section.sh_size
            };
            let st_shndx = match symbol.st_shndx {
                HOME => self.sections.iter().position(home).map_or(1, |index| index as u16 + 1),
                index => index,
            };
            symbols.extend_from_slice(&Symbol { st_name, st_shndx, ..*symbol }.encode());
        }
        let mut headers = vec![SectionHeader::default()];
        for (name, section) in &self.sections {
            let sh_name = intern(&mut strings, name);
            headers.push(SectionHeader { sh_name, ..*section });
        }
        let strings_index = headers.len() as u32 + 1;
        let mut push = |name: u32, kind, content: &[u8], link| {
            out.resize(out.len().next_multiple_of(8), 0);
            headers.push(SectionHeader {
                sh_name: name,
                sh_type: kind,
                sh_offset: out.len() as u64,
                sh_size: content.len() as u64,
                sh_link: link,
                sh_info: u32::from(link != 0),
                sh_entsize: if link == 0 { 0 } else { elf::SYMBOL_SIZE as u64 },
                ..SectionHeader::default()
            });
            out.extend_from_slice(content);
        };
        let names = [".symtab", ".strtab"].map(|name| intern(&mut strings, name));
        push(names[0], elf::SHT_SYMTAB, &symbols, strings_index);
        push(names[1], elf::SHT_STRTAB, &strings, 0);
        out.resize(out.len().next_multiple_of(8), 0);
        header.e_shoff = out.len() as u64;
        header.e_shnum = headers.len() as u16;
        header.e_shstrndx = strings_index as u16;
        for section in headers {
            out.extend_from_slice(&section.encode());
        }
    }
}

/// Moves the numbers of segments and sections, and the index of the section names, from the file header
/// into section 0. Linkers do this if the numbers do not fit into 16 bits.
pub fn extend_numbers(file: &mut [u8]) {
    let word = |file: &[u8], at: usize| u16::from_le_bytes([file[at], file[at + 1]]);
    let section_0 = u64::from_le_bytes(file[40..48].try_into().expect("8 bytes")) as usize;
    let (segments, sections, names) = (word(file, 56), word(file, 60), word(file, 62));
    file[section_0 + 32..section_0 + 40].copy_from_slice(&u64::from(sections).to_le_bytes());
    file[section_0 + 40..section_0 + 44].copy_from_slice(&u32::from(names).to_le_bytes());
    file[section_0 + 44..section_0 + 48].copy_from_slice(&u32::from(segments).to_le_bytes());
    file[56..58].copy_from_slice(&elf::PN_XNUM.to_le_bytes());
    file[60..62].copy_from_slice(&[0; 2]);
    file[62..64].copy_from_slice(&elf::SHN_XINDEX.to_le_bytes());
}

fn section_name(group: &[u8]) -> &'static str {
    let first = note::Notes::new(group).next();
    let Some(Ok(first)) = first else {
        return ".note.broken";
    };
    match first.kind {
        note::TYPE_ABI1 => note::SECTION_ABI1,
        note::TYPE_MFT1 => note::SECTION_MFT1,
        note::TYPE_OPENBSD_IDENT => note::SECTION_NOT_OPENBSD,
        _ => ".note.other",
    }
}

fn section(name: &str, kind: u32, flags: u64, place: &ProgramHeader) -> (String, SectionHeader) {
    let header = SectionHeader {
        sh_type: kind,
        sh_flags: flags,
        sh_addr: place.p_vaddr,
        sh_offset: place.p_offset,
        sh_size: place.p_filesz,
        ..SectionHeader::default()
    };
    (String::from(name), header)
}

/// A global function.
pub fn function(address: u64, size: u64) -> Symbol {
    symbol(2, address, size)
}

/// A global object.
pub fn object(address: u64, size: u64) -> Symbol {
    symbol(1, address, size)
}

/// An `st_shndx` that [`Sample::bytes`] replaces by the index of the section at the symbol's address.
pub const HOME: u16 = 0xfeff;

fn symbol(kind: u8, address: u64, size: u64) -> Symbol {
    Symbol {
        st_name: 0,
        st_info: 1 << 4 | kind,
        st_shndx: HOME,
        st_value: address,
        st_size: size,
        section: None,
    }
}
