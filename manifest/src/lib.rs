//! The application manifest, which declares what a unikernel needs: from YAML to ELF notes and back.
//!
//! | phase | file | from → to |
//! |---|---|---|
//! | 1–4 | crate `solo5_source` | bytes → tree with spans, and the tree's reader |
//! | 5 | `check` | tree → [`Manifest`], every error of the file collected |
//! | 6 | `encode` | [`Manifest`] → [`Notes`], MFT1 and MFT2 |
//! | 7 | [`object`], [`c`] | notes → relocatable object, C source; raw notes are [`Notes::bytes`] |
//! | 8 | crate `solo5_output` | any of these → a file, complete or not at all |
//! | back | [`decode`], [`yaml`] | notes → [`Manifest`] → YAML |
//!
//! [`model`] is the checked type between the phases, [`codes`] has every diagnostic code of this
//! crate, [`schema`] the JSON Schemas for editors. The program `solo5-mft` is in `src/bin/solo5-mft`;
//! other programs compile a manifest with this library:
//!
//! ```
//! use solo5_abi::Arch;
//!
//! let source = b"type: solo5.manifest\nversion: 1\ndevices: []\n";
//! let checked = solo5_manifest::parse("manifest.yaml", source).unwrap();
//! let object = solo5_manifest::object::write(&checked.manifest.notes(), Arch::X86_64);
//! assert!(object.starts_with(b"\x7fELF"));
//! ```
//!
//! Adversary: any bytes as source, with the bounds of `solo5_source`, and any bytes as notes, with
//! those of `solo5_abi`. Only checked device names go into generated C.

#![forbid(unsafe_code)]

pub mod c;
mod check;
pub mod codes;
pub mod decode;
mod encode;
pub mod model;
pub mod object;
mod place;
pub mod schema;
pub mod yaml;

pub use encode::{Notes, package_note};
pub use model::{Device, Manifest, Package, Properties, Version};

use solo5_report::{Diagnostic, Severity};

/// A manifest without errors.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The manifest.
    pub manifest: Manifest,
    /// Diagnostics about it, none of them an error.
    pub remarks: Vec<Diagnostic>,
}

/// Reads and checks a manifest's source, YAML or JSON. `name` is the file's name in diagnostics.
///
/// # Errors
///
/// Everything wrong with it, in order of position.
pub fn parse(name: &str, bytes: &[u8]) -> Result<Checked, Vec<Diagnostic>> {
    let (document, mut reader) = solo5_source::read(name, bytes)?;
    let manifest = check::manifest(&document.root, &mut reader);
    let found = reader.finish();
    match manifest {
        Some(manifest) if found.iter().all(|one| one.severity != Severity::Error) => {
            Ok(Checked { manifest, remarks: found })
        }
        _ => Err(found),
    }
}

/// The example in the package's README is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
