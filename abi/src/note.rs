//! ELF notes: the frame around every Solo5 descriptor (`docs/reference/notes.md#frame`).
//!
//! A note is a 12-byte [`Header`], the owner's name padded to 4, then the descriptor padded to 4.
//! Only [`Header::place`] computes where these parts lie. [`Notes`] uses it to walk a byte slice; a
//! reader of files can use it with file offsets.

use core::fmt;
use core::ops::Range;

use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Owner of the Solo5 notes, terminator included.
pub const OWNER_SOLO5: &[u8; 6] = b"Solo5\0";
/// Owner of the OpenBSD identification note, terminator included.
pub const OWNER_OPENBSD: &[u8; 8] = b"OpenBSD\0";
/// Owner of the packaging metadata note, terminator included.
pub const OWNER_FDO: &[u8; 4] = b"FDO\0";
/// Owner of Xen's notes, terminator included.
pub const OWNER_XEN: &[u8; 4] = b"Xen\0";

/// Type of the ABI note, `ABI1` in memory.
pub const TYPE_ABI1: u32 = u32::from_le_bytes(*b"ABI1");
/// Type of the manifest note, `MFT1` in memory.
pub const TYPE_MFT1: u32 = u32::from_le_bytes(*b"MFT1");
/// Type of the version 2 properties note, `MFT2` in memory.
pub const TYPE_MFT2: u32 = u32::from_le_bytes(*b"MFT2");
/// Type of the signature note appended to an image, `SIG1` in memory
/// (`docs/reference/notes.md#signatures`).
pub const TYPE_SIG1: u32 = u32::from_le_bytes(*b"SIG1");
/// Type of the packaging metadata note, owner `FDO`.
pub const TYPE_FDO_PACKAGE: u32 = 0xcafe_1a7e;
/// Type of the OpenBSD identification note, owner `OpenBSD`.
pub const TYPE_OPENBSD_IDENT: u32 = 1;
/// `XEN_ELFNOTE_PHYS32_ENTRY`, owner `Xen`.
pub const TYPE_XEN_PHYS32_ENTRY: u32 = 0x12;

/// Section of the ABI note.
pub const SECTION_ABI1: &str = ".note.solo5.abi";
/// Section of the manifest note.
pub const SECTION_MFT1: &str = ".note.solo5.manifest";
/// *Input* section of the properties note. Linker scripts match it with `.note.solo5.manifest*`.
pub const SECTION_MFT2_INPUT: &str = ".note.solo5.manifest.mft2";
/// *Output* section of the properties note in images linked with this suite's scripts.
pub const SECTION_MFT2: &str = ".note.solo5.mft2";
/// Section of the packaging metadata note.
pub const SECTION_PACKAGE: &str = ".note.package";
/// Section of the OpenBSD identification note.
pub const SECTION_NOT_OPENBSD: &str = ".note.solo5.not_openbsd";

/// Global symbol of the manifest note. Build systems pull the note into the link with `-u`
/// (`docs/reference/downstream.md#ocaml-solo5`).
pub const SYMBOL_MFT1: &str = "__solo5_mft1_note";
/// Global symbol of the properties note.
pub const SYMBOL_MFT2: &str = "__solo5_mft2_note";

/// Content of `.interp`: a path that does not exist, so that the host refuses to run a unikernel
/// directly (`docs/reference/notes.md#interp`).
pub const NO_EXEC_INTERP: [u8; 24] = *b"/nonexistent/solo5/\0\0\0\0\0";

/// Alignment in bytes of every part of a note.
pub const ALIGN: u64 = 4;

/// The fixed part of a note.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct Header {
    /// Length of the owner's name in bytes, with its terminator, without padding.
    pub namesz: U32,
    /// Length of the descriptor in bytes, without padding.
    pub descsz: U32,
    /// Type of the note, a number defined by its owner.
    pub kind: U32,
}

const _: () = assert!(size_of::<Header>() == Header::SIZE);

/// Where the parts of one note lie, in bytes, counted from the same origin as the header's offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The owner's name, without padding.
    pub owner: Range<u64>,
    /// The descriptor, without padding.
    pub descriptor: Range<u64>,
    /// Start of the next note.
    pub next: u64,
}

impl Header {
    /// Size in bytes.
    pub const SIZE: usize = 12;

    /// The header of a note with this owner (terminator included) and descriptor length.
    pub const fn new(owner: &[u8], kind: u32, descriptor_len: u32) -> Header {
        Header {
            namesz: U32::new(owner.len() as u32),
            descsz: U32::new(descriptor_len),
            kind: U32::new(kind),
        }
    }

