//! Reads images: the rules of `docs/reference/elf-loading.md`, and hostile bytes.

use std::ops::ControlFlow;

use proptest::prelude::*;
use solo5_abi::abi1::Abi1;
use solo5_abi::mft1::DeviceType;
use solo5_abi::{Arch, Target, mft1, mft2, note};
use solo5_image::elf::{
    self, PF_R, PF_W, PF_X, PT_LOAD, PT_NOTE, ProgramHeader, SectionHeader, Symbol,
};
use solo5_image::error::HeaderField;
use solo5_image::sections::{SectionError, Sections};
use solo5_image::testing::{self, BSS, DATA, NOTES, Sample, TEXT};
use solo5_image::{Image, ImageError, Protection, ReadAt, ReadError, plan};

const MIB: u64 = 1 << 20;

fn spt() -> Sample {
    let devices = [("storage", DeviceType::BlockBasic), ("service0", DeviceType::NetBasic)];
    Sample::new(Target::Spt, Arch::X86_64, &devices)
}

/// Makes every check that a tender makes.
fn accept<R: ReadAt + ?Sized>(reader: &R, target: Target) -> Result<plan::LoadPlan, ImageError> {
    let image = Image::read(reader, &Arch::ALL)?;
    image.abi_of(target)?;
    image.checked_manifest()?;
    image.properties()?;
    image.plan(reader, target)
}

fn refusal(sample: &Sample) -> String {
    match accept(&sample.bytes(), Target::Spt) {
        Ok(_) => String::from("accepted"),
        Err(fault) => fault.to_string(),
    }
}

/// Damages a valid image and returns the text of its refusal.
fn spoilt(change: impl FnOnce(&mut Sample)) -> String {
    let mut sample = spt();
    change(&mut sample);
    refusal(&sample)
}

/// Like [`spoilt`], but changes bytes of the file.
fn patched(offset: usize, bytes: &[u8]) -> String {
    let mut file = spt().bytes();
    file[offset..offset + bytes.len()].copy_from_slice(bytes);
    match accept(&file, Target::Spt) {
        Ok(_) => String::from("accepted"),
        Err(fault) => fault.to_string(),
    }
}

#[test]
fn every_target_and_machine_is_read() {
    for arch in Arch::ALL {
        for target in Target::ALL {
            let file = Sample::new(target, arch, &[("a", DeviceType::NetBasic)]).bytes();
            let image = Image::read(&file, &Arch::ALL).unwrap();
            assert_eq!((image.arch(), image.target()), (arch, Some(target)));
            assert_eq!(image.manifest().unwrap().devices().count(), 1);
            assert_eq!(image.manifest_version(), 1);
            let plan = image.plan(&file, target).unwrap();
            assert_eq!(plan.segments.len(), 3);
            let others: Vec<Arch> = Arch::ALL.into_iter().filter(|a| *a != arch).collect();
            let machine = HeaderField::Machine(arch.e_machine());
            assert_eq!(Image::read(&file, &others).unwrap_err(), ImageError::Header(machine));
        }
    }
}

#[test]
fn a_plan_has_addresses_sizes_and_protection() {
    let file = spt().bytes();
    let plan = accept(&file, Target::Spt).unwrap();
    let base = Target::Spt.base(Arch::X86_64);
    assert_eq!(plan.base, base);
    assert_eq!(plan.kernel_end, base + 0x2000);
    assert_eq!(plan.minimum_memory, base + 0x3000);
    let text = &plan.segments[0];
    assert_eq!((text.address, text.pages.clone()), (base, base..base + 0x1000));
    assert!(text.protection.execute && !text.protection.write);
    let bss = &plan.segments[2];
    assert!(bss.file.is_empty());
    assert_eq!(bss.zero, 0x1000);
    assert_eq!(bss.protection, Protection::READ_WRITE);
    assert_eq!(bss.range(), base + 0x2000..base + 0x3000);
}

