//! One diagnostic type and its printers.
//!
//! A finding of any of our programs is a [`Diagnostic`]: a stable code, one sentence, where, and
//! what to do. Deciding and showing never mix: [`human`], [`json`] and [`line`] print the same
//! value, and further printers need nothing more than it holds.
//!
//! | file | what |
//! |---|---|
//! | [`diagnostic`] | the model |
//! | [`text`] | source text that positions refer to |
//! | [`mod@escape`] | hostile text and names made printable, without loss |
//! | [`human`] | snippets for people; colours are the caller's decision |
//! | [`json`] | the same for machines |
//! | [`sarif`], [`github`], `junit` (a feature) | the same in the formats of code scanning and CI |
//! | [`explain`] | one page per code, from `docs/codes` and `docs/rules` |
//! | `completion` (with `man`) | completion scripts, from a command line |
//! | `man` (a feature) | one page per program, from its command line |
//!
//! Style of a message: what was wrong, lower case, no full stop; then help.
//!
//! Adversary: messages and snippets quote hostile files, so everything printed for people goes
//! through [`escape::printable`] or [`escape::one_line`], once, where it is printed.

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

pub use diagnostic::{Diagnostic, Label, Place, Severity};
pub use escape::{one_line, os_text, path_text, printable};
pub use explain::explain;
pub use human::{Colour, line};
pub use text::SourceText;

/// The version of this build: `SOLO5_VERSION` as the build found it, else the packages' own.
pub const VERSION: &str = match option_env!("SOLO5_VERSION") {
    Some(version) => version,
    None => concat!("v", env!("CARGO_PKG_VERSION")),
};