    /// Where the parts of the note lie if this header is at `offset`; `None` on overflow.
    pub fn place(&self, offset: u64) -> Option<Place> {
        let owner = offset.checked_add(Header::SIZE as u64)?;
        let owner_end = owner.checked_add(self.namesz.get().into())?;
        let descriptor = owner_end.checked_next_multiple_of(ALIGN)?;
        let descriptor_end = descriptor.checked_add(self.descsz.get().into())?;
        Some(Place {
            owner: owner..owner_end,
            descriptor: descriptor..descriptor_end,
            next: descriptor_end.checked_next_multiple_of(ALIGN)?,
        })
    }
}

/// One note of a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note<'a> {
    /// Offset of the note's header in the sequence.
    pub offset: usize,
    /// Offset of the descriptor in the sequence.
    pub descriptor_offset: usize,
    /// Owner's name as stored, usually with its terminator.
    pub owner: &'a [u8],
    /// Type of the note.
    pub kind: u32,
    /// The descriptor, without padding.
    pub descriptor: &'a [u8],
}

impl Note<'_> {
    /// Whether the note has this owner (terminator included) and type.
    pub fn is(&self, owner: &[u8], kind: u32) -> bool {
        self.owner == owner && self.kind == kind
    }
}

/// Why a sequence of notes cannot be read further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error {
    /// Offset in bytes of the malformed note.
    pub offset: usize,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the note at offset {:#x} reaches past the end of its segment", self.offset)
    }
}

impl core::error::Error for Error {}

/// The notes of a byte sequence. The iterator ends after the first error. The last note may lack its
/// padding. Zero bytes after it are ignored if they are too few for another [`Header`].
#[derive(Clone, Debug)]
pub struct Notes<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Notes<'a> {
    /// Walks `bytes`, the content of a PT_NOTE segment or of a note section.
    pub fn new(bytes: &'a [u8]) -> Notes<'a> {
        Notes { bytes, at: 0 }
    }

    fn read(&self, at: usize) -> Option<(Note<'a>, usize)> {
        let (header, _) = Header::read_from_prefix(self.bytes.get(at..)?).ok()?;
        let place = header.place(at as u64)?;
        let slice = |range: Range<u64>| {
            let start = usize::try_from(range.start).ok()?;
            self.bytes.get(start..usize::try_from(range.end).ok()?)
        };
        let note = Note {
            offset: at,
            descriptor_offset: usize::try_from(place.descriptor.start).ok()?,
            owner: slice(place.owner)?,
            kind: header.kind.get(),
            descriptor: slice(place.descriptor)?,
        };
        Some((note, usize::try_from(place.next).ok()?))
    }
}

impl<'a> Iterator for Notes<'a> {
    type Item = Result<Note<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let at = self.at;
        let rest = self.bytes.get(at..)?;
        if rest.len() < Header::SIZE && rest.iter().all(|byte| *byte == 0) {
            self.at = usize::MAX;
            return None;
        }
        let item = self.read(at);
        self.at = item.map_or(usize::MAX, |(_, next)| next);
        Some(item.map(|(note, _)| note).ok_or(Error { offset: at }))
    }
}

/// Length in bytes of a whole note, its trailing padding included.
pub const fn size(owner: &[u8], descriptor_len: usize) -> usize {
    (Header::SIZE + owner.len()).next_multiple_of(ALIGN as usize)
        + descriptor_len.next_multiple_of(ALIGN as usize)
}

/// Writes the header, owner and padding of a note into `out` and returns the slice for its
/// descriptor; `None` if `out` is not exactly [`size`] long.
pub fn frame<'o>(
    out: &'o mut [u8],
    owner: &[u8],
    kind: u32,
    descriptor_len: usize,
) -> Option<&'o mut [u8]> {
    if out.len() != size(owner, descriptor_len) {
        return None;
    }
    let header = Header::new(owner, kind, u32::try_from(descriptor_len).ok()?);
    out.fill(0);
    let (head, rest) = out.split_at_mut_checked(Header::SIZE)?;
    head.copy_from_slice(header.as_bytes());
    rest.get_mut(..owner.len())?.copy_from_slice(owner);
    let start = (Header::SIZE + owner.len()).next_multiple_of(ALIGN as usize) - Header::SIZE;
    rest.get_mut(start..start + descriptor_len)
}
