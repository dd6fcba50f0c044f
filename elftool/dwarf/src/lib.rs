//! What debugging information says about an image: functions and lines of addresses, the units it was
//! compiled from, and who called whom.
//!
//! | what | file |
//! |---|---|
//! | DWARF's bytes, read with a limit on the work of reading them | [`mod@info`], `meter` |
//! | names for people; lines of source | `names`, [`source`] |
//! | addresses → functions, inlined ones too, and lines; variables → lines | [`mod@locate`] |
//! | where the debugging information of a stripped image is | [`link`] |
//! | the units, their compilers, and their functions | [`mod@units`] |
//! | registers of a function → registers of its caller | [`mod@unwind`] |
//! | addresses → symbols | [`symbols`] |
//! | core files | [`mod@core`] |
//! | all of it together: the addresses of a trace or a core | [`trace`] |
//!
//! Only this crate uses gimli. Tenders and the linker wrapper are built without it.
//!
//! Adversary: hostile files. DWARF describes trees, lists and programs that may refer to each
//! other, so a small file can cause endless work. Every read is counted, and reading ends when the
//! [`Limits`] are reached; what was found until then is kept. The same count bounds memory. Nothing
//! recurses.

#![forbid(unsafe_code)]

pub mod core;
pub mod info;
pub mod link;
pub mod locate;
mod meter;
mod names;
pub mod source;
pub mod symbols;
#[cfg(feature = "testing")]
pub mod testing;
pub mod trace;
pub mod units;
pub mod unwind;

pub use info::{DebugInfo, Gap, Limits};
pub use locate::Frame;
pub use names::for_people;
pub use source::Source;
pub use units::{Function, Unit};
pub use unwind::Registers;
