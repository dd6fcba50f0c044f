//! Content, signatures and keys → a proof, in one pass over the content.

use solo5_image::{ReadAt, ReadError};

use crate::digest::{Digest, Hasher};
use crate::minisign::{PublicKey, Signature};

/// Largest image in bytes that callers ask a proof of. They hold a copy of the image in memory; this
/// limits its size.
pub const IMAGE_MAX: u64 = 256 * 1024 * 1024;

/// Bytes per read.
const STEP: usize = 64 * 1024;
/// Error for a file that became shorter while it was read: `EIO`.
const SHORT: ReadError = ReadError(5);

/// Proven facts about an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The digest of its content.
    pub digest: Digest,
    /// The given keys that signed it, in the order given.
    pub signed_by: Vec<PublicKey>,
    /// Why the signatures beside it could not be read; the caller that reads them sets it.
    pub unread: Option<String>,
}

/// The signatures of an image.
#[derive(Clone, Copy, Debug, Default)]
pub struct Signatures<'s> {
    /// Signatures in the image's trailer, over its content.
    pub attached: &'s [Signature],
    /// Signatures in a file beside the image: over its content, or over the whole file with its
    /// trailer, because `minisign` does not know trailers.
    pub detached: &'s [Signature],
    /// The trailer: the bytes after the content in the file.
    pub note: &'s [u8],
}

/// Hashes the first `content` bytes of `reader` and verifies the signatures made with `keys`.
///
/// # Errors
///
/// The host's error; `EIO` if there are fewer bytes.
pub fn prove<R: ReadAt + ?Sized>(
    reader: &R,
    content: u64,
    signatures: Signatures<'_>,
    keys: &[PublicKey],
) -> Result<Proof, ReadError> {
    let Signatures { attached, detached, note } = signatures;
    let of_file = if note.is_empty() { &[][..] } else { detached };
    let of_content = attached.iter().chain(detached).map(|one| (one, false));
    let all = || of_content.clone().chain(of_file.iter().map(|one| (one, true)));
    // A signature names its key, so there are about as many verifiers as signatures.
    let mut verifiers: Vec<_> = keys
        .iter()
        .enumerate()
        .flat_map(|(index, key)| {
            let verifiers = all().filter_map(|(one, whole)| Some((one.verifier(key)?, whole)));
            verifiers.map(move |(verifier, whole)| (index, verifier, whole))
        })
        .collect();
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; STEP];
    let mut at = 0;
    while at < content {
        let want = usize::try_from(content - at).unwrap_or(STEP).min(STEP);
        let chunk = buffer.get_mut(..want).ok_or(SHORT)?;
        if reader.read_at(at, chunk)? < want {
            return Err(SHORT);
        }
        hasher.update(chunk);
        for (_, verifier, _) in &mut verifiers {
            verifier.update(chunk);
        }
        at += want as u64;
    }
    let proven: Vec<usize> = verifiers
        .into_iter()
        .filter_map(|(index, mut verifier, whole)| {
            if whole {
                verifier.update(note);
            }
            verifier.finalize().is_ok().then_some(index)
        })
        .collect();
    let signed_by = keys.iter().enumerate();
    let signed_by = signed_by.filter(|(index, _)| proven.contains(index));
    Ok(Proof {
        digest: hasher.finish(),
        signed_by: signed_by.map(|(_, key)| key.clone()).collect(),
        unread: None,
    })
}

impl<'s> From<&'s [Signature]> for Signatures<'s> {
    /// Attached signatures only.
    fn from(attached: &'s [Signature]) -> Signatures<'s> {
        Signatures { attached, ..Signatures::default() }
    }
}
