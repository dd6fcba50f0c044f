//! One diagnostic type and its printers.
//!
//! A finding of any program is a [`Diagnostic`]: a stable code, one sentence, a place, and what to do.
//! The code that finds something never prints it: [`human`], [`json`] and [`line`] print the same
//! value, and it holds everything that a further printer needs.
//!
//! | file | content |
//! |---|---|
//! | [`diagnostic`] | the model |
//! | [`text`] | source text that positions refer to |
//! | [`mod@escape`] | hostile text and names made printable, without loss |
//! | [`human`] | snippets for people; the caller decides on colours |
//! | [`json`] | the same as JSON |
//! | [`sarif`], [`github`], `junit` (a feature) | the same in the formats of code scanning and CI |
//! | [`explain`] | one page per code, from `docs/codes` and `docs/rules` |
//! | `completion` (with `man`) | completion scripts, from a command line |
//! | `usage` (with `man`) | what `clap` says about a command line, made printable |
//! | `man` (a feature) | one manual page per program, from its command line |
//!
//! Style: a message says what is wrong, in lower case and without a full stop; help says what to do.
//!
//! Adversary: messages and snippets quote hostile files. So each printer for people escapes every
//! text once with [`escape::printable`] or [`escape::one_line`].

#![forbid(unsafe_code)]

#[cfg(feature = "man")]
pub mod completion;
pub mod diagnostic;
pub mod escape;
pub mod explain;
pub mod github;
pub mod human;
pub mod json;
#[cfg(feature = "junit")]
pub mod junit;
#[cfg(feature = "man")]
pub mod man;
pub mod sarif;
pub mod text;
#[cfg(feature = "man")]
pub mod usage;

pub use diagnostic::{Diagnostic, Label, Place, Severity};
pub use escape::{one_line, os_text, path_text, printable};
pub use explain::explain;
pub use human::{Colour, line};
pub use text::SourceText;

/// The version of this build: `SOLO5_VERSION` from the build's environment, or that of the packages.
pub const VERSION: &str = match option_env!("SOLO5_VERSION") {
    Some(version) => version,
    None => concat!("v", env!("CARGO_PKG_VERSION")),
};
