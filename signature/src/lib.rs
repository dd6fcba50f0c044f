//! Proofs about an image: its digest, and the keys that signed it.
//!
//! | phase | file | from → to |
//! |---|---|---|
//! | 1 | [`trailer`] | file → its content, and the signatures appended to it |
//! | 2 | [`minisign`] | text → [`PublicKey`], [`Signature`]; the only file that uses the verifier |
//! | 3 | [`proof`] | content, signatures, keys → [`Proof`], in one pass |
//!
//! The feature `sign` adds `signer`: secret keys, and making a signature.
//!
//! The *content* is hashed and signed: the file without the trailer, as the linker wrote it. So
//! signing does not change the digest, removing the trailer restores the file that was signed, and a
//! signature may be in the image or in a file beside it.
//!
//! Adversary: hostile images and signatures of any bytes. A signature proves something only about a
//! key that the caller names. A caller that relies on a proof must use only the content, from a copy
//! that can no longer change.

#![forbid(unsafe_code)]

pub mod digest;
pub mod minisign;
pub mod proof;
#[cfg(feature = "sign")]
pub mod signer;
pub mod trailer;

pub use digest::Digest;
pub use minisign::{PublicKey, Signature, SignatureError};
pub use proof::{Proof, Signatures, prove};
pub use trailer::{Trailer, locate};
