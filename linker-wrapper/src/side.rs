//! Puts the manifest's name into the link's other output files, in place of its temporary object's.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use solo5_report::{Diagnostic, path_text};

use crate::arguments::{Arguments, Mode, SideFile};
use crate::codes;
use crate::relay::{self, Relay};

/// Longest file that is rewritten.
const FILE_MAX: u64 = 1 << 30;
/// Fixed name of the temporary folder in an archive of inputs. It is as long as the real name,
/// which changes each time, so that nothing else in the archive has to move.
const FOLDER: &[u8] = b"solo5-manifest-00";

/// The objects of a manifest in a link.
pub struct Objects<'a> {
    /// Replaces the objects' names.
    pub relay: &'a Relay,
    /// The folder they are in.
    pub folder: &'a Path,
}

/// Puts the manifest's name into every file that the link wrote besides its output.
///
/// # Errors
///
/// If one cannot be written again.
pub fn name_manifest(read: &Arguments, objects: &Objects<'_>) -> Result<(), Diagnostic> {
    for side in &read.side_files {
        let relay = objects.relay;
        let change = |text: &[u8]| match side.option {
            "dependency-file" => relay.replaced_for_make(text),
            "reproduce" => renamed_in_archive(text, objects.folder),
            _ => relay.replaced(text),
        };
        rewrite(&path(side, read), change)?;
    }
    if let Some(archive) = std::env::var_os("LLD_REPRODUCE") {
        rewrite(Path::new(&archive), |text| renamed_in_archive(text, objects.folder))?;
    }
    Ok(())
}

/// Adds the manifest to the dependencies that the compiler wrote for `make` about an image it
/// compiled and linked in one step.
///
/// # Errors
///
/// If the file cannot be written again.
pub fn depend_on_manifest(read: &Arguments, manifest: &Path) -> Result<(), Diagnostic> {
    let asked = &read.dependencies;
    // If the output is not named, the compiler's rule is about an object.
    if !asked.wanted || read.mode != Mode::Link || !read.output_named {
        return Ok(());
    }
    let usual = || Path::new(&read.output).with_extension("d");
    let file = asked.file.as_ref().map_or_else(usual, PathBuf::from);
    let name = relay::for_make(manifest.as_os_str().as_bytes());
    rewrite(&file, |text| with_dependency(text, &name, asked.phony))
}

/// The rules in `text` with `name` as a further prerequisite of the first.
fn with_dependency(text: &[u8], name: &[u8], phony: bool) -> Vec<u8> {
    let ends = |at: &usize| text[*at] == b'\n' && (*at == 0 || text[*at - 1] != b'\\');
    let end = (0..text.len()).find(ends).unwrap_or(text.len());
    let (rule, rest) = text.split_at(end);
    let mut words = rule.split(u8::is_ascii_whitespace);
    if rule.is_empty() || words.any(|word| word == name) {
        return text.to_vec();
    }
    let mut out = [rule, b" \\\n ", name, rest].concat();
    if phony {
        out.extend([name, b":\n"].concat());
    }
    out
}

/// Where a linker writes the file: a map may be named by a folder, or with `%` for the output.
fn path(side: &SideFile, read: &Arguments) -> PathBuf {
    let path = PathBuf::from(&side.path);
    if side.option != "Map" {
        return path;
    }
    if path.is_dir() {
        let mut name = Path::new(&read.output).file_name().unwrap_or_default().to_owned();
        name.push(".map");
        return path.join(name);
    }
    if path.exists() {
        return path;
    }
    let name = relay::replace(side.path.as_bytes(), b"%", read.output.as_bytes());
    PathBuf::from(std::ffi::OsStr::from_bytes(&name))
}

fn rewrite(path: &Path, change: impl FnOnce(&[u8]) -> Vec<u8>) -> Result<(), Diagnostic> {
    // Other than files, there are standard streams, which the relay has changed, and devices.
    // A descriptor such as `/dev/stdout` may be a log, which holds more than this file.
    let is_file = fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() <= FILE_MAX);
    if !is_file || solo5_output::is_descriptor(path) {
        return Ok(());
    }
    let changed = |path: &Path| -> io::Result<()> {
        let text = fs::read(path)?;
        let changed = change(&text);
        if changed == text { Ok(()) } else { fs::write(path, changed) }
    };
    changed(path).map_err(|error| {
        let text = format!("cannot put the manifest's name into {}: {error}", path_text(path));
        Diagnostic::error(codes::TEMPORARY, text)
    })
}

/// The tar archive with the temporary folder renamed to [`FOLDER`].
fn renamed_in_archive(archive: &[u8], folder: &Path) -> Vec<u8> {
    const BLOCK: usize = 512;
    const NAMES: &[std::ops::Range<usize>] = &[0..100, 345..500];
    let name = folder.file_name().unwrap_or_default().as_bytes();
    if name.len() != FOLDER.len() {
        return archive.to_vec();
    }
    let mut out = relay::replace(archive, name, FOLDER);
    let mut at = 0;
    while let Some(header) = out.get_mut(at..at + BLOCK) {
        let Some(size) = octal(&header[124..136]) else { break };
        if NAMES.iter().any(|range| contains(&header[range.clone()], FOLDER)) {
            let sum: u32 = header.iter().enumerate().fold(0, |sum, (index, byte)| {
                // The sum counts its own field as blanks.
                sum + u32::from(if (148..156).contains(&index) { b' ' } else { *byte })
            });
            header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
        let Some(next) = size
            .checked_next_multiple_of(BLOCK)
            .and_then(|size| at.checked_add(BLOCK)?.checked_add(size))
        else {
            break;
        };
        at = next;
    }
    out
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

fn octal(field: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(field).ok()?.trim_matches(['\0', ' ']);
    usize::from_str_radix(text, 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_is_added_once() {
        let text = b"app: app.c \\\n app.h\n\napp.h:\n";
        let added = with_dependency(text, b"app.yaml", true);
        let expected = "app: app.c \\\n app.h \\\n app.yaml\n\napp.h:\napp.yaml:\n";
        assert_eq!(String::from_utf8(added.clone()).unwrap(), expected);
        assert_eq!(with_dependency(&added, b"app.yaml", true), added);
        assert_eq!(with_dependency(b"", b"app.yaml", false), b"");
    }
}
