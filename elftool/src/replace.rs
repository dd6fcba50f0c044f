//! Lists that are written over older ones, but over no other file: the name forgotten before a pattern
//! makes an image the output.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use crate::console::Failure;
use crate::files::reason;

/// The type of a list stands in its first lines.
const HEAD: u64 = 4096;

/// Writes `text`, which is of the type `kind`, to `path`.
///
/// # Errors
///
/// The system's, or that the file there is of another kind.
pub(crate) fn write(path: &Path, kind: &str, text: &[u8]) -> Result<(), Failure> {
    if !may_replace(path, kind).map_err(|error| Failure::of(path, reason(&error)))? {
        let why = format!("not written: the file there is no {kind}; name another one");
        return Err(Failure::of(path, why));
    }
    let written = solo5_output::write(path, text);
    written.map(drop).map_err(|error| Failure::of(path, reason(&error)))
}

/// Whether there is nothing to lose at `path`. What cannot be looked at is left to the writer.
fn may_replace(path: &Path, kind: &str) -> io::Result<bool> {
    if !fs::metadata(path).is_ok_and(|found| found.is_file()) {
        return Ok(true);
    }
    let mut head = Vec::new();
    match File::open(path) {
        Ok(file) => file.take(HEAD).read_to_end(&mut head)?,
        Err(_) => return Ok(true),
    };
    let is_kind = head.windows(kind.len()).any(|bytes| bytes == kind.as_bytes());
    Ok(head.is_empty() || is_kind)
}
