//! What debugging information says of an image: functions and lines of addresses, the units it was
//! compiled from, and who called whom.
//!
//! | what | file |
//! |---|---|
//! | DWARF's bytes, read with a limit on the work of reading them | [`mod@info`], `meter` |
//! | addresses → functions, inlined ones too, and lines; variables → lines | [`mod@locate`] |
//! | the units, their compilers, and their functions | [`mod@units`] |
//! | registers of a function → registers of its caller | [`mod@unwind`] |
//! | addresses → symbols | [`symbols`] |
//! | core files | [`mod@core`] |
//! | all of it together: what a trace or a core says of an image | [`trace`] |
//!
//! Only here is gimli used. Tenders and the linker wrapper are built without this crate.
//!
//! Adversary: hostile files. DWARF describes trees, lists and programs that may refer to each other,
//! so a small file can stand for endless work. Every read is counted, and reading ends when the
//! [`Limits`] are reached; what was found until then is kept. Memory follows the same count. Nothing
//! recurses.

#![forbid(unsafe_code)]

pub mod core;
pub mod info;
pub mod locate;
mod meter;
pub mod symbols;
#[cfg(feature = "testing")]
pub mod testing;
pub mod trace;
pub mod units;
pub mod unwind;

pub use info::{DebugInfo, Limits};
pub use locate::{Frame, Source};
pub use units::{Function, Unit};
pub use unwind::Registers;

/// Longest name kept, in bytes.
const NAME_MAX: usize = 1024;
/// Longest text read, in bytes: names are long before they are demangled.
const TEXT_MAX: usize = 4096;

/// A symbol's name for people: Rust's are demangled, without their hash.
pub fn demangled(name: &str) -> String {
    let Ok(demangled) = rustc_demangle::try_demangle(name) else {
        return shortened(name.to_owned());
    };
    shortened(format!("{demangled:#}"))
}

fn shortened(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(NAME_MAX));
    text
}
