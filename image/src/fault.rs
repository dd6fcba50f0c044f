//! Why an image is refused. The texts are upstream's (`docs/reference/elf-loading.md`), with its
//! slips mended: error numbers appear as text, and a page size as itself.

use std::fmt;

use solo5_abi::{Target, mft1, mft2};

use crate::read::ReadError;

/// Why an image is refused. `phdr` is an index in the program header table, `offset` is in the
/// file; sizes and addresses are in bytes. `memory` is the size of guest memory, `u64::MAX` while
/// that is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are the numbers the texts print")]
pub enum Fault {
    /// The file header cannot be read.
    HeaderRead(ReadError),
    /// The file is shorter than a file header.
    HeaderShort { got: usize },
    /// Not a static ELF64 little-endian executable for an accepted machine.
    Header(HeaderField),
    /// The program header table cannot be read.
    TableRead(ReadError),
    /// The program header table reaches past the end of the file.
    TableShort { got: usize, want: usize },

    /// A PT_NOTE has no room for a note.
    NoteSegmentShort { phdr: usize, size: u64 },
    /// A note cannot be read.
    NoteRead { phdr: usize, offset: u64, error: ReadError },
    /// A note reaches past the end of the file.
    NoteShort { phdr: usize, offset: u64, got: usize, want: usize },
    /// The descriptor's length is outside what its kind allows.
    NoteSize { phdr: usize, offset: u64, size: u32, least: u32, most: u32 },
    /// A note reaches past the end of its PT_NOTE.
    NoteReach { phdr: usize, offset: u64, have: u64, need: u64 },
    /// More notes than [`crate::notes::NOTES_MAX`].
    NotesMany { phdr: usize, offset: u64 },
    /// A second MFT2 note.
    SecondProperties { phdr: usize, offset: u64 },

    /// No ABI note.
    NoAbi,
    /// The ABI note names another target.
    AbiTarget { wanted: Target, found: u32 },
    /// The ABI note asks for another version than the target's.
    AbiVersion { found: u32 },
    /// No manifest note.
    NoManifest,
    /// The manifest is invalid; `offset` is that of its descriptor.
    Manifest { phdr: usize, offset: u64, fault: mft1::Fault },
    /// The manifest's properties are invalid; `offset` is that of their descriptor.
    Properties { phdr: usize, offset: u64, fault: mft2::Fault },

    /// The entry point is below the lowest address, or behind guest memory.
    Entry { entry: u64, base: u64, memory: u64 },
    /// The entry point is in no executable segment, or nothing is loaded at all.
    EntryNotExecutable { entry: u64, base: u64 },
    /// A segment starts below the lowest address.
    Below { phdr: usize, address: u64, base: u64 },
    /// A segment starts before the one in front of it.
    Order { phdr: usize, address: u64, previous: u64 },
    /// The alignment is no power of two.
    Align { phdr: usize, align: u64 },
    /// Rounded to pages, two segments overlap.
    Overlap { phdr: usize, start: u64, previous_end: u64 },
    /// A segment starts behind guest memory.
    FileBeyond { phdr: usize, address: u64, memory: u64 },
    /// Address and file size overflow, or end behind guest memory.
    FileEnd { phdr: usize, address: u64, size: u64, memory: u64 },
    /// The memory size is below the file size.
    MemoryBelowFile { phdr: usize, memory_size: u64, file_size: u64 },
    /// Address and memory size overflow, or end behind guest memory.
    MemoryEnd { phdr: usize, address: u64, size: u64, memory: u64 },
    /// The content cannot be read.
    SegmentRead { phdr: usize, offset: u64, error: ReadError },
    /// The content reaches past the end of the file.
    SegmentShort { phdr: usize, offset: u64, size: u64 },
    /// The rounded start is not on a page.
    StartUnaligned { phdr: usize, start: u64, page: u64 },
    /// The rounded end is not on a page.
    EndUnaligned { phdr: usize, end: u64, page: u64 },
    /// Writable and executable.
    WriteExec { phdr: usize },
    /// Content that nobody could access.
    NoAccess { phdr: usize },
}

