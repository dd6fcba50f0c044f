//! The trailer: a note with the signatures, after the last byte of the image.
//!
//! The note is framed like every note (owner `Solo5`, type [`KIND`]) but belongs to no segment. So a
//! loader never sees it, and the image needs no room for it. Its descriptor is the text of the
//! signatures, zeros up to a multiple of 4, the text's length as `u32`, and the type once more. The
//! last two let a reader find the note from the end of the file. A file that does not end in exactly
//! such a note has no attached signatures, and all of it is content.

use std::fs::File;
use std::io::{self, Read};

use solo5_abi::note;
use solo5_image::{ReadAt, ReadError};

use crate::minisign::{SIGNATURES_MAX, Signature, SignatureError, TEXT_MAX};

/// Type of the note: `SIG1` in memory.
pub const KIND: u32 = note::TYPE_SIG1;

/// Size in bytes of what follows the text and its padding: the text's length, and the type.
const FOOT: usize = 8;

/// The signatures appended to an image.
#[derive(Clone, Debug)]
pub struct Trailer {
    /// Length of the content in bytes; the note starts here.
    pub content: u64,
    /// The signatures; at least one.
    pub signatures: Vec<Signature>,
    /// The note itself.
    pub note: Vec<u8>,
}

/// Finds the note at the end of a file of `size` bytes.
///
/// # Errors
///
/// The host's error if the file cannot be read.
pub fn locate<R: ReadAt + ?Sized>(reader: &R, size: u64) -> Result<Option<Trailer>, ReadError> {
    let Some(length) = foot(reader, size)?.filter(|length| *length <= TEXT_MAX) else {
        return Ok(None);
    };
    let whole = note_size(length);
    let Some(content) = size.checked_sub(whole as u64) else {
        return Ok(None);
    };
    let mut found = vec![0; whole];
    if reader.read_at(content, &mut found)? < found.len() {
        return Ok(None);
    }
    let signatures = read(&found, length);
    Ok(signatures.map(|signatures| Trailer { content, signatures, note: found }))
}

/// Whether a file of `size` bytes ends in the note's type. If [`locate`] nevertheless finds no note,
/// the trailer is damaged and counts as content.
///
/// # Errors
///
/// The host's error if the file cannot be read.
pub fn looks_signed<R: ReadAt + ?Sized>(reader: &R, size: u64) -> Result<bool, ReadError> {
    Ok(foot(reader, size)?.is_some())
}

/// Bytes at the end of a file that [`is_misplaced`] searches.
const SEARCHED: u64 = 1 << 20;

/// Whether a note's header is near the end of a file of `size` bytes. If it is but [`locate`] finds no
/// note, then bytes follow the note, or its end is missing.
///
/// # Errors
///
/// The host's error if the file cannot be read.
pub fn is_misplaced<R: ReadAt + ?Sized>(reader: &R, size: u64) -> Result<bool, ReadError> {
    let mut end = vec![0; usize::try_from(size.min(SEARCHED)).unwrap_or(0)];
    let got = reader.read_at(size.saturating_sub(SEARCHED), &mut end)?;
    // The type, which ends a note's header, and the owner after it. The length before it varies.
    let mark = [&KIND.to_le_bytes()[..], b"Solo5\0\0\0"].concat();
    Ok(end.get(..got).unwrap_or(&end).windows(mark.len()).any(|bytes| bytes == mark))
}

/// The length of the text; `None` if the file does not end in the note's type.
fn foot<R: ReadAt + ?Sized>(reader: &R, size: u64) -> Result<Option<usize>, ReadError> {
    let Some(foot) = size.checked_sub(FOOT as u64) else {
        return Ok(None);
    };
    let mut end = [0; FOOT];
    if reader.read_at(foot, &mut end)? < end.len() {
        return Ok(None);
    }
    let [l0, l1, l2, l3, kind @ ..] = end;
    let length = usize::try_from(u32::from_le_bytes([l0, l1, l2, l3])).unwrap_or(usize::MAX);
    Ok((u32::from_le_bytes(kind) == KIND).then_some(length))
}

/// The signatures in `found`; `None` unless [`write()`] makes exactly this note of them. A signed
/// image thus has one encoding, and a change to any byte is noticed.
fn read(found: &[u8], length: usize) -> Option<Vec<Signature>> {
    let start = note::size(note::OWNER_SOLO5, 0);
    let text = std::str::from_utf8(found.get(start..start.checked_add(length)?)?).ok()?;
    let (signatures, _) = Signature::parse_all(text);
    (!signatures.is_empty() && write(&signatures)? == found).then_some(signatures)
}

/// The note that holds `signatures`; `None` if there are none or too many.
pub fn write(signatures: &[Signature]) -> Option<Vec<u8>> {
    let text: String = signatures.iter().map(Signature::to_string).collect();
    let size = note_size(text.len());
    if text.is_empty() || text.len() > TEXT_MAX || signatures.len() > SIGNATURES_MAX {
        return None;
    }
    let mut out = vec![0; size];
    let descriptor_len = descriptor_size(text.len());
    let descriptor = note::frame(&mut out, note::OWNER_SOLO5, KIND, descriptor_len)?;
    descriptor.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
    let foot = descriptor.last_chunk_mut::<FOOT>()?;
    let (length, kind) = foot.split_at_mut(4);
    length.copy_from_slice(&u32::try_from(text.len()).ok()?.to_le_bytes());
    kind.copy_from_slice(&KIND.to_le_bytes());
    Some(out)
}

const fn descriptor_size(text: usize) -> usize {
    text.next_multiple_of(note::ALIGN as usize) + FOOT
}

const fn note_size(text: usize) -> usize {
    note::size(note::OWNER_SOLO5, descriptor_size(text))
}

/// Reads the signatures in a file beside the image. The second value is that of
/// [`Signature::parse_all`].
///
/// # Errors
///
/// The host's error if the file cannot be read. Also for a file that is not regular, because a pipe
/// could make the caller wait; for an empty file; and for one longer than [`TEXT_MAX`].
pub fn read_detached(file: File) -> io::Result<(Vec<Signature>, Vec<SignatureError>)> {
    let unusable = |why| io::Error::new(io::ErrorKind::InvalidData, why);
    if !file.metadata()?.is_file() {
        return Err(unusable("is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(TEXT_MAX as u64 + 1).read_to_end(&mut bytes)?;
    match bytes.len() {
        0 => Err(unusable("is empty")),
        length if length > TEXT_MAX => Err(unusable("is too long for signatures")),
        _ => Ok(Signature::parse_all(&String::from_utf8_lossy(&bytes))),
    }
}