#[test]
fn headers_are_refused_with_upstreams_texts() {
    let invalid = "invalid executable: invalid or unsupported executable (elf header invalid \
                   while loading note)";
    for (offset, bytes) in [
        (0, &b"\x7fELG"[..]),
        (4, &[1]),
        (5, &[2]),
        (16, &[3, 0]),
        (18, &[3, 0]),
        (20, &[2]),
        (52, &[65]),
        (54, &[57]),
        (56, &[0, 0]),
    ] {
        assert_eq!(patched(offset, bytes), invalid, "at {offset}");
    }
    // EI_VERSION, OSABI, ABIVERSION and e_flags are deliberately not checked.
    for offset in [6, 7, 8, 48] {
        assert_eq!(patched(offset, &[9]), "accepted", "at {offset}");
    }
    let cut = |length: usize| {
        let fault = accept(&spt().bytes()[..length], Target::Spt).unwrap_err();
        fault.to_string()
    };
    let size = "invalid executable: elf header does not match the expected size";
    assert_eq!(cut(0), format!("{size} (0 != 64)"));
    assert_eq!(cut(63), format!("{size} (63 != 64)"));
    assert_eq!(
        cut(64),
        "invalid executable: program header does not match the expected size (0 != 504 while \
         loading note)"
    );
    assert!(patched(32, &u64::MAX.to_le_bytes()).contains("program header does not match"));
}

#[test]
fn reading_a_directory_gives_the_errors_text() {
    let folder = tempfile::tempdir().unwrap();
    let file = std::fs::File::open(folder.path()).unwrap();
    assert_eq!(
        accept(&file, Target::Spt).unwrap_err().to_string(),
        "pread_in_full for elf header while loading note failed: Is a directory"
    );
}

#[test]
fn segments_are_refused_with_upstreams_texts() {
    type Change = fn(&mut Sample);
    let cases: &[(Change, &str)] = &[
        (|s| s.header.e_entry = 0, "e_entry does not fall within the memory allocation range"),
        (|s| s.header.e_entry = 0xf_ffff, "(1048575 < 1048576 || 1048575 >= 18446744073709551615)"),
        (
            |s| s.header.e_entry = s.segments[DATA].p_vaddr,
            "e_entry is not within an executable segment",
        ),
        (|s| s.segments[TEXT].p_vaddr = 0xf_f000, "phdr[1].p_vaddr outside of valid memory range"),
        (
            |s| {
                s.segments[TEXT].p_vaddr += 0x4000;
                s.header.e_entry += 0x4000;
            },
            "phdr[2].p_vaddr is not in ascending order",
        ),
        (
            |s| s.segments[DATA].p_vaddr = s.segments[TEXT].p_vaddr + 0x10,
            "phdr[2].p_vaddr_start is outside of memory range (1048576 < 1052672 (e_end))",
        ),
        (
            |s| s.segments[DATA].p_align = 0,
            "phdr[2].p_vaddr is outside of memory range (align_down with",
        ),
        (
            |s| s.segments[DATA].p_align = 3,
            "phdr[2].p_vaddr is outside of memory range (align_down with",
        ),
        (
            |s| s.segments[DATA].p_filesz = u64::MAX,
            "phdr[2] program file segment falls outside of valid range",
        ),
        (
            |s| s.segments[DATA].p_memsz = 1,
            "phdr[2] program memory segment falls outside of valid range",
        ),
        (
            |s| s.segments[DATA].p_memsz = u64::MAX,
            "phdr[2] program memory segment falls outside of valid range",
        ),
        (|s| s.segments[DATA].p_offset = 1 << 40, "phdr[2] host file segment mismatched"),
        (|s| s.segments[DATA].p_offset = u64::MAX, "phdr[2] host file segment mismatched"),
        (
            |s| {
                s.segments[DATA].p_align = 1;
                s.segments[DATA].p_vaddr += 1;
            },
            "phdr[2] p_vaddr_start not aligned with architectural page size",
        ),
        (
            |s| s.segments[DATA].p_align = 0x10,
            "phdr[2] p_vaddr_end not aligned with architectural page size (1052704 & (4096 - 1))",
        ),
        (|s| s.segments[DATA].p_flags |= PF_X, "phdr[2] requests WRITE and EXEC permissions"),
        (|s| s.segments[DATA].p_flags = 0, "phdr[2] requests no permissions"),
        (
            |s| s.segments.retain(|segment| segment.p_type != PT_LOAD),
            "e_entry is not within an executable segment",
        ),
        // Segments without content, which upstream's loader does not check.
        (|s| s.segments[BSS].p_vaddr = 0x1000, "phdr[5].p_vaddr outside of valid memory range"),
        (
            |s| s.segments[BSS].p_align = 3,
            "phdr[5].p_vaddr is outside of memory range (align_down with",
        ),
        (
            |s| s.segments[BSS].p_memsz = u64::MAX,
            "phdr[5] program memory segment falls outside of valid range",
        ),
    ];
    for (index, (change, text)) in cases.iter().enumerate() {
        let refused = spoilt(change);
        assert!(refused.contains(text), "case {index}: {refused}");
    }
    let accepted: &[Change] = &[
        |_| {},
        |s| s.segments[TEXT].p_flags = PF_X,
        |s| s.segments[TEXT].p_flags |= 0xff00,
        |s| s.segments[BSS].p_flags = 0,
        |s| s.segments[BSS].p_flags = PF_R | PF_W | PF_X,
        |s| s.segments[BSS].p_align = 1,
        |s| s.segments[TEXT].p_align = 0x20_0000,
        |s| s.segments[DATA].p_align = 0x20_0000,
        |s| s.segments[BSS].p_align = 0x20_0000,
        |s| s.segments.iter_mut().for_each(|segment| segment.p_align = 1 << 63),
        |s| s.segments[DATA].p_memsz += 0x800,
        |s| s.segments.push(ProgramHeader { p_type: 0x6fff_fff1, ..ProgramHeader::default() }),
        |s| s.segments[testing::INTERP].p_type = 0,
    ];
    for (index, change) in accepted.iter().enumerate() {
        assert_eq!(spoilt(change), "accepted", "case {index}");
    }
}

