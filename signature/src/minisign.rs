//! Keys and signatures in the formats of `minisign`: Ed25519 over the BLAKE2b-512 of the content.
//!
//! Only prehashed signatures, `minisign`'s default since release 0.10, are accepted. The older kind
//! signs the content itself, so verifying one needs the whole content in memory.

use std::fmt;
use std::hash::{Hash, Hasher};

/// First line of every signature in a trailer. The line is not signed, so it is always the same.
pub const UNTRUSTED_COMMENT: &str = "untrusted comment: signature of a Solo5 image";
/// Prefix of a signature's third line.
pub const TRUSTED_COMMENT: &str = "trusted comment: ";
/// Longest trusted comment in bytes.
pub const COMMENT_MAX: usize = 1024;
/// Most signatures of one image.
pub const SIGNATURES_MAX: usize = 8;
/// Most bytes of all signatures of one image.
pub const TEXT_MAX: usize = SIGNATURES_MAX * 2048;

/// Length in characters of a public key.
const KEY_LENGTH: usize = 56;
/// Lengths in characters of a signature's second line (over the content) and fourth line (over the
/// second line's signature and the trusted comment).
const SIGNATURE_LENGTHS: [usize; 2] = [100, 88];

/// A public key: 56 characters, the second line of a file like `minisign.pub`.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    text: String,
    key: minisign_verify::PublicKey,
}

impl Hash for PublicKey {
    /// A key has one text form.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl PublicKey {
    /// Reads the characters of a key.
    pub fn parse(text: &str) -> Option<PublicKey> {
        // The verifier also accepts a second algorithm mark, which no program writes. A key must
        // have only one text form.
        if text.len() != KEY_LENGTH || !text.starts_with("RW") {
            return None;
        }
        let key = minisign_verify::PublicKey::from_base64(text).ok()?;
        let text = text.to_owned();
        Some(PublicKey { text, key })
    }

    /// Reads a key file: a comment line and the key's line, or only the key.
    pub fn parse_file(text: &str) -> Option<PublicKey> {
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let (first, second) = (lines.next()?, lines.next());
        match second {
            None => PublicKey::parse(first),
            Some(key) if lines.next().is_none() => PublicKey::parse(key),
            Some(_) => None,
        }
    }

    /// The key's 56 characters.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The first characters, enough for people to tell keys apart.
    pub fn short(&self) -> &str {
        // Keys are ASCII.
        self.text.get(..16).unwrap_or(&self.text)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A signature that was read but not yet verified.
#[derive(Clone)]
pub struct Signature {
    /// Lines two to four: the signature, its trusted comment, the signature of both.
    lines: [String; 3],
    signature: minisign_verify::Signature,
}

/// Why a text cannot serve as a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureError {
    /// It does not have the four lines of a signature.
    Lines,
    /// Its comment is too long, or has control characters.
    Comment,
    /// It signs the content itself instead of a hash.
    Older,
}

impl fmt::Display for SignatureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SignatureError::Lines => f.write_str("it does not have the four lines of a signature"),
            SignatureError::Comment => {
                write!(
                    f,
                    "its comment is longer than {COMMENT_MAX} bytes or has control characters"
                )
            }
            SignatureError::Older => {
                f.write_str("it is of minisign's older kind; sign again with minisign -S -H")
            }
        }
    }
}

impl std::error::Error for SignatureError {}

impl Signature {
    /// Reads the four lines of a signature. The first line is not signed, and is dropped.
    pub fn parse(text: &str) -> Result<Signature, SignatureError> {
        let mut lines = text.lines();
        let mut next = || lines.next().ok_or(SignatureError::Lines);
        if !next()?.starts_with("untrusted comment:") {
            return Err(SignatureError::Lines);
        }
        let lines_read = [next()?, next()?, next()?].map(str::to_owned);
        let [one, comment, two] = &lines_read;
        if lines.next().is_some() || [one.len(), two.len()] != SIGNATURE_LENGTHS {
            return Err(SignatureError::Lines);
        }
        let plain = |c: char| !c.is_control() || c == '\t';
        if comment.len() > TRUSTED_COMMENT.len() + COMMENT_MAX || !comment.chars().all(plain) {
            return Err(SignatureError::Comment);
        }
        let signature = minisign_verify::Signature::decode(&shown(&lines_read));
        let signature = signature.map_err(|_| SignatureError::Lines)?;
        Ok(Signature { lines: lines_read, signature })
    }

    /// Reads any number of signatures, one after the other, and keeps at most [`SIGNATURES_MAX`]. The
    /// second value holds an error for each group of four lines that is not a signature.
    pub fn parse_all(text: &str) -> (Vec<Signature>, Vec<SignatureError>) {
        let lines: Vec<&str> = text.lines().collect();
        let (mut signatures, mut errors) = (Vec::new(), Vec::new());
        for block in lines.chunks(4) {
            match Signature::parse(&block.join("\n")) {
                Ok(signature) if signatures.len() < SIGNATURES_MAX => signatures.push(signature),
                Ok(_) => {}
                Err(error) => errors.push(error),
            }
        }
        (signatures, errors)
    }

    /// Why this signature can prove nothing although its form is right; `None` if it can.
    pub fn error(&self) -> Option<SignatureError> {
        let [one, ..] = &self.lines;
        // The mark of the algorithm: `Ed` signs the content, `ED` its hash.
        one.starts_with("RW").then_some(SignatureError::Older)
    }

    /// Whether it claims to be made with `key`. Only verifying the content shows whether it was.
    pub fn names(&self, key: &PublicKey) -> bool {
        self.verifier(key).is_some()
    }

    /// The signed comment, such as the name of the file.
    pub fn trusted_comment(&self) -> &str {
        let [_, comment, _] = &self.lines;
        comment.strip_prefix(TRUSTED_COMMENT).unwrap_or(comment)
    }

    /// A verifier that takes the content piece by piece; `None` if the signature does not claim to be
    /// made with `key`.
    pub(crate) fn verifier<'a>(
        &'a self,
        key: &'a PublicKey,
    ) -> Option<minisign_verify::StreamVerifier<'a>> {
        key.key.verify_stream(&self.signature).ok()
    }
}

/// The four lines of a signature, the first being [`UNTRUSTED_COMMENT`].
fn shown([one, comment, two]: &[String; 3]) -> String {
    format!("{UNTRUSTED_COMMENT}\n{one}\n{comment}\n{two}\n")
}

impl fmt::Display for Signature {
    /// The four lines of a signature file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.lines))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({:?})", self.trusted_comment())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";

    #[test]
    fn a_key_has_one_text_form() {
        let key = PublicKey::parse(KEY).unwrap();
        assert_eq!(key.as_str(), KEY);
        assert_eq!(key.short(), "RWQf6LRCGA9i53ml");
        let file = format!("untrusted comment: minisign public key\n{KEY}\n");
        assert_eq!(PublicKey::parse_file(&file), Some(key.clone()));
        assert_eq!(PublicKey::parse_file(KEY), Some(key));
        let other_mark = KEY.replacen("RWQ", "RUQ", 1);
        let damaged = KEY.replacen('Q', "-", 1);
        for text in ["", &KEY[1..], &other_mark, &damaged, &format!("{KEY} ")] {
            assert_eq!(PublicKey::parse(text), None, "{text}");
        }
        assert_eq!(PublicKey::parse_file(&format!("{file}{KEY}\n")), None);
        assert_eq!(PublicKey::parse_file(""), None);
    }
}
