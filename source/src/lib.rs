//! Text with positions: what an operator or developer wrote, read into one tree.
//!
//! Manifests and policies share this front end. It knows YAML and nothing of either. JSON is YAML,
//! so `manifest.json` files made by build systems take the same way.
//!
//! | phase | file | from → to |
//! |---|---|---|
//! | 1 | `text` | bytes → text of bounded size, UTF-8, without control characters |
//! | 2 | `events` | text → YAML events with byte positions; the one place that knows the parser |
//! | 3 | `tree` | events → [`Document`]; refuses what would make a file mean more than it shows |
//! | 4 | [`reader`] | tree → values: keys, texts, numbers, sizes; the caller's model grows here |
//!
//! `node` is the tree itself, `words` are those of messages. [`mod@format`] writes a tree back in the one layout. [`codes`] has every diagnostic code of this crate, [`size`] the units of sizes.
//!
//! Scalars are what the source says, never retyped: `1.10` is the text `1.10`, `no` the text `no`.
//! Tags, anchors, aliases, merge keys, duplicate keys and several documents are refused, and so is
//! a comma too many: each of them makes two readers of one file disagree.
//!
//! Adversary: any bytes. Time and memory are bounded by [`SIZE_MAX`], [`DEPTH_MAX`], [`NODES_MAX`],
//! and [`reader::ERRORS_MAX`]; nothing recurses deeper than the second.

#![forbid(unsafe_code)]

pub mod codes;
mod events;
pub mod format;
mod node;
pub mod reader;
pub mod size;
mod text;
mod tree;
mod words;

pub use node::{Comment, Document, Key, Kind, Node, Pair, Scalar, Style};
pub use reader::{Fields, Reader};

use solo5_report::Diagnostic;

/// Most bytes of a source file.
pub const SIZE_MAX: usize = 1024 * 1024;
/// Deepest nesting of lists and mappings.
pub const DEPTH_MAX: usize = 64;
/// Most nodes of a document; a key counts as one.
pub const NODES_MAX: usize = 100_000;
/// Most characters of a key. YAML itself gives up at 1024, with quotes and escapes: a key that was
/// read can always be written.
pub const KEY_MAX: usize = 160;

/// Reads `bytes`, which are called `name` in diagnostics, into a tree.
///
/// # Errors
///
/// Everything wrong with the text, up to the first syntax error, in order of position.
pub fn parse(name: &str, bytes: &[u8]) -> Result<Document, Vec<Diagnostic>> {
    let (document, reader) = read(name, bytes)?;
    reader.checked(Some(document))
}

/// Like [`parse`], for a caller that goes on to take values out of the tree and wants *all* errors
/// at once: refusals that leave the tree whole (a duplicate key, an anchor, a comma too many) are
/// already in the [`Reader`], to which the caller adds its own.
///
/// # Errors
///
/// Everything wrong with the text, if there is no whole tree.
pub fn read(name: &str, bytes: &[u8]) -> Result<(Document, Reader), Vec<Diagnostic>> {
    let source = text::check(name, bytes)?;
    let mut reader = Reader::new(&source);
    match tree::build(&source, &mut reader) {
        Some(document) => Ok((document, reader)),
        None => Err(reader.finish()),
    }
}
