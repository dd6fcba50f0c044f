//! What a program was asked to write: a file has all of it or none, and stays untouched if it has it already.
//!
//! Adversary: whoever else may write to the folder, as far as links go; names come from the user.

#![forbid(unsafe_code)]

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
    File::open(path).and_then(|file| file.take(limit).read_to_end(&mut found)).is_ok()
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
    let mut file =
        tempfile::Builder::new().prefix(".solo5-").permissions(mode.clone()).tempfile_in(folder)?;
    file.write_all(content)?;
    if existing {
        file.as_file().set_permissions(mode)?;
    }
    // On error the temporary is removed as it is dropped.
    file.persist(path).map_err(|error| error.error)?;
    Ok(Outcome::Written)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_file_is_made_replaced_or_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        assert_eq!(write(&path, b"one").unwrap(), Outcome::Written);
        let first = fs::metadata(&path).unwrap();
        assert_eq!(write(&path, b"one").unwrap(), Outcome::Unchanged);
        let same = fs::metadata(&path).unwrap();
        assert_eq!((first.ino(), first.mtime_nsec()), (same.ino(), same.mtime_nsec()));
        assert_eq!(write(&path, b"two").unwrap(), Outcome::Written);
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary is left");
    }

    #[test]
    fn mode_and_link_stay() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        fs::write(&real, "old").unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
        symlink("real", &link).unwrap();
        write(&link, b"new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&real).unwrap(), b"new");
        assert_eq!(fs::metadata(&real).unwrap().mode() & 0o7777, 0o640);
        let dangling = folder.path().join("dangling");
        symlink("made", &dangling).unwrap();
        write(&dangling, b"x").unwrap();
        assert_eq!(fs::read(folder.path().join("made")).unwrap(), b"x");
    }

    #[test]
    fn devices_are_written_directly_and_their_errors_are_reported() {
        assert!(write(Path::new("/dev/null"), b"x").is_ok());
        assert_eq!(
            write(Path::new("/dev/full"), b"x").unwrap_err().kind(),
            io::ErrorKind::StorageFull
        );
        assert!(write(Path::new("/nonexistent/x"), b"x").is_err());
        assert!(write(Path::new("/"), b"x").is_err());
    }
}