/// An alignment affects where a segment starts, not its size.
#[test]
fn alignment_above_a_page_takes_no_memory() {
    let plain = accept(&spt().bytes(), Target::Spt).unwrap();
    for bit in 12..64 {
        let mut sample = spt();
        sample.segments.iter_mut().for_each(|segment| segment.p_align = 1 << bit);
        assert_eq!(accept(&sample.bytes(), Target::Spt).unwrap(), plain, "2^{bit}");
    }
}

#[test]
fn the_memory_size_is_checked_separately() {
    let mut sample = spt();
    sample.segments[BSS].p_memsz = 1 << 40;
    let plan = accept(&sample.bytes(), Target::Spt).unwrap();
    assert!(plan.minimum_memory > 1 << 40);
    let text = |memory| plan.fits(memory).unwrap_err().to_string();
    assert!(text(512 * MIB).contains("phdr[5] program memory segment falls outside"));
    assert!(text(0).contains("e_entry does not fall within the memory allocation range"));
    assert!(text(MIB + 0x1000).contains("phdr[2] program file segment falls outside"));
    assert!(text(MIB + 0x1010).contains("(1052672 + 32 > 1052688)"));
    assert_eq!(plan.fits(plan.minimum_memory), Ok(()));
    assert!(plan.fits(plan.minimum_memory - 1).is_err());
}