/// Which field of the file header is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderField {
    /// The first four bytes.
    Magic,
    /// `EI_CLASS` is not 64-bit.
    Class,
    /// `EI_DATA` is not little-endian.
    Data,
    /// `e_version` is not 1.
    Version,
    /// `e_ehsize` is not 64.
    HeaderSize,
    /// `e_phnum` is 0.
    NoProgramHeaders,
    /// More than 65535 program headers.
    ManyProgramHeaders(u32),
    /// `e_phentsize` is not 56.
    EntrySize,
    /// `e_type` is not ET_EXEC.
    Type(u16),
    /// `e_machine` is not one of those accepted.
    Machine(u16),
}

impl HeaderField {
    /// Offset in bytes of the field in the file.
    pub fn offset(self) -> u64 {
        match self {
            HeaderField::Magic => 0,
            HeaderField::Class => 4,
            HeaderField::Data => 5,
            HeaderField::Type(_) => 16,
            HeaderField::Machine(_) => 18,
            HeaderField::Version => 20,
            HeaderField::HeaderSize => 52,
            HeaderField::EntrySize => 54,
            HeaderField::NoProgramHeaders | HeaderField::ManyProgramHeaders(_) => 56,
        }
    }
}

impl fmt::Display for HeaderField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HeaderField::Magic => write!(f, "not an ELF file"),
            HeaderField::Class => write!(f, "not a 64-bit ELF file"),
            HeaderField::Data => write!(f, "not little-endian"),
            HeaderField::Version => write!(f, "e_version is not 1"),
            HeaderField::HeaderSize => write!(f, "e_ehsize is not 64"),
            HeaderField::NoProgramHeaders => write!(f, "there are no program headers"),
            HeaderField::ManyProgramHeaders(count) => {
                write!(f, "{count} program headers, at most {}", u16::MAX)
            }
            HeaderField::EntrySize => write!(f, "e_phentsize is not 56"),
            HeaderField::Type(1) => write!(f, "a relocatable object, not a linked executable"),
            HeaderField::Type(3) => {
                write!(f, "position-independent, not linked at fixed addresses")
            }
            HeaderField::Type(4) => write!(f, "a core dump, not an executable"),
            HeaderField::Type(number) => write!(f, "e_type {number} is not ET_EXEC"),
            HeaderField::Machine(number) => match solo5_abi::Arch::from_e_machine(*number) {
                Some(arch) => write!(f, "made for {}", arch.name()),
                None => write!(f, "made for a machine unknown to Solo5 (e_machine {number})"),
            },
        }
    }
}

impl Fault {
    /// The program header at fault, as its index in the table.
    pub fn phdr(&self) -> Option<usize> {
        match *self {
            Fault::HeaderRead(_)
            | Fault::HeaderShort { .. }
            | Fault::Header(_)
            | Fault::TableRead(_)
            | Fault::TableShort { .. }
            | Fault::NoAbi
            | Fault::AbiTarget { .. }
            | Fault::AbiVersion { .. }
            | Fault::NoManifest
            | Fault::Entry { .. }
            | Fault::EntryNotExecutable { .. } => None,
            Fault::NoteSegmentShort { phdr, .. }
            | Fault::NoteRead { phdr, .. }
            | Fault::NoteShort { phdr, .. }
            | Fault::NoteSize { phdr, .. }
            | Fault::NoteReach { phdr, .. }
            | Fault::NotesMany { phdr, .. }
            | Fault::SecondProperties { phdr, .. }
            | Fault::Manifest { phdr, .. }
            | Fault::Properties { phdr, .. }
            | Fault::Below { phdr, .. }
            | Fault::Order { phdr, .. }
            | Fault::Align { phdr, .. }
            | Fault::Overlap { phdr, .. }
            | Fault::FileBeyond { phdr, .. }
            | Fault::FileEnd { phdr, .. }
            | Fault::MemoryBelowFile { phdr, .. }
            | Fault::MemoryEnd { phdr, .. }
            | Fault::SegmentRead { phdr, .. }
            | Fault::SegmentShort { phdr, .. }
            | Fault::StartUnaligned { phdr, .. }
            | Fault::EndUnaligned { phdr, .. }
            | Fault::WriteExec { phdr }
            | Fault::NoAccess { phdr } => Some(phdr),
        }
    }

