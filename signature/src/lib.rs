//! Proofs about an image: its digest, and who signed it.
//!
//! | phase | file | from → to |
//! |---|---|---|
//! | 1 | [`trailer`] | file → its content, and the signatures behind it |
//! | 2 | [`minisign`] | text → [`PublicKey`], [`Signature`]; the one place that knows the verifier |
//! | 3 | [`proof`] | content, signatures, keys → [`Proof`], in one pass |
//!
//! Beside them, behind the feature `sign`: `signer` (secret keys; making a signature).
//!
//! What is hashed and signed is the *content*: the file without the trailer, which is the file as
//! the linker wrote it. So signing changes no digest, removing the trailer gives back the file that
//! was signed, and the same signature may be in the image or in a file beside it.
//!
//! Adversary: hostile images and signatures of any bytes. A signature counts for nothing but the
//! key that was asked about; whoever relies on a proof must read the content alone, from a copy
//! that nobody can change any more.

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
