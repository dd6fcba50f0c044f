//! Making signatures: secret keys in `minisign`'s format, with or without a password.

use std::fmt;
use std::io::Read;

use ct_codecs::{Base64, Decoder};
use minisign::{KeyPair, PError, SecretKeyBox};

use crate::minisign::{COMMENT_MAX, PublicKey, Signature, TRUSTED_COMMENT};

/// Why signing failed.
#[derive(Debug)]
pub enum SignError {
    /// The text is not a secret key.
    Key(PError),
    /// The key is locked, and no password was given.
    Locked,
    /// The content could not be read, or the system has no random numbers.
    Sign(PError),
    /// The comment is too long, or has control characters.
    Comment,
}

impl fmt::Display for SignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SignError::Key(error) => write!(f, "no usable secret key: {error}"),
            SignError::Locked => f.write_str("the secret key is locked with a password"),
            SignError::Sign(error) => write!(f, "{error}"),
            SignError::Comment => {
                write!(f, "a comment is at most {COMMENT_MAX} bytes, without control characters")
            }
        }
    }
}

impl std::error::Error for SignError {}

/// A secret key.
#[derive(Debug)]
pub struct SecretKey(minisign::SecretKey);

impl SecretKey {
    /// Reads a key file. `password` unlocks one that is locked.
    pub fn parse(text: &str, password: Option<&str>) -> Result<SecretKey, SignError> {
        let read = || SecretKeyBox::from_string(text);
        let open = read().and_then(SecretKeyBox::into_unencrypted_secret_key);
        let locked = |error: PError| match password {
            // Without a password the library would ask for one on the terminal.
            None if looks_locked(text) => Err(SignError::Locked),
            None => without_checksum(text).ok_or(SignError::Key(error)),
            Some(password) => read()
                .and_then(|found| found.into_secret_key(Some(password.to_owned())))
                .map_err(SignError::Key),
        };
        open.or_else(locked).map(SecretKey)
    }

    /// The public key that belongs to it.
    pub fn public(&self) -> Result<PublicKey, SignError> {
        let public = minisign::PublicKey::from_secret_key(&self.0).map_err(SignError::Key)?;
        let text = public.to_base64();
        PublicKey::parse(&text).ok_or_else(|| {
            SignError::Key(PError::new(minisign::ErrorKind::Misc, "its public key is not valid"))
        })
    }

    /// Signs all of `content` together with `comment`.
    pub fn sign(&self, content: impl Read, comment: &str) -> Result<Signature, SignError> {
        if comment.len() > COMMENT_MAX {
            return Err(SignError::Comment);
        }
        let made = minisign::sign(None, &self.0, content, Some(comment), None);
        let text = made.map_err(SignError::Sign)?.into_string();
        let signature = Signature::parse(&text).map_err(|_| SignError::Comment)?;
        // The signature that was parsed must be the one that was made.
        debug_assert!(text.contains(TRUSTED_COMMENT));
        Ok(signature)
    }
}

/// Whether the key is locked with a password: its key derivation algorithm, the third and fourth byte
/// of the second line, is `Sc` (scrypt).
fn looks_locked(text: &str) -> bool {
    let key = text.lines().nth(1).unwrap_or_default();
    key.starts_with("RWRTY")
}

/// Reads a key without a password as `minisign -W` writes it. Its checksum is zero, and the library
/// refuses that as damaged.
fn without_checksum(text: &str) -> Option<minisign::SecretKey> {
    const CHECKSUM: usize = 32;
    let bytes = Base64::decode_to_vec(text.lines().nth(1)?, None).ok()?;
    let checksum = bytes.last_chunk::<CHECKSUM>()?;
    let absent = checksum.iter().all(|byte| *byte == 0);
    absent.then(|| minisign::SecretKey::from_bytes(&bytes).ok())?
}

/// Makes a new key pair: the text of a secret key without a password, and of its public key.
pub fn generate() -> Result<(String, String), SignError> {
    let pair = KeyPair::generate_unencrypted_keypair().map_err(SignError::Sign)?;
    let secret = pair.sk.to_box(None).map_err(SignError::Sign)?.into_string();
    let public = pair.pk.to_box().map_err(SignError::Sign)?.into_string();
    Ok((secret, public))
}