    /// Where in the file, in bytes, if there is one place.
    pub fn offset(&self) -> Option<u64> {
        match *self {
            Fault::Header(field) => Some(field.offset()),
            Fault::NoteRead { offset, .. }
            | Fault::NoteShort { offset, .. }
            | Fault::NoteSize { offset, .. }
            | Fault::NoteReach { offset, .. }
            | Fault::NotesMany { offset, .. }
            | Fault::SecondProperties { offset, .. }
            | Fault::SegmentRead { offset, .. }
            | Fault::SegmentShort { offset, .. } => Some(offset),
            Fault::Manifest { offset, fault, .. } => offset.checked_add(fault.offset as u64),
            Fault::Properties { offset, fault, .. } => offset.checked_add(fault.offset as u64),
            _ => None,
        }
    }

    /// The fault as a loader with `memory` bytes of guest memory reports it: those that no memory
    /// size can mend are found without one, with `u64::MAX` in its place.
    pub fn in_memory(self, memory: u64) -> Fault {
        match self {
            Fault::Entry { entry, base, .. } => Fault::Entry { entry, base, memory },
            // What upstream's loader says of it, which looks at the entry point first.
            Fault::EntryNotExecutable { entry, base } if entry >= memory => {
                Fault::Entry { entry, base, memory }
            }
            Fault::FileEnd { phdr, address, size, .. } => {
                Fault::FileEnd { phdr, address, size, memory }
            }
            Fault::MemoryEnd { phdr, address, size, .. } => {
                Fault::MemoryEnd { phdr, address, size, memory }
            }
            other => other,
        }
    }
}

/// Prefix of the texts that concern the executable's content.
const INV: &str = "invalid executable: ";