#[test]
fn a_loaders_errors_name_its_memory_size() {
    let text = |change: fn(&mut Sample)| {
        let mut sample = spt();
        change(&mut sample);
        let fault = accept(&sample.bytes(), Target::Spt).unwrap_err();
        fault.in_memory(2 * MIB).to_string()
    };
    let entry = "invalid executable: e_entry does not fall within the memory allocation range ";
    let below = text(|s| s.header.e_entry = 0xf_ffff);
    assert_eq!(below, format!("{entry}(1048575 < 1048576 || 1048575 >= 2097152)"));
    let beyond = text(|s| s.header.e_entry = 2 * MIB);
    assert_eq!(beyond, format!("{entry}(2097152 < 1048576 || 2097152 >= 2097152)"));
    let inside = text(|s| s.header.e_entry = 2 * MIB - 1);
    assert!(inside.contains("e_entry is not within an executable segment"));
    let wraps = text(|s| s.segments[DATA].p_memsz = u64::MAX);
    assert!(wraps.ends_with(" + 18446744073709551615 > 2097152)"), "{wraps}");
}

/// The refusal of an image whose PT_NOTE `index` is changed.
fn note_header(index: usize, change: impl FnOnce(&mut ProgramHeader)) -> String {
    spoilt(|sample| change(&mut sample.segments[NOTES + index]))
}

/// The image with the ABI note replaced by `bytes`.
fn abi_group(bytes: &[u8]) -> Sample {
    let groups = [testing::openbsd_note(), bytes.to_vec(), testing::manifest_note(&[])];
    Sample::with_notes(Target::Spt, Arch::X86_64, &groups)
}

#[test]
fn notes_are_refused_with_upstreams_texts() {
    let no_abi = "No Solo5 ABI information found in executable";
    assert_eq!(note_header(1, |h| h.p_type = 0), no_abi);
    assert_eq!(note_header(2, |h| h.p_type = 0), "No Solo5 manifest found in executable");
    assert_eq!(note_header(1, |h| h.p_filesz = 0), no_abi);
    assert_eq!(
        note_header(1, |h| h.p_filesz = 11),
        "invalid executable: phdr[7].p_filesz note does not fall within valid size (11 < 12)"
    );
    assert_eq!(note_header(1, |h| h.p_filesz = 12), no_abi);
    assert_eq!(note_header(1, |h| h.p_filesz = 19), no_abi);
    let size = "invalid executable: phdr[7] note does not fall within valid size";
    assert_eq!(note_header(1, |h| h.p_filesz = 20), format!("{size} (20 < 36)"));
    assert_eq!(note_header(1, |h| h.p_filesz = 35), format!("{size} (35 < 36)"));
    assert_eq!(note_header(1, |h| h.p_filesz = 1 << 40), "accepted");
    assert_eq!(note_header(2, |h| h.p_filesz = 1 << 40), "accepted");
    assert_eq!(
        note_header(1, |h| h.p_offset = 1 << 40),
        "phdr[7] bytes read mismatches note size (0 != 20)"
    );
    let abi = |descriptor: &[u8]| {
        refusal(&abi_group(&testing::any_note(note::OWNER_SOLO5, note::TYPE_ABI1, descriptor)))
    };
    assert_eq!(abi(&[]), format!("{size} (0 < 16 || 0 > 32)"));
    assert_eq!(abi(&[2; 15]), format!("{size} (15 < 16 || 15 > 32)"));
    assert_eq!(abi(&[2; 33]), format!("{size} (33 < 16 || 33 > 32)"));
    let mut longest = [0; 32];
    longest[0] = 2;
    longest[4] = 2;
    assert_eq!(abi(&longest), "accepted");
    let version = |target, version| refusal(&abi_group(&Abi1::new(target, version).note()));
    assert_eq!(version(Target::Hvt, 2), "Executable is not for the solo5-spt target");
    assert_eq!(version(Target::Spt, 3), "Executable requests unsupported ABI version 3");
    for other in [&b"Solo6\0"[..], b"Solo5", b"Solo5\0\0\0"] {
        let foreign = testing::any_note(other, note::TYPE_ABI1, &longest);
        assert_eq!(refusal(&abi_group(&foreign)), no_abi);
    }
}

