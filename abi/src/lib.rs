//! What the two sides of a Solo5 interface must agree on: layouts, numbers and codecs.
//!
//! The crate has no policy and allocates nothing. The manifest compiler, the query tool, the tenders
//! and the guest's bindings all use these definitions, so they cannot drift apart.
//!
//! | file | agreement |
//! |---|---|
//! | [`arch`], [`target`] | differences between architectures, and between targets |
//! | [`device`] | sizes of sectors and frames |
//! | [`guest`] | structures of the guest API |
//! | [`note`] | ELF notes: the frame around every descriptor below |
//! | [`abi1`] | the ABI note: which tender, which version |
//! | [`mft1`] | the manifest note that every Solo5 release reads |
//! | [`mft2`] | the properties of a version 2 manifest |
//! | [`offer`] | features that a tender offers beyond Solo5 0.12 |
//! | [`stack`] | where stack and guard lie in memory |
//! | [`spt`] | boot information and memory map of the spt target |
//! | [`hvt`] | hypercalls, boot information, ring and memory map of the hvt target |
//!
//! Adversary: every reader here takes hostile bytes. Readers do not allocate, recurse or panic. They
//! stop at the first error, which is a small `Copy` value with an offset.

#![no_std]
#![forbid(unsafe_code)]

pub mod abi1;
pub mod arch;
pub mod device;
pub mod guest;
pub mod hvt;
pub mod mft1;
pub mod mft2;
pub mod note;
pub mod offer;
pub mod spt;
pub mod stack;
pub mod target;

pub use arch::Arch;
pub use target::Target;

/// Guest memory in bytes if no size is given.
pub const DEFAULT_MEMORY: u64 = 512 << 20;

/// Exit status of an aborted guest. The guest API reserves this status and all above it
/// (`docs/reference/guest-api.md#results`).
pub const EXIT_ABORT: u8 = 255;

/// Longest guest command line in bytes, terminator included (`docs/reference/hvt.md#cmdline`).
pub const CMDLINE_SIZE: usize = 8192;

/// The example in the package's README is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
