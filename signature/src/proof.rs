//! Content, signatures and keys → what is proven, in one pass over the content.

use solo5_image::{ReadAt, ReadError};

use crate::digest::{Digest, Hasher};
use crate::minisign::{PublicKey, Signature};

/// Largest image that anything is proven of, in bytes: whoever relies on a proof holds a copy in
/// memory.
pub const IMAGE_MAX: u64 = 256 * 1024 * 1024;

/// Bytes read at once.
const STEP: usize = 64 * 1024;
/// What a file that became shorter while it was read is reported as: `EIO`.
const SHORT: ReadError = ReadError(5);

/// What is proven of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The digest of its content.
    pub digest: Digest,
    /// Those of the keys asked about that signed it, in the order asked.
    pub signed_by: Vec<PublicKey>,
}

/// The signatures of an image.
#[derive(Clone, Copy, Debug, Default)]
pub struct Signatures<'s> {
    /// Those of its content.
    pub attached: &'s [Signature],
    /// Those in a file beside it: of its content, or of the file as it is, which is what `minisign`
    /// knows.
    pub detached: &'s [Signature],
    /// What stands behind the content in the file.
    pub note: &'s [u8],
}

/// Hashes the first `content` bytes of `reader` and compares them with what each of `keys` signed.
///
/// # Errors
///
/// The host's, also if there are fewer bytes than that.
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
    // A signature names the key it is for, so these are about as many as signatures.
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
    })
}

impl<'s> From<&'s [Signature]> for Signatures<'s> {
    /// Signatures of the content alone.
    fn from(attached: &'s [Signature]) -> Signatures<'s> {
        Signatures { attached, ..Signatures::default() }
    }
}