impl fmt::Display for Fault {
    /// Upstream's text, to be printed behind `PROG: FILE: `.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Fault::HeaderRead(error) => {
                write!(f, "pread_in_full for elf header while loading note failed: {error}")
            }
            Fault::HeaderShort { got } => {
                write!(f, "{INV}elf header does not match the expected size ({got} != 64)")
            }
            Fault::Header(_) => write!(
                f,
                "{INV}invalid or unsupported executable (elf header invalid while loading note)"
            ),
            Fault::TableRead(error) => {
                write!(f, "pread_in_full for ph_size failed while loading note: {error}")
            }
            Fault::TableShort { got, want } => write!(
                f,
                "{INV}program header does not match the expected size ({got} != {want} while \
                 loading note)"
            ),
            Fault::NoteSegmentShort { phdr, size } => write!(
                f,
                "{INV}phdr[{phdr}].p_filesz note does not fall within valid size ({size} < 12)"
            ),
            Fault::NoteRead { phdr, error, .. } => {
                write!(f, "phdr[{phdr}] pread_in_full failed: {error}")
            }
            Fault::NoteShort { phdr, got, want, .. } => {
                write!(f, "phdr[{phdr}] bytes read mismatches note size ({got} != {want})")
            }
            Fault::NoteSize { phdr, size, least, most, .. } => write!(
                f,
                "{INV}phdr[{phdr}] note does not fall within valid size ({size} < {least} || \
                 {size} > {most})"
            ),
            Fault::NoteReach { phdr, have, need, .. } => write!(
                f,
                "{INV}phdr[{phdr}] note does not fall within valid size ({have} < {need})"
            ),
            Fault::NotesMany { phdr, .. } => {
                write!(f, "{INV}phdr[{phdr}] more notes than {}", crate::notes::NOTES_MAX)
            }
            Fault::SecondProperties { phdr, .. } => {
                write!(f, "{INV}phdr[{phdr}] second note of manifest properties")
            }
            Fault::NoAbi => write!(f, "No Solo5 ABI information found in executable"),
            Fault::AbiTarget { wanted, .. } => {
                write!(f, "Executable is not for the solo5-{} target", wanted.name())
            }
            Fault::AbiVersion { found } => {
                write!(f, "Executable requests unsupported ABI version {found}")
            }
            Fault::NoManifest => write!(f, "No Solo5 manifest found in executable"),
            Fault::Manifest { .. } => write!(f, "Solo5 manifest is invalid"),
            Fault::Properties { fault, .. } => {
                write!(f, "Solo5 manifest properties are invalid: {fault}")
            }
            Fault::Entry { entry, base, memory } => write!(
                f,
                "{INV}e_entry does not fall within the memory allocation range ({entry} < {base} \
                 || {entry} >= {memory})"
            ),
            Fault::EntryNotExecutable { entry, .. } => {
                write!(f, "{INV}e_entry is not within an executable segment ({entry})")
            }
            Fault::Below { phdr, address, base } => write!(
                f,
                "{INV}phdr[{phdr}].p_vaddr outside of valid memory range ({address} < {base})"
            ),
            Fault::Order { phdr, address, previous } => write!(
                f,
                "{INV}phdr[{phdr}].p_vaddr is not in ascending order ({address} < {previous})"
            ),
            Fault::Align { phdr, align } => write!(
                f,
                "{INV}phdr[{phdr}].p_vaddr is outside of memory range (align_down with {align})"
            ),
            Fault::Overlap { phdr, start, previous_end } => write!(
                f,
                "{INV}phdr[{phdr}].p_vaddr_start is outside of memory range ({start} < \
                 {previous_end} (e_end))"
            ),
            Fault::FileBeyond { phdr, address, memory } => write!(
                f,
                "{INV}phdr[{phdr}] program file segment falls outside of valid range ({address} \
                 >= {memory})"
            ),
            Fault::FileEnd { phdr, address, size, memory } => write!(
                f,
                "{INV}phdr[{phdr}] program file segment falls outside of valid range ({address} + \
                 {size} > {memory})"
            ),
            Fault::MemoryBelowFile { phdr, memory_size, file_size } => write!(
                f,
                "{INV}phdr[{phdr}] program memory segment falls outside of valid range \
                 ({memory_size} < {file_size})"
            ),
            Fault::MemoryEnd { phdr, address, size, memory } => write!(
                f,
                "{INV}phdr[{phdr}] program memory segment falls outside of valid range ({address} \
                 + {size} > {memory})"
            ),
            Fault::SegmentRead { phdr, error, .. } => {
                write!(f, "phdr[{phdr}] pread_in_full failed: {error}")
            }
            Fault::SegmentShort { phdr, offset, size } => {
                write!(f, "phdr[{phdr}] host file segment mismatched ({size} bytes at {offset})")
            }
            Fault::StartUnaligned { phdr, start, page } => write!(
                f,
                "{INV}phdr[{phdr}] p_vaddr_start not aligned with architectural page size ({start} \
                 & ({page} - 1))"
            ),
            Fault::EndUnaligned { phdr, end, page } => write!(
                f,
                "{INV}phdr[{phdr}] p_vaddr_end not aligned with architectural page size ({end} & \
                 ({page} - 1))"
            ),
            Fault::WriteExec { phdr } => {
                write!(f, "{INV}phdr[{phdr}] requests WRITE and EXEC permissions")
            }
            Fault::NoAccess { phdr } => write!(f, "{INV}phdr[{phdr}] requests no permissions"),
        }
    }
}
