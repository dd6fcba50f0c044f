//! Why an image is refused. The texts are upstream's (`docs/reference/elf-loading.md`) with two
//! corrections: error numbers appear as text, and the page size has its real value.

use std::fmt;

use solo5_abi::offer::Features;
use solo5_abi::{Target, mft1, mft2};

use crate::foreign::Foreign;
use crate::read::ReadError;

/// The error of reading a folder.
const EISDIR: i32 = 21;

/// Why an image is refused. `phdr` is an index in the program header table, and `offset` is an offset
/// in the file. Sizes and addresses are in bytes. `memory` is the size of guest memory, if it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are the numbers the texts print")]
pub enum ImageError {
    /// The file header cannot be read.
    HeaderRead(ReadError),
    /// The file is shorter than a file header.
    HeaderShort { got: usize, foreign: Option<Foreign> },
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
    /// The descriptor's length is not valid for the note's type.
    NoteSize { phdr: usize, offset: u64, size: u32, least: u32, most: u32 },
    /// A note reaches past the end of its PT_NOTE.
    NoteReach { phdr: usize, offset: u64, have: u64, need: u64 },
    /// More than `most` notes.
    NotesMany { phdr: usize, offset: u64, most: usize },
    /// A second MFT2 note.
    SecondProperties { phdr: usize, offset: u64 },

    /// No ABI note.
    NoAbi,
    /// The ABI note names another target.
    AbiTarget { wanted: Target, found: u32 },
    /// The ABI note asks for another version of the target's ABI.
    AbiVersion { found: u32 },
    /// No manifest note.
    NoManifest,
    /// The manifest is invalid; `offset` is that of its descriptor.
    Manifest { phdr: usize, offset: u64, fault: mft1::Error },
    /// The manifest's properties are invalid; `offset` is that of their descriptor.
    Properties { phdr: usize, offset: u64, fault: mft2::Error },

    /// The manifest needs features that the bindings do not know.
    Features { missing: Features },

    /// The entry point is below the lowest address, or past the end of guest memory.
    Entry { entry: u64, base: u64, memory: Option<u64> },
    /// The entry point is in no executable segment, or nothing is loaded at all.
    EntryNotExecutable { entry: u64, base: u64 },
    /// A segment starts below the lowest address.
    Below { phdr: usize, address: u64, base: u64 },
    /// A segment starts before the previous one.
    Order { phdr: usize, address: u64, previous: u64 },
    /// The alignment is not a power of two.
    Align { phdr: usize, align: u64 },
    /// Rounded to pages, two segments overlap.
    Overlap { phdr: usize, start: u64, previous_end: u64 },
    /// A segment starts past the end of guest memory.
    FileBeyond { phdr: usize, address: u64, memory: u64 },
    /// Address plus file size overflows, or lies past the end of guest memory.
    FileEnd { phdr: usize, address: u64, size: u64, memory: Option<u64> },
    /// The memory size is below the file size.
    MemoryBelowFile { phdr: usize, memory_size: u64, file_size: u64 },
    /// Address plus memory size overflows, or lies past the end of guest memory.
    MemoryEnd { phdr: usize, address: u64, size: u64, memory: Option<u64> },
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
    /// Content without any access rights.
    NoAccess { phdr: usize },
}

/// The field of the file header that is not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderField {
    /// The first four bytes; what the file is instead, if that is known.
    Magic(Option<Foreign>),
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
            HeaderField::Magic(_) => 0,
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
            HeaderField::Magic(Some(foreign)) => write!(f, "{foreign}, not an ELF file"),
            HeaderField::Magic(None) => write!(f, "not an ELF file"),
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

impl ImageError {
    /// What the file is in place of an image, as in "it is …", where its first bytes tell that. Upstream's
    /// text does not say it.
    pub fn what(&self) -> Option<String> {
        match self {
            ImageError::HeaderRead(ReadError(EISDIR)) => {
                Some("a folder; name the image in it".to_owned())
            }
            ImageError::HeaderShort { foreign, .. } => foreign.map(|foreign| foreign.to_string()),
            ImageError::Header(field) => match field {
                HeaderField::Magic(None) => None,
                HeaderField::Magic(Some(_))
                | HeaderField::Class
                | HeaderField::Type(1 | 3 | 4)
                | HeaderField::Machine(_) => Some(field.to_string()),
                _ => None,
            },
            _ => None,
        }
    }

    /// Upstream's text, and what the file is instead.
    pub fn explained(&self) -> String {
        match self.what() {
            Some(what) => format!("{self}: it is {what}"),
            None => self.to_string(),
        }
    }

