//! Every note of every PT_NOTE, and the Solo5 notes among them (`docs/reference/notes.md#reading`).
//!
//! Of several ABI or manifest notes the first one counts, as with upstream; a second MFT2 is refused.
//! An empty PT_NOTE counts as absent, because stub binaries have one. A PT_NOTE may claim more bytes
//! than the file has if the file contains its notes; then any bytes may follow these notes.

use std::ops::Range;

use solo5_abi::abi1::Abi1;
use solo5_abi::mft1::{self, Mft1};
use solo5_abi::mft2::{self, Mft2};
use solo5_abi::note;
use zerocopy::FromBytes;

use crate::elf::{PT_NOTE, ProgramHeader};
use crate::error::ImageError;
use crate::read::{ReadAt, ReadError, read_vec};

/// Most notes of one image.
pub const NOTES_MAX: usize = 4096;

/// Bytes up to the descriptor of a Solo5 note: header, owner, padding.
const SOLO5_HEAD: usize = note::size(note::OWNER_SOLO5, 0);
/// Most bytes kept of an owner, terminator included. No known owner is longer.
const OWNER_KEPT: usize = 8;

/// A note and its position. Offsets are in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Index of its PT_NOTE in the program header table.
    pub phdr: usize,
    /// Offset of its header in bytes.
    pub offset: u64,
    /// Type of the note.
    pub kind: u32,
    /// Where the descriptor is; it may reach past the end of the file.
    pub descriptor: Range<u64>,
    owner: [u8; OWNER_KEPT],
    owner_len: u32,
}

impl Note {
    /// Whether it has this owner (terminator included) and type.
    pub fn is(&self, owner: &[u8], kind: u32) -> bool {
        self.kind == kind
            && self.owner_len as usize == owner.len()
            && self.owner.get(..owner.len()) == Some(owner)
    }

    /// The owner without its terminator, truncated to 8 bytes.
    pub fn owner(&self) -> &[u8] {
        let end = (self.owner_len as usize).min(OWNER_KEPT);
        let owner = self.owner.get(..end).unwrap_or_default();
        owner.strip_suffix(b"\0").unwrap_or(owner)
    }

    /// Length of the descriptor in bytes.
    pub fn size(&self) -> u64 {
        self.descriptor.end - self.descriptor.start
    }

    /// Reads at most `limit` bytes of the descriptor, or as many as the file holds.
    pub fn read<R: ReadAt + ?Sized>(&self, reader: &R, limit: usize) -> Result<Vec<u8>, ReadError> {
        let length = usize::try_from(self.size()).unwrap_or(limit).min(limit);
        read_vec(reader, self.descriptor.start, length)
    }
}

/// A descriptor that was read, with its position.
#[derive(Clone, Debug)]
struct Found<T> {
    phdr: usize,
    offset: u64,
    value: T,
}

type Slot<T> = Option<Result<Found<T>, ImageError>>;

/// The notes of an image.
#[derive(Clone, Debug, Default)]
pub struct Notes {
    all: Vec<Note>,
    /// Number of headers read, those of padding included. It bounds the work for a hostile file.
    seen: usize,
    abi: Slot<Abi1>,
    manifest: Slot<Vec<u8>>,
    properties: Slot<Vec<u8>>,
    faults: Vec<ImageError>,
    /// The error that ended the walk early; notes after it are unknown.
    stop: Option<ImageError>,
}

impl Notes {
    pub(crate) fn read<R: ReadAt + ?Sized>(reader: &R, segments: &[ProgramHeader]) -> Notes {
        let mut notes = Notes::default();
        let headers = segments.iter().enumerate();
        for (phdr, segment) in headers.filter(|(_, segment)| segment.p_type == PT_NOTE) {
            if let Err(fault) = notes.walk(reader, phdr, segment) {
                notes.faults.push(fault);
                notes.stop = Some(fault);
                break;
            }
        }
        notes
    }

