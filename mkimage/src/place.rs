//! The places of an image and its record, and what may be replaced there: an older image, whatever it
//! is, but never the unikernel; and an older record, but no other file.

use std::env;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use solo5_report::{Diagnostic, path_text};

use crate::codes;
use crate::record;

/// A file of more bytes is no record.
const RECORD_MAX: u64 = 1 << 20;

/// The record of the image at `image`: the same path, with `.json` behind its name.
pub fn of_record(image: &Path) -> PathBuf {
    // Without the slashes at the end of a folder's path.
    let mut path: PathBuf = image.components().collect();
    path.as_mut_os_string().push(".json");
    path
}

/// Refuses to replace the unikernel by the image.
///
/// # Errors
///
/// Both are one file.
pub fn check_image(image: &Path, unikernel: &Path) -> Result<(), Diagnostic> {
    if !solo5_output::is_same_file(image, unikernel) {
        return Ok(());
    }
    let message = format!("cannot write {}: it is the unikernel", path_text(image));
    let help = "name the image first, then the unikernel";
    Err(Diagnostic::error(codes::UNWRITABLE, message).with_help(help))
}

/// Refuses to replace the working folder, or one around it: the caller would be left in the old one.
///
/// # Errors
///
/// The image is such a folder.
pub fn check_folder(image: &Path) -> Result<(), Diagnostic> {
    let around = |image: PathBuf| env::current_dir().is_ok_and(|here| here.starts_with(image));
    if fs::canonicalize(image).is_ok_and(around) {
        let message = format!("cannot write {}: the working folder is in it", path_text(image));
        let help = "the image takes the folder's place: name another one";
        return Err(Diagnostic::error(codes::UNWRITABLE, message).with_help(help));
    }
    Ok(())
}

/// Refuses to replace a file at `path` that is not a record.
///
/// # Errors
///
/// There is such a file, or it cannot be read.
pub fn check_record(path: &Path) -> Result<(), Diagnostic> {
    let why = match is_record(path) {
        Ok(true) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Ok(false) => "it is not the record of an image".to_owned(),
        Err(error) => error.to_string(),
    };
    let message = format!("cannot write {}: {why}", path_text(path));
    let help = "the record stands beside the image: name another image, or give --no-record";
    Err(Diagnostic::error(codes::UNWRITABLE, message).with_help(help))
}

/// Whether the file at `path` is a record. A link that leads nowhere is none.
fn is_record(path: &Path) -> io::Result<bool> {
    #[derive(Deserialize)]
    struct Head {
        #[serde(rename = "type")]
        kind: String,
    }
    // Only a regular file is opened: a pipe would wait, and a device could do anything.
    if !fs::symlink_metadata(path)?.is_file() {
        return Ok(false);
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(RECORD_MAX).read_to_end(&mut bytes)?;
    Ok(serde_json::from_slice(&bytes).is_ok_and(|head: Head| head.kind == record::TYPE))
}
