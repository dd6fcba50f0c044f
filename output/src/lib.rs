//! Opens the files that a program reads ([`input`]), and writes its output files ([`write()`], or
//! [`prepare`] for large files, folders and several outputs). An output file gets all of its content or
//! none, and a file that already has the content is left untouched.
//!
//! Adversary: another user who can put symbolic links into the folder. File names come from the
//! program's user and are trusted.

#![forbid(unsafe_code)]

pub mod input;
mod limit;
pub mod prepare;
mod temporary;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use temporary::Temporary;

/// What happened to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The content was written.
    Written,
    /// The file already had the content. It was not touched, so build systems rebuild nothing.
    Unchanged,
}

/// Whether `path` names a descriptor of this process, such as `/dev/stdout` or `/dev/fd/3`.
pub fn is_descriptor(path: &Path) -> bool {
    ["/dev/fd", "/proc/self/fd"].iter().any(|folder| path.starts_with(folder))
        || ["/dev/stdin", "/dev/stdout", "/dev/stderr"].iter().any(|name| path == Path::new(name))
}

/// The number of the standard descriptor that `path` names.
fn standard(path: &Path) -> Option<u32> {
    let names = [
        ["/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"],
        ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"],
        ["/dev/stderr", "/dev/fd/2", "/proc/self/fd/2"],
    ];
    (0..)
        .zip(names)
        .find(|(_, names)| names.iter().any(|name| path == Path::new(name)))
        .map(|(n, _)| n)
}

/// An error if `path` names a standard descriptor that was closed when the program started. `/dev/null`
/// has taken its place.
fn was_given(path: &Path) -> io::Result<()> {
    standard(path).map_or(Ok(()), solo5_streams::given)
}

/// Writes `content` to `path`; `-` is standard output.
///
/// A regular file is replaced by a finished temporary file. So no reader ever sees
/// half of the content, and a failure leaves the old file. An existing file keeps its mode. Symbolic
/// links are followed. Devices such as `/dev/null`, and descriptors of this process such as
/// `/dev/stdout` and `/dev/fd/3`, are written directly. A named pipe is refused, because it could
/// make the program wait for a reader.
///
/// # Errors
///
/// The system's error, or that the file is a named pipe or a socket. A failed write is reported even if
/// only the last byte is missing.
pub fn write(path: &Path, content: &[u8]) -> io::Result<Outcome> {
    match Target::of(path)? {
        Target::Stdout => {
            let mut stdout = solo5_streams::stdout();
            stdout.write_all(content)?;
            stdout.flush()?;
            Ok(Outcome::Written)
        }
        Target::Direct => {
            let mut file = OpenOptions::new().write(true).open(path)?;
            file.write_all(content)?;
            Ok(Outcome::Written)
        }
        Target::Replace { path, mode } => {
            if mode.is_some() && same(&mut io::Cursor::new(content), &path).unwrap_or(false) {
                return Ok(Outcome::Unchanged);
            }
            let mut file = Temporary::beside(&path, mode)?;
            file.file().write_all(content)?;
            // On error nothing is left of the temporary file when it is dropped.
            file.persist(&path)?;
            Ok(Outcome::Written)
        }
    }
}

/// What an output file's name stands for.
enum Target {
    Stdout,
    /// A device or a descriptor, which is written directly.
    Direct,
    /// A regular file at `path`, without links; `mode` if it exists.
    Replace {
        path: PathBuf,
        mode: Option<u32>,
    },
}

impl Target {
    fn of(path: &Path) -> io::Result<Target> {
        if path == Path::new("-") {
            return Ok(Target::Stdout);
        }
        was_given(path)?;
        match fs::metadata(path) {
            Ok(found) if found.is_file() => {
                // A rename needs no write permission on the file itself, but a process without it must
                // not replace the file. Opening the file for writing checks the permission.
                OpenOptions::new().write(true).open(path)?;
                Ok(Target::Replace { path: fs::canonicalize(path)?, mode: Some(found.mode()) })
            }
            Ok(found)
                if !found.is_dir()
                    && !found.file_type().is_char_device()
                    && !is_descriptor(path) =>
            {
                let why = "it is not a regular file; name one, or `-` for standard output";
                Err(io::Error::new(io::ErrorKind::InvalidInput, why))
            }
            // Opening a folder for writing says that it is one.
            Ok(found) if found.is_dir() => {
                OpenOptions::new().write(true).open(path).map(|_| Target::Direct)
            }
            Ok(_) => Ok(Target::Direct),
            Err(error) if error.kind() == io::ErrorKind::NotFound => match fs::read_link(path) {
                // A dangling link: create its target.
                Ok(target) => {
                    let target = path.parent().unwrap_or(Path::new("")).join(target);
                    if fs::symlink_metadata(&target).is_ok_and(|found| found.is_symlink()) {
                        return Err(error);
                    }
                    Ok(Target::Replace { path: target, mode: None })
                }
                Err(_) => Ok(Target::Replace { path: path.to_owned(), mode: None }),
            },
            Err(error) => Err(error),
        }
    }
}

/// Whether both paths lead to one file. An output must not be an input too.
pub fn is_same_file(one: &Path, other: &Path) -> bool {
    let file = |path: &Path| fs::metadata(path).ok().map(|found| (found.dev(), found.ino()));
    file(one).is_some_and(|found| file(other) == Some(found))
}

/// Whether the file at `path` has the content of `new`, which is read from its start.
fn same(new: &mut (impl Read + Seek), path: &Path) -> io::Result<bool> {
    let mut old = File::open(path)?;
    let length = new.seek(SeekFrom::End(0))?;
    if old.metadata()?.len() != length {
        return Ok(false);
    }
    new.rewind()?;
    let (mut ours, mut theirs) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let mut left = length;
    while left > 0 {
        let count = left.min(ours.len() as u64) as usize;
        let (Some(ours), Some(theirs)) = (ours.get_mut(..count), theirs.get_mut(..count)) else {
            return Ok(false);
        };
        new.read_exact(ours)?;
        old.read_exact(theirs)?;
        if ours != theirs {
            return Ok(false);
        }
        left -= count as u64;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

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
    fn a_named_pipe_is_refused_and_a_descriptor_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert_eq!(write(&pipe, b"x").unwrap_err().kind(), io::ErrorKind::InvalidInput);
        let socket = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert_eq!(write(&socket, b"x").unwrap_err().kind(), io::ErrorKind::InvalidInput);
        let (mut reader, writer) = io::pipe().unwrap();
        let name = format!("/dev/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&writer));
        assert_eq!(write(Path::new(&name), b"x").unwrap(), Outcome::Written);
        drop(writer);
        let mut got = Vec::new();
        reader.read_to_end(&mut got).unwrap();
        assert_eq!(got, b"x");
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