    fn walk<R: ReadAt + ?Sized>(
        &mut self,
        reader: &R,
        phdr: usize,
        segment: &ProgramHeader,
    ) -> Result<(), ImageError> {
        let size = segment.p_filesz;
        if size == 0 {
            return Ok(());
        }
        if size < note::Header::SIZE as u64 {
            return Err(ImageError::NoteSegmentShort { phdr, size });
        }
        let mut at = 0;
        while let Some(have) = size.checked_sub(at)
            // Fewer bytes cannot be a Solo5 note, only a foreign note or padding.
            && have >= SOLO5_HEAD as u64
        {
            let Some(offset) = segment.p_offset.checked_add(at) else {
                let error = ReadError(75 /* EOVERFLOW */);
                let offset = segment.p_offset;
                return Err(ImageError::NoteRead { phdr, offset, error });
            };
            let mut head = [0; SOLO5_HEAD];
            let got = reader.read_at(offset, &mut head).map_err(|error| ImageError::NoteRead {
                phdr,
                offset,
                error,
            })?;
            if got < head.len() {
                if at > 0 {
                    break;
                }
                let want = head.len();
                return Err(ImageError::NoteShort { phdr, offset, got, want });
            }
            if self.seen == NOTES_MAX {
                if reaches_past_end(reader, segment) {
                    break;
                }
                return Err(ImageError::NotesMany { phdr, offset, most: NOTES_MAX });
            }
            self.seen += 1;
            if head.iter().take(note::Header::SIZE).all(|byte| *byte == 0) {
                // A note with an empty owner and an empty descriptor is linker padding; skip it.
                at += note::Header::SIZE as u64;
                continue;
            }
            let Ok((header, name)) = note::Header::read_from_prefix(&head) else {
                break;
            };
            let place = header.place(0);
            let end = place.as_ref().map_or(u64::MAX, |place| place.descriptor.end);
            let file_range = place.as_ref().and_then(|place| {
                let start = offset.checked_add(place.descriptor.start)?;
                Some(start..offset.checked_add(place.descriptor.end)?)
            });
            let mut owner = [0; OWNER_KEPT];
            let kept = (header.namesz.get() as usize).min(OWNER_KEPT);
            owner[..kept].copy_from_slice(&name[..kept]);
            let found = Note {
                phdr,
                offset,
                kind: header.kind.get(),
                descriptor: file_range.unwrap_or(offset..offset),
                owner,
                owner_len: header.namesz.get(),
            };
            let known = self.take(reader, &found, header.descsz.get(), have);
            if end > have {
                let need = end;
                let fault = ImageError::NoteReach { phdr, offset, have, need };
                // `take` has recorded the error of a Solo5 note. After a foreign note in a segment
                // that reaches past the end of the file, any bytes may follow.
                if !known && !reaches_past_end(reader, segment) {
                    return Err(fault);
                }
                break;
            }
            self.all.push(found);
            match place {
                Some(place) => at += place.next,
                None => break,
            }
        }
        Ok(())
    }

