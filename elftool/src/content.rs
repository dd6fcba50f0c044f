//! An image in memory, split into the content that is hashed and signed, and its signatures.

use std::ffi::OsString;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use solo5_signature::minisign::TEXT_MAX;
use solo5_signature::proof::IMAGE_MAX;
use solo5_signature::{
    Proof, PublicKey, Signature, SignatureError, Signatures, locate, prove, trailer,
};

use crate::files::{open, readable, reason};

/// Bytes that a trailer of signatures may add to an image.
const TRAILER_ROOM: usize = TEXT_MAX + 64;

/// The content of an image and the signatures appended to it.
pub(crate) struct Content {
    /// The bytes that are hashed and signed.
    pub(crate) bytes: Vec<u8>,
    /// The signatures appended to the content.
    pub(crate) signatures: Vec<Signature>,
    /// The bytes of the file after the content.
    pub(crate) note: Vec<u8>,
}

impl Content {
    /// Reads the image at `path`.
    pub(crate) fn open(path: &Path) -> Result<Content, String> {
        let (file, _) = readable(path)?;
        Content::read(&file)
    }

    /// Reads all of `file`, within the size limit of tenders. The size is read first, so that memory is
    /// allocated once.
    pub(crate) fn read(file: &File) -> Result<Content, String> {
        let size = bounded(file)?;
        // Room for the trailer, if the image gets signed.
        let room = usize::try_from(size).unwrap_or(usize::MAX).saturating_add(TRAILER_ROOM);
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(room).map_err(|_| String::from("does not fit into memory"))?;
        file.take(size).read_to_end(&mut bytes).map_err(|error| reason(&error))?;
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let found = locate(&bytes, size).map_err(|error| error.to_string())?;
        let (mut signatures, mut note) = (Vec::new(), Vec::new());
        if let Some(trailer) = found {
            bytes.truncate(usize::try_from(trailer.content).unwrap_or(usize::MAX));
            (signatures, note) = (trailer.signatures, trailer.note);
        }
        Ok(Content { bytes, signatures, note })
    }

    /// The proof for `keys`, from appended signatures and from detached ones beside `path`.
    pub(crate) fn prove(&self, path: &Path, keys: &[PublicKey]) -> Result<Proof, String> {
        let (detached, unread) = match keys.is_empty() {
            true => (Vec::new(), None),
            false => {
                detached(path).map_or_else(|why| (Vec::new(), Some(why)), |found| (found.0, None))
            }
        };
        let size = u64::try_from(self.bytes.len()).unwrap_or(u64::MAX);
        let signatures =
            Signatures { attached: &self.signatures, detached: &detached, note: &self.note };
        let proof = prove(&self.bytes, size, signatures, keys);
        let proof = proof.map_err(|error| error.to_string())?;
        Ok(Proof { unread, ..proof })
    }
}

/// The size of an image, if it is within the limit up to which tenders verify images.
pub(crate) fn bounded(file: &File) -> Result<u64, String> {
    let metadata = file.metadata().map_err(|error| reason(&error))?;
    if !metadata.is_file() {
        return Err(String::from("is not a regular file"));
    }
    if metadata.len() > IMAGE_MAX {
        let mib = IMAGE_MAX >> 20;
        return Err(format!("is larger than {mib} MiB, so no tender proves it"));
    }
    Ok(metadata.len())
}

/// The path of the detached signature of the image at `path`.
pub(crate) fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".minisig");
    PathBuf::from(name)
}

/// The signatures in the file beside the image at `path`, and the errors of those that are
/// unusable. Both are empty if there is no such file.
///
/// # Errors
///
/// Why the file cannot be read.
pub(crate) fn detached(path: &Path) -> Result<(Vec<Signature>, Vec<SignatureError>), String> {
    match open(&beside(path)) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok((Vec::new(), Vec::new())),
        opened => opened.and_then(trailer::read_detached).map_err(|error| reason(&error)),
    }
}