#[test]
fn a_manifest_note_of_a_wrong_length_is_refused() {
    for size in [0u32, 1, 4, 6669] {
        let mut sample = spt();
        let offset = sample.segments[NOTES + 2].p_offset - sample.contents[0].0;
        let at = offset as usize + 4;
        sample.contents[0].1[at..at + 4].copy_from_slice(&size.to_le_bytes());
        let text = refusal(&sample);
        assert!(text.contains("note does not fall within valid size"), "{text}");
        // The ABI note comes first, so it is still read.
        let image = Image::read(&sample.bytes(), &Arch::ALL).unwrap();
        assert_eq!(image.target(), Some(Target::Spt));
    }
}

#[test]
fn several_notes_in_one_segment_are_found() {
    let mut all = testing::manifest_note(&[("a", DeviceType::BlockBasic)]);
    all.extend(testing::properties_note(
        2,
        &[
            (0, mft2::tag::MEMORY_MINIMUM, &(32 * MIB).to_le_bytes()),
            (1, mft2::tag::DEVICE_FLAGS, &3u32.to_le_bytes()),
        ],
    ));
    all.extend(testing::any_note(note::OWNER_FDO, note::TYPE_FDO_PACKAGE, b"{}"));
    all.extend(testing::abi_note(Target::Spt));
    let sample = Sample::with_notes(Target::Spt, Arch::X86_64, &[all.clone()]);
    let file = sample.bytes();
    accept(&file, Target::Spt).unwrap();
    let image = Image::read(&file, &Arch::ALL).unwrap();
    assert_eq!(image.manifest_version(), 2);
    let properties = image.properties().unwrap().unwrap();
    assert_eq!(properties.memory_minimum(), Some(32 * MIB));
    assert!(properties.device(1).optional && properties.device(1).read_only);
    let package = &image.notes().all()[2];
    assert!(package.is(note::OWNER_FDO, note::TYPE_FDO_PACKAGE));
    assert_eq!(package.owner(), b"FDO");
    assert_eq!(package.read(&file, 100).unwrap(), b"{}");

    // The walker over byte slices finds the same notes.
    let walked: Vec<u32> = note::Notes::new(&all).map(|note| note.unwrap().kind).collect();
    let read: Vec<u32> = image.notes().all().iter().map(|note| note.kind).collect();
    assert_eq!(walked, read);

    all.extend(testing::properties_note(2, &[]));
    let twice = Sample::with_notes(Target::Spt, Arch::X86_64, &[all]);
    assert!(refusal(&twice).contains("second note of manifest properties"));
}

#[test]
fn the_first_of_two_notes_counts() {
    let groups = [
        testing::abi_note(Target::Spt),
        testing::abi_note(Target::Hvt),
        testing::manifest_note(&[]),
    ];
    let sample = Sample::with_notes(Target::Spt, Arch::X86_64, &groups);
    assert_eq!(refusal(&sample), "accepted");
}

#[test]
fn structure_and_content_of_a_manifest_are_checked_separately() {
    let change = |entry: usize, field: usize, bytes: &[u8]| {
        let mut sample = spt();
        let offset = sample.segments[NOTES + 2].p_offset - sample.contents[0].0;
        let at = offset as usize + 20 + mft1::PADDING + mft1::size(entry) + field;
        sample.contents[0].1[at..at + bytes.len()].copy_from_slice(bytes);
        let file = sample.bytes();
        let image = Image::read(&file, &Arch::ALL).unwrap();
        (image.manifest().is_ok(), image.checked_manifest().is_ok())
    };
    assert_eq!(change(1, 0, b"storage"), (true, true));
    assert_eq!(change(1, 0, b"sto\"age"), (true, false));
    assert_eq!(change(1, 68, &[3]), (true, false));
    assert_eq!(change(1, 80, &[0, 1]), (true, false));
    assert_eq!(change(1, 96, &[2]), (false, false));
    assert_eq!(change(1, 67, b"x"), (false, false));
    assert_eq!(change(0, 68, &[1]), (false, false));
}