    /// Keeps a Solo5 note: the first ABI1, the first MFT1, and MFT2, of which a second one is an error.
    /// Returns whether the note is any of these three types. `have` is the number of bytes left in the
    /// PT_NOTE.
    fn take<R: ReadAt + ?Sized>(&mut self, reader: &R, note: &Note, size: u32, have: u64) -> bool {
        let is = |kind| note.is(note::OWNER_SOLO5, kind);
        let (phdr, offset) = (note.phdr, note.descriptor.start);
        let descriptor = |least: usize, most: usize| {
            let (least, most) = (least as u32, most as u32);
            let offset = note.offset;
            if size < least || size > most {
                return Err(ImageError::NoteSize { phdr, offset, size, least, most });
            }
            let need = SOLO5_HEAD as u64 + u64::from(size);
            if have < need {
                return Err(ImageError::NoteReach { phdr, offset, have, need });
            }
            let want = size as usize;
            let bytes = note.read(reader, want).map_err(|error| ImageError::NoteRead {
                phdr,
                offset,
                error,
            })?;
            if bytes.len() < want {
                let got = bytes.len();
                return Err(ImageError::NoteShort { phdr, offset, got, want });
            }
            Ok(bytes)
        };
        let found = |value| Found { phdr, offset, value };
        let fault = if is(note::TYPE_ABI1) {
            if self.abi.is_some() {
                return true;
            }
            let abi = descriptor(Abi1::SIZE, Abi1::SIZE_MAX)
                .map(|bytes| Abi1::parse(&bytes).map(|abi| Found { phdr, offset, value: abi }));
            self.abi = abi.transpose();
            self.abi.as_ref().and_then(|slot| slot.as_ref().err())
        } else if is(note::TYPE_MFT1) {
            if self.manifest.is_some() {
                return true;
            }
            self.manifest = Some(descriptor(mft1::PADDING + 1, mft1::DESCRIPTOR_MAX).map(found));
            self.manifest.as_ref().and_then(|slot| slot.as_ref().err())
        } else if is(note::TYPE_MFT2) {
            self.properties = Some(if self.properties.is_some() {
                let offset = note.offset;
                Err(ImageError::SecondProperties { phdr, offset })
            } else {
                descriptor(mft2::HEADER_SIZE, mft2::DESCRIPTOR_MAX).map(found)
            });
            self.properties.as_ref().and_then(|slot| slot.as_ref().err())
        } else {
            return false;
        };
        if let Some(fault) = fault {
            self.faults.push(*fault);
        }
        true
    }

    /// Every note, in the order of the program headers. The list ends at an error in the frame of a
    /// note, because the next note cannot be found.
    pub fn all(&self) -> &[Note] {
        &self.all
    }

    /// The errors in frames and lengths, in order. The accessors check the contents.
    pub fn faults(&self) -> &[ImageError] {
        &self.faults
    }

    fn missing(&self, fault: ImageError) -> ImageError {
        self.stop.unwrap_or(fault)
    }

    pub(crate) fn abi(&self) -> Result<Abi1, ImageError> {
        match &self.abi {
            Some(Ok(found)) => Ok(found.value),
            Some(Err(fault)) => Err(*fault),
            None => Err(self.missing(ImageError::NoAbi)),
        }
    }

    pub(crate) fn manifest(&self) -> Result<Mft1<'_>, ImageError> {
        match &self.manifest {
            Some(Ok(found)) => {
                Mft1::parse(&found.value).map_err(|fault| manifest_fault(found, fault))
            }
            Some(Err(fault)) => Err(*fault),
            None => Err(self.missing(ImageError::NoManifest)),
        }
    }

    pub(crate) fn check_manifest(&self, manifest: &Mft1<'_>) -> Result<(), ImageError> {
        match (manifest.check(), &self.manifest) {
            (Err(fault), Some(Ok(found))) => Err(manifest_fault(found, fault)),
            _ => Ok(()),
        }
    }

    pub(crate) fn has_properties(&self) -> bool {
        matches!(self.properties, Some(Ok(_)))
    }

    pub(crate) fn properties(&self) -> Result<Option<Mft2<'_>>, ImageError> {
        if let Some(fault) = self.faults.first() {
            return Err(*fault);
        }
        let Some(Ok(found)) = &self.properties else {
            return Ok(None);
        };
        let properties = Mft2::parse(&found.value, &self.manifest()?);
        properties.map(Some).map_err(|fault| ImageError::Properties {
            phdr: found.phdr,
            offset: found.offset,
            fault,
        })
    }
}

fn manifest_fault(found: &Found<Vec<u8>>, fault: mft1::Error) -> ImageError {
    ImageError::Manifest { phdr: found.phdr, offset: found.offset, fault }
}

fn reaches_past_end<R: ReadAt + ?Sized>(reader: &R, segment: &ProgramHeader) -> bool {
    match segment.p_offset.checked_add(segment.p_filesz - 1) {
        Some(last) => !matches!(reader.read_at(last, &mut [0]), Ok(1)),
        None => true,
    }
}