    /// Index of the program header that the error is about; `None` if it is about none.
    pub fn phdr(&self) -> Option<usize> {
        match *self {
            ImageError::HeaderRead(_)
            | ImageError::HeaderShort { .. }
            | ImageError::Header(_)
            | ImageError::TableRead(_)
            | ImageError::TableShort { .. }
            | ImageError::NoAbi
            | ImageError::AbiTarget { .. }
            | ImageError::AbiVersion { .. }
            | ImageError::NoManifest
            | ImageError::Features { .. }
            | ImageError::Entry { .. }
            | ImageError::EntryNotExecutable { .. } => None,
            ImageError::NoteSegmentShort { phdr, .. }
            | ImageError::NoteRead { phdr, .. }
            | ImageError::NoteShort { phdr, .. }
            | ImageError::NoteSize { phdr, .. }
            | ImageError::NoteReach { phdr, .. }
            | ImageError::NotesMany { phdr, .. }
            | ImageError::SecondProperties { phdr, .. }
            | ImageError::Manifest { phdr, .. }
            | ImageError::Properties { phdr, .. }
            | ImageError::Below { phdr, .. }
            | ImageError::Order { phdr, .. }
            | ImageError::Align { phdr, .. }
            | ImageError::Overlap { phdr, .. }
            | ImageError::FileBeyond { phdr, .. }
            | ImageError::FileEnd { phdr, .. }
            | ImageError::MemoryBelowFile { phdr, .. }
            | ImageError::MemoryEnd { phdr, .. }
            | ImageError::SegmentRead { phdr, .. }
            | ImageError::SegmentShort { phdr, .. }
            | ImageError::StartUnaligned { phdr, .. }
            | ImageError::EndUnaligned { phdr, .. }
            | ImageError::WriteExec { phdr }
            | ImageError::NoAccess { phdr } => Some(phdr),
        }
    }

    /// Offset of the error in the file; `None` if it has no single place.
    pub fn offset(&self) -> Option<u64> {
        match *self {
            ImageError::Header(field) => Some(field.offset()),
            ImageError::NoteRead { offset, .. }
            | ImageError::NoteShort { offset, .. }
            | ImageError::NoteSize { offset, .. }
            | ImageError::NoteReach { offset, .. }
            | ImageError::NotesMany { offset, .. }
            | ImageError::SecondProperties { offset, .. }
            | ImageError::SegmentRead { offset, .. }
            | ImageError::SegmentShort { offset, .. } => Some(offset),
            ImageError::Manifest { offset, fault, .. } => offset.checked_add(fault.offset as u64),
            ImageError::Properties { offset, fault, .. } => offset.checked_add(fault.offset as u64),
            _ => None,
        }
    }

    /// The error as a loader with `memory` bytes of guest memory reports it. Errors that do not
    /// depend on the memory size are found without one; their texts may still name it.
    pub fn in_memory(self, memory: u64) -> ImageError {
        let known = Some(memory);
        match self {
            ImageError::Entry { entry, base, .. } => {
                ImageError::Entry { entry, base, memory: known }
            }
            // Upstream's loader checks the entry point first, so this is its error.
            ImageError::EntryNotExecutable { entry, base } if entry >= memory => {
                ImageError::Entry { entry, base, memory: known }
            }
            ImageError::FileEnd { phdr, address, size, .. } => {
                ImageError::FileEnd { phdr, address, size, memory: known }
            }
            ImageError::MemoryEnd { phdr, address, size, .. } => {
                ImageError::MemoryEnd { phdr, address, size, memory: known }
            }
            other => other,
        }
    }
}

impl std::error::Error for ImageError {}

/// Prefix of the texts about the executable's content.
const INV: &str = "invalid executable: ";

impl ImageError {
    /// What to do, which upstream's text lacks.
    pub fn advice(&self) -> Option<String> {
        Some(match self {
            ImageError::Features { .. } | ImageError::AbiVersion { .. } => {
                "link the image with the bindings of this release".to_owned()
            }
            ImageError::AbiTarget { found, .. } => match Target::from_number(*found) {
                Some(target) => match target.starter() {
                    Some(program) => {
                        format!("it is for solo5-{}: start it with {program}", target.name())
                    }
                    None => format!(
                        "it is for solo5-{}, which no program of this suite starts",
                        target.name()
                    ),
                },
                None => format!("it is for a target with the number {found}, which is unknown"),
            },
            ImageError::NoAbi | ImageError::NoManifest => {
                "it was not linked as a unikernel; solo5-cc links one".to_owned()
            }
            _ => return None,
        })
    }
}