/// An endless file of zeros that counts its reads.
struct Endless<'a> {
    head: &'a [u8],
    reads: std::cell::Cell<usize>,
}

impl ReadAt for Endless<'_> {
    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<usize, ReadError> {
        self.reads.set(self.reads.get() + 1);
        out.fill(0);
        self.head.read_at(offset, out)?;
        Ok(out.len())
    }
}

#[test]
fn the_walk_over_endless_notes_ends() {
    let mut sample = spt();
    let text = sample.contents[0].clone();
    sample.sections.clear();
    for header in &mut sample.segments[NOTES..] {
        header.p_offset = text.0 + (1 << 30);
        header.p_filesz = 1 << 62;
    }
    let head = sample.bytes();
    let reader = Endless { head: &head, reads: 0.into() };
    let image = Image::read(&reader, &Arch::ALL).unwrap();
    assert!(matches!(image.abi(), Err(ImageError::NotesMany { .. })));
    assert!(reader.reads.get() < 5000, "{}", reader.reads.get());
}

#[test]
fn sections_and_symbols_give_evidence() {
    let sample = spt();
    let file = sample.bytes();
    let image = Image::read(&file, &Arch::ALL).unwrap();
    let sections = Sections::read(&file, image.header()).unwrap();
    let data = sample.segments[DATA].p_vaddr;
    assert_eq!(sections.at_address(data).unwrap().name, ".data");
    assert_eq!(sections.symbol_at(&file, data + 4).as_deref(), Some("table"));
    assert_eq!(sections.symbol_at(&file, image.entry()).as_deref(), Some("_start"));
    assert!(sections.find(".note.solo5.abi").is_some());
    assert_eq!(sections.symbol_at(&file, 0), None);
}

/// The sections of a file and its symbols, as far as they can be read.
fn read_sections(file: &Vec<u8>) -> (Sections, Vec<Symbol>, Result<(), SectionError>) {
    let image = Image::read(file, &Arch::ALL).unwrap();
    let sections = Sections::read(file, image.header()).unwrap();
    let mut symbols = Vec::new();
    let visited = sections.visit_symbols(file, |symbol| {
        symbols.push(*symbol);
        ControlFlow::Continue(())
    });
    (sections, symbols, visited)
}

#[test]
fn numbers_that_do_not_fit_are_read_from_section_0() {
    let plain = spt().bytes();
    let mut extended = plain.clone();
    testing::extend_numbers(&mut extended);
    let (wanted, wanted_symbols, visited) = read_sections(&plain);
    assert_eq!(visited, Ok(()));
    let (found, symbols, visited) = read_sections(&extended);
    assert_eq!(visited, Ok(()));
    assert!(wanted.all().len() > 5 && symbols.len() > 2);
    // Only section 0 itself differs.
    assert_eq!(found.all()[1..], wanted.all()[1..]);
    assert_eq!(symbols, wanted_symbols);
    let plan = accept(&extended, Target::Spt);
    assert_eq!(plan, accept(&plain, Target::Spt));
    // A number above the limit is refused, and nothing is read because of it.
    let image = Image::read(&plain, &Arch::ALL).unwrap();
    let section_0 = image.header().e_shoff as usize;
    let with = |at: usize, value: &[u8]| {
        let mut file = extended.clone();
        file[section_0 + at..section_0 + at + value.len()].copy_from_slice(value);
        file
    };
    let many = with(44, &u32::MAX.to_le_bytes());
    let fault = Image::read(&many, &Arch::ALL).unwrap_err();
    assert_eq!(fault, ImageError::Header(HeaderField::ManyProgramHeaders(u32::MAX)));
    let refused = |file: &Vec<u8>| {
        let image = Image::read(file, &Arch::ALL).unwrap();
        Sections::read(file, image.header()).unwrap_err()
    };
    assert_eq!(refused(&with(32, &u64::MAX.to_le_bytes())), SectionError::Many(u64::MAX));
    assert_eq!(refused(&with(32, &1000u64.to_le_bytes())), SectionError::Short);
    assert_eq!(refused(&with(40, &999u32.to_le_bytes())), SectionError::Names(999));
}

