//! Reads a unikernel's ELF file, for the tenders, the query and audit tool, and the linker wrapper.
//!
//! | phase | file | result |
//! |---|---|---|
//! | reading by offset, without loading the whole file | [`read`] | [`ReadAt`] |
//! | layouts of ELF | [`elf`], [`numbers`] | decoded headers |
//! | headers → every note of every PT_NOTE | [`mod@image`], [`notes`] | [`Image`] |
//! | segments → load addresses, sizes and protection | [`plan`] | [`LoadPlan`] |
//! | only on demand: sections, symbols | [`sections`] | [`sections::Sections`] |
//! | only of what is refused: the file's kind | [`foreign`] | [`Foreign`] |
//!
//! Every refusal is an [`ImageError`], a small `Copy` value. Its text is upstream's, to be printed
//! after `PROG: FILE: ` (`docs/reference/elf-loading.md`). A tender reads an image like this, and
//! refuses it at the first error:
//!
//! ```
//! # use solo5_abi::{Arch, Target};
//! # use solo5_image::{Image, ReadAt, ImageError};
//! fn load(file: &impl ReadAt, memory: u64) -> Result<(), ImageError> {
//!     let image = Image::read(file, &[Arch::X86_64])?;
//!     image.abi_of(Target::Spt)?; // for this target, in the supported version
//!     let manifest = image.checked_manifest()?; // names, types, nothing preset
//!     let properties = image.properties()?; // MFT2, if there is one
//!     let plan = image.plan(file, Target::Spt)?; // checks that do not depend on the memory size
//!     plan.fits(memory)?; // exactly `memory >= plan.minimum_memory`
//!     for segment in &plan.segments {
//!         // Copy `segment.file` to `segment.address`, zero the `segment.zero` bytes after it, then
//!         // give the pages `segment.pages` the rights `segment.protection`.
//!     }
//!     # let _ = (manifest.devices(), properties);
//!     Ok(())
//! }
//! ```
//!
//! Queries accept every architecture, [`Arch::ALL`](solo5_abi::Arch::ALL), and read one note with
//! [`Image::abi`] or [`Image::manifest`]; errors after that note do not affect them. The audit
//! collects every error with [`Notes::faults`] and [`plan::examine`].
//!
//! Adversary: a hostile file of any size. Arithmetic on numbers from the file is checked. A length
//! field alone allocates at most 64 KiB; more is allocated only as the file yields that many bytes.
//! The limits are 65535 program headers, [`notes::NOTES_MAX`] notes, 6668 bytes of MFT1 and 64 KiB of
//! MFT2.

#![forbid(unsafe_code)]

pub mod elf;
pub mod error;
pub mod foreign;
pub mod image;
pub mod notes;
pub mod numbers;
pub mod pages;
pub mod plan;
pub mod read;
pub mod sections;
#[cfg(feature = "testing")]
pub mod testing;

pub use elf::ProgramHeader;
pub use error::ImageError;
pub use foreign::Foreign;
pub use image::Image;
pub use notes::{Note, Notes};
pub use plan::{LoadPlan, LoadSegment, Protection};
pub use read::{ReadAt, ReadError};

/// The example in the package's README is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
