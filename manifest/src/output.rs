//! Phase 8: bytes → a file, whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// What happened to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It has the content now.
    Written,
    /// It had the content already and was not touched, so that nothing is rebuilt because of it.
    Unchanged,
}

/// Puts `content` at `path`; `-` is standard output.
///
/// A regular file is replaced by renaming a finished one, so that nobody ever sees a part of it, and
/// a failure leaves what was there. The mode of an existing file stays. Symbolic links are
/// followed. Anything else that can be written to, such as `/dev/stdout` or a pipe, is written
/// directly.
///
/// # Errors
///
/// Whatever the system says; also when the very last byte cannot be written.
pub fn write(path: &Path, content: &[u8]) -> io::Result<Outcome> {
    if path == Path::new("-") {
        let mut stdout = io::stdout().lock();
        stdout.write_all(content)?;
        stdout.flush()?;
        return Ok(Outcome::Written);
    }
    match fs::metadata(path) {
        Ok(found) if found.is_file() => {
            // Replacing needs no right to the file itself; who has none shall not replace it.
            OpenOptions::new().write(true).open(path)?;
            if found.len() == content.len() as u64 && holds(path, content) {
                return Ok(Outcome::Unchanged);
            }
            replace(&fs::canonicalize(path)?, content, Some(found.mode()))
        }
        Ok(_) => {
            let mut file = OpenOptions::new().write(true).open(path)?;
            file.write_all(content)?;
            Ok(Outcome::Written)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            match fs::read_link(path) {
                // A link to nothing yet: make what it points to.
                Ok(target) => {
                    let target = path.parent().unwrap_or(Path::new("")).join(target);
                    if fs::symlink_metadata(&target).is_ok_and(|found| found.is_symlink()) {
                        return Err(error);
                    }
                    replace(&target, content, None)
                }
                Err(_) => replace(path, content, None),
            }
        }
        Err(error) => Err(error),
    }
}

fn holds(path: &Path, content: &[u8]) -> bool {
    let mut found = Vec::with_capacity(content.len());
    let limit = content.len() as u64 + 1;
    File::open(path)
        .and_then(|file| file.take(limit).read_to_end(&mut found))
        .is_ok()
        && found == content
}

fn replace(path: &Path, content: &[u8], mode: Option<u32>) -> io::Result<Outcome> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => PathBuf::from(folder),
        _ => PathBuf::from("."),
    };
    let mode = fs::Permissions::from_mode(mode.map_or(0o666, |mode| mode & 0o7777));
    // The mode given here is subject to the umask; that of an existing file is set again below.
    let existing = path.exists();
    let mut file = tempfile::Builder::new()
        .prefix(".solo5-")
        .permissions(mode.clone())
        .tempfile_in(folder)?;
    file.write_all(content)?;
    if existing {
        file.as_file().set_permissions(mode)?;
    }
    // On error the temporary is removed as it is dropped.
    file.persist(path).map_err(|error| error.error)?;
    Ok(Outcome::Written)
}