#[test]
fn section_indices_that_do_not_fit_a_symbol_are_read_from_their_table() {
    let mut sample = spt();
    for (_, symbol) in &mut sample.symbols {
        symbol.st_shndx = elf::SHN_XINDEX;
    }
    let without = sample.bytes();
    let (sections, symbols, visited) = read_sections(&without);
    assert_eq!(visited, Err(SectionError::NoSymbolSections));
    assert_eq!(symbols.len(), 1 + sample.symbols.len());
    // An SHT_SYMTAB_SHNDX table at the end of the file, for the symbol table. Its section comes before
    // `.symtab`, which therefore moves by one.
    let table: Vec<u8> = [0u32, 2, 0x1_0003].iter().flat_map(|index| index.to_le_bytes()).collect();
    let symbol_table = sections.all().iter().position(|all| all.name == ".symtab").unwrap() + 1;
    sample.contents.push((0x8000, table.clone()));
    let header = SectionHeader {
        sh_type: elf::SHT_SYMTAB_SHNDX,
        sh_offset: 0x8000,
        sh_size: table.len() as u64,
        sh_link: symbol_table as u32,
        ..SectionHeader::default()
    };
    sample.sections.push((String::from(".symtab_shndx"), header));
    let (_, symbols, visited) = read_sections(&sample.bytes());
    assert_eq!(visited, Ok(()));
    let places: Vec<_> = symbols.iter().map(|symbol| symbol.section).collect();
    assert_eq!(places, [None, Some(2), Some(0x1_0003)]);
}

#[test]
fn symbols_missing_from_the_file_are_an_error() {
    let file = spt().bytes();
    let (sections, symbols, _) = read_sections(&file);
    let table = sections.find(".symtab").unwrap().header;
    let cut = file[..table.sh_offset as usize + elf::SYMBOL_SIZE + 5].to_vec();
    let mut seen = 0;
    let visited = sections.visit_symbols(&cut, |_| {
        seen += 1;
        ControlFlow::Continue(())
    });
    assert_eq!((seen, visited), (1, Err(SectionError::ShortSymbols)));
    assert!(symbols.len() > seen);
}

/// All symbols are seen, and that their names are not is an error.
#[test]
fn names_of_symbols_that_cannot_be_found_are_an_error() {
    let plain = spt().bytes();
    let (sections, wanted, _) = read_sections(&plain);
    let header = *Image::read(&plain, &Arch::ALL).unwrap().header();
    let table = sections.all().iter().position(|section| section.name == ".symtab").unwrap();
    let link = header.e_shoff as usize + table * elf::SECTION_HEADER_SIZE + 40;
    let count = sections.all().len() as u32;
    for (index, fault) in
        [0, 1, count, u32::MAX].map(|link| (link, SectionError::SymbolNames(link)))
    {
        let mut file = plain.clone();
        file[link..link + 4].copy_from_slice(&index.to_le_bytes());
        let (_, symbols, visited) = read_sections(&file);
        assert_eq!((symbols, visited), (wanted.clone(), Err(fault)));
    }
    let names = sections.find(".strtab").unwrap().header;
    let cut = plain[..(names.sh_offset + names.sh_size - 1) as usize].to_vec();
    let visited = sections.visit_symbols(&cut, |_| ControlFlow::Continue(()));
    assert_eq!(visited, Err(SectionError::ShortSymbolNames));
}

#[test]
fn readelf_accepts_a_sample() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sample.spt");
    std::fs::write(&path, spt().bytes()).unwrap();
    let output = std::process::Command::new("readelf").arg("-lnSs").arg(&path).output();
    let Ok(output) = output else {
        println!("skip: readelf_accepts_a_sample: no readelf");
        return;
    };
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    for part in ["/nonexistent/solo5/", "Solo5", "OpenBSD", "table", ".note.solo5.manifest"] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
}

