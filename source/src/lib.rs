//! Reads a YAML file that a person wrote into a tree with positions.
//!
//! Manifests and policies share this front end, which knows nothing about either. JSON is YAML, so
//! it also reads the `manifest.json` files that build systems make.
//!
//! | phase | file | from → to |
//! |---|---|---|
//! | 1 | `text` | bytes → text of bounded size, UTF-8, without control characters |
//! | 2 | `events` | text → YAML events with byte positions; the only file that uses the parser |
//! | 3 | `tree` | events → [`Document`]; refuses YAML features that readers interpret differently |
//! | 4 | [`reader`] | tree → values: keys, texts, numbers, sizes, for the caller's model |
//!
//! `node` is the tree itself; `words` has helpers for messages. [`mod@format`] writes a tree back in
//! the standard layout. [`codes`] has every diagnostic code of this crate, [`size`] the units of sizes.
//!
//! A scalar is the text in the source and is never converted: `1.10` is the text `1.10`, `no` the
//! text `no`. Tags, anchors, aliases, merge keys, duplicate keys, several documents and surplus
//! commas are refused, because YAML parsers disagree about what each of them means.
//!
//! Adversary: any bytes. [`SIZE_MAX`], [`DEPTH_MAX`], [`NODES_MAX`] and [`reader::ERRORS_MAX`] bound
//! time and memory; recursion is at most [`DEPTH_MAX`] deep.

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
/// Most characters of a key. YAML permits 1024, quotes and escapes included. With this lower limit
/// every key that was read can also be written, even if it needs escapes.
pub const KEY_MAX: usize = 160;

/// Reads `bytes` into a tree. `name` is the file's name in diagnostics.
///
/// # Errors
///
/// Everything wrong with the text, up to the first syntax error, in order of position.
pub fn parse(name: &str, bytes: &[u8]) -> Result<Document, Vec<Diagnostic>> {
    let (document, reader) = read(name, bytes)?;
    reader.checked(Some(document))
}

/// Like [`parse`], for a caller that reads values from the tree and wants *all* errors at once. Errors
/// after which the tree is still complete (a duplicate key, an anchor, a surplus comma) are in the
/// [`Reader`], and the caller adds its own.
///
/// # Errors
///
/// Everything wrong with the text, if the tree is not complete.
pub fn read(name: &str, bytes: &[u8]) -> Result<(Document, Reader), Vec<Diagnostic>> {
    let source = text::check(name, bytes)?;
    let mut reader = Reader::new(&source);
    match tree::build(&source, &mut reader) {
        Some(document) => Ok((document, reader)),
        None => Err(reader.finish()),
    }
}