impl fmt::Display for ImageError {
    /// Upstream's text, to be printed after `PROG: FILE: `.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            ImageError::HeaderRead(error) => {
                write!(f, "pread_in_full for elf header while loading note failed: {error}")
            }
            ImageError::HeaderShort { got, .. } => {
                write!(f, "{INV}elf header does not match the expected size ({got} != 64)")
            }
            ImageError::Header(_) => write!(
                f,
                "{INV}invalid or unsupported executable (elf header invalid while loading note)"
            ),
            ImageError::TableRead(error) => {
                write!(f, "pread_in_full for ph_size failed while loading note: {error}")
            }
            ImageError::TableShort { got, want } => write!(
                f,
                "{INV}program header does not match the expected size ({got} != {want} while \
                 loading note)"
            ),
            ImageError::NoteSegmentShort { phdr, size } => write!(
                f,
                "{INV}phdr[{phdr}].p_filesz note does not fall within valid size ({size} < 12)"
            ),
            ImageError::NoteRead { phdr, error, .. } => {
                write!(f, "phdr[{phdr}] pread_in_full failed: {error}")
            }
            ImageError::NoteShort { phdr, got, want, .. } => {
                write!(f, "phdr[{phdr}] bytes read mismatches note size ({got} != {want})")
            }
            ImageError::NoteSize { phdr, size, least, most, .. } => write!(
                f,
                "{INV}phdr[{phdr}] note does not fall within valid size ({size} < {least} || \
                 {size} > {most})"
            ),
            ImageError::NoteReach { phdr, have, need, .. } => write!(
                f,
                "{INV}phdr[{phdr}] note does not fall within valid size ({have} < {need})"
            ),
            ImageError::NotesMany { phdr, most, .. } => {
                write!(f, "{INV}phdr[{phdr}] more notes than {most}")
            }
            ImageError::SecondProperties { phdr, .. } => {
                write!(f, "{INV}phdr[{phdr}] second note of manifest properties")
            }
            ImageError::NoAbi => write!(f, "No Solo5 ABI information found in executable"),
            ImageError::AbiTarget { wanted, .. } => {
                write!(f, "Executable is not for the solo5-{} target", wanted.name())
            }
            ImageError::AbiVersion { found } => {
                write!(f, "Executable requests unsupported ABI version {found}")
            }
            ImageError::NoManifest => write!(f, "No Solo5 manifest found in executable"),
            ImageError::Manifest { .. } => write!(f, "Solo5 manifest is invalid"),
            ImageError::Properties { fault, .. } => {
                write!(f, "Solo5 manifest properties are invalid: {fault}")
            }
            ImageError::Features { missing } => {
                write!(f, "The manifest needs what the image's bindings do not know: {missing}")
            }
            ImageError::Entry { entry, base, memory } => write!(
                f,
                "{INV}e_entry does not fall within the memory allocation range ({entry} < {base} \
                 || {entry} >= {})",
                limit(memory)
            ),
            ImageError::EntryNotExecutable { entry, .. } => {
                write!(f, "{INV}e_entry is not within an executable segment ({entry})")
            }
            ImageError::Below { phdr, address, base } => write!(
                f,
                "{INV}phdr[{phdr}].p_vaddr outside of valid memory range ({address} < {base})"
            ),
            ImageError::Order { phdr, address, previous } => write!(
                f,
                "{INV}phdr[{phdr}].p_vaddr is not in ascending order ({address} < {previous})"
            ),
            ImageError::Align { phdr, align } => write!(
                f,
                "{INV}phdr[{phdr}].p_vaddr is outside of memory range (align_down with {align})"
            ),
            ImageError::Overlap { phdr, start, previous_end } => write!(
                f,
                "{INV}phdr[{phdr}].p_vaddr_start is outside of memory range ({start} < \
                 {previous_end} (e_end))"
            ),
            ImageError::FileBeyond { phdr, address, memory } => write!(
                f,
                "{INV}phdr[{phdr}] program file segment falls outside of valid range ({address} \
                 >= {memory})"
            ),
            ImageError::FileEnd { phdr, address, size, memory } => write!(
                f,
                "{INV}phdr[{phdr}] program file segment falls outside of valid range ({address} + \
                 {size} > {})",
                limit(memory)
            ),
            ImageError::MemoryBelowFile { phdr, memory_size, file_size } => write!(
                f,
                "{INV}phdr[{phdr}] program memory segment falls outside of valid range \
                 ({memory_size} < {file_size})"
            ),
            ImageError::MemoryEnd { phdr, address, size, memory } => write!(
                f,
                "{INV}phdr[{phdr}] program memory segment falls outside of valid range ({address} \
                 + {size} > {})",
                limit(memory)
            ),
            ImageError::SegmentRead { phdr, error, .. } => {
                write!(f, "phdr[{phdr}] pread_in_full failed: {error}")
            }
            ImageError::SegmentShort { phdr, offset, size } => {
                write!(f, "phdr[{phdr}] host file segment mismatched ({size} bytes at {offset})")
            }
            ImageError::StartUnaligned { phdr, start, page } => write!(
                f,
                "{INV}phdr[{phdr}] p_vaddr_start not aligned with architectural page size ({start} \
                 & ({page} - 1))"
            ),
            ImageError::EndUnaligned { phdr, end, page } => write!(
                f,
                "{INV}phdr[{phdr}] p_vaddr_end not aligned with architectural page size ({end} & \
                 ({page} - 1))"
            ),
            ImageError::WriteExec { phdr } => {
                write!(f, "{INV}phdr[{phdr}] requests WRITE and EXEC permissions")
            }
            ImageError::NoAccess { phdr } => write!(f, "{INV}phdr[{phdr}] requests no permissions"),
        }
    }
}

/// The size of guest memory in a text: the largest possible if it is unknown.
fn limit(memory: Option<u64>) -> u64 {
    memory.unwrap_or(u64::MAX)
}