/// A change to one field of one program header, or to one byte near the front of the file.
#[derive(Clone, Debug)]
enum Change {
    Header { index: usize, field: usize, value: u64 },
    Byte { at: usize, value: u8 },
    Cut(usize),
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        0u64..64,
        (0u64..16).prop_map(|page| MIB + page * 0x800),
        (0u32..64).prop_map(|bit| 1 << bit),
        (0u32..64).prop_map(|bit| (1u64 << bit).wrapping_sub(1)),
        Just(u64::from(PT_LOAD)),
        Just(u64::from(PT_NOTE)),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => (0usize..9, 0usize..7, number())
            .prop_map(|(index, field, value)| Change::Header { index, field, value }),
        3 => (0usize..0x2020, any::<u8>()).prop_map(|(at, value)| Change::Byte { at, value }),
        1 => (0usize..0x2100).prop_map(Change::Cut),
    ]
}

fn apply(changes: &[Change]) -> Vec<u8> {
    let mut sample = spt();
    for change in changes {
        let Change::Header { index, field, value } = change else {
            continue;
        };
        let header = &mut sample.segments[*index];
        match field {
            0 => header.p_type = *value as u32,
            1 => header.p_flags = (*value & 7) as u32,
            2 => header.p_offset = *value,
            3 => header.p_vaddr = *value,
            4 => header.p_filesz = *value,
            5 => header.p_memsz = *value,
            _ => header.p_align = *value,
        }
    }
    let mut file = sample.bytes();
    for change in changes {
        match *change {
            Change::Byte { at, value } => {
                if let Some(byte) = file.get_mut(at) {
                    *byte = value;
                }
            }
            Change::Cut(length) => file.truncate(length),
            Change::Header { .. } => {}
        }
    }
    file
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn hostile_images_never_panic_and_cost_little(
        changes in prop::collection::vec(change(), 1..6),
        memory in number(),
    ) {
        let file = apply(&changes);
        let reader = Counting { file: &file, bytes: 0.into() };
        if let Ok(image) = Image::read(&reader, &Arch::ALL) {
            let _ = (image.abi(), image.checked_manifest(), image.properties());
            for fault in image.notes().faults() {
                let _ = (fault.to_string(), fault.offset(), fault.phdr());
            }
            let mut faults = 0;
            plan::examine(&image, &reader, Target::Spt, &mut |fault| {
                faults += 1;
                let _ = (fault.to_string(), fault.offset(), fault.phdr());
            });
            match image.plan(&reader, Target::Spt) {
                Ok(plan) => {
                    prop_assert_eq!(faults, 0);
                    prop_assert_eq!(plan.fits(memory).is_ok(), memory >= plan.minimum_memory);
                    let mut end = plan.base;
                    for segment in &plan.segments {
                        prop_assert!(segment.pages.start >= end);
                        prop_assert!(segment.pages.start <= segment.range().start);
                        prop_assert!(segment.range().end <= segment.pages.end);
                        prop_assert!(!(segment.protection.write && segment.protection.execute));
                        prop_assert!(segment.file.is_empty() || segment.file.end <= file.len() as u64);
                        end = segment.pages.end;
                    }
                }
                Err(_) => prop_assert!(faults > 0),
            }
            if let Ok(sections) = Sections::read(&reader, image.header()) {
                let _ = sections.symbol_at(&reader, image.entry());
            }
        }
        prop_assert!(reader.bytes.get() < 1 << 20, "{} bytes read", reader.bytes.get());
    }
}

/// A file that counts the bytes read from it.
struct Counting<'a> {
    file: &'a [u8],
    bytes: std::cell::Cell<usize>,
}

impl ReadAt for Counting<'_> {
    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<usize, ReadError> {
        let got = self.file.read_at(offset, out)?;
        self.bytes.set(self.bytes.get() + got);
        Ok(got)
    }
}
