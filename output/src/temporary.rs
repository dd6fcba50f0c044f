//! A file that gets its name when it is complete.
//!
//! Until then it has none, where the file system can make such files (`O_TMPFILE`), so a program that is
//! killed leaves nothing behind. Then it is linked to its place. An existing file is replaced by a rename,
//! which needs a name: only between these two calls can a kill leave it. Where there are no such files, it
//! has a temporary name from the start.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat};
use tempfile::NamedTempFile;

use crate::limit;

/// What temporary names begin with.
pub(crate) const PREFIX: &str = ".solo5-";

/// A file beside the one that it becomes.
pub(crate) enum Temporary {
    /// It has no name.
    Unnamed { file: File, mode: Option<u32> },
    /// It has a temporary name, which is removed when it is dropped.
    Named(NamedTempFile),
}

impl Temporary {
    /// An empty file beside `path`, for reading and writing, with the permissions `mode`, or those of a new
    /// file.
    pub(crate) fn beside(path: &Path, mode: Option<u32>) -> io::Result<Temporary> {
        limit::becomes_an_error();
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        match rustix::fs::open(folder_of(path), flags, Mode::from_raw_mode(bits(mode))) {
            Ok(fd) => {
                let file = File::from(fd);
                set_mode(&file, mode)?;
                Ok(Temporary::Unnamed { file, mode })
            }
            // Whatever the reason is, making a file with a name tells it better.
            Err(_) => named(path, mode).map(Temporary::Named),
        }
    }

    /// The file.
    pub(crate) fn file(&mut self) -> &mut File {
        match self {
            Temporary::Unnamed { file, .. } => file,
            Temporary::Named(file) => file.as_file_mut(),
        }
    }

    /// Puts it in place of `path`.
    pub(crate) fn persist(self, path: &Path) -> io::Result<()> {
        let (mut file, mode) = match self {
            Temporary::Named(file) => return Ok(file.persist(path).map(drop)?),
            Temporary::Unnamed { file, mode } => (file, mode),
        };
        let link = |to: &Path| -> io::Result<()> {
            let from = format!("/proc/self/fd/{}", file.as_raw_fd());
            Ok(linkat(CWD, from.as_str(), CWD, to, AtFlags::SYMLINK_FOLLOW)?)
        };
        // Making a new file must not follow a link that somebody has put there, and does not.
        match link(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Ok(()) => return Ok(()),
            Err(_) => return copied(&mut file, path, mode),
        }
        match tempfile::Builder::new().prefix(PREFIX).make_in(folder_of(path), link) {
            Ok(named) => Ok(named.persist(path).map(drop).map_err(|error| error.error)?),
            Err(_) => copied(&mut file, path, mode),
        }
    }
}

/// A copy of `file` in place of `path`, where a file without a name cannot be linked, as without `/proc`.
fn copied(file: &mut File, path: &Path, mode: Option<u32>) -> io::Result<()> {
    let mut copy = named(path, mode)?;
    file.rewind()?;
    io::copy(file, copy.as_file_mut())?;
    Ok(copy.persist(path).map(drop)?)
}

/// A file with a temporary name beside `path`.
fn named(path: &Path, mode: Option<u32>) -> io::Result<NamedTempFile> {
    // Made by a function of ours, whose errors do not name the temporary file.
    let file = tempfile::Builder::new().prefix(PREFIX).make_in(folder_of(path), |path| {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(bits(mode)).open(path)
    })?;
    set_mode(file.as_file(), mode)?;
    Ok(file)
}

/// The mode to make a file with, which the umask restricts.
fn bits(mode: Option<u32>) -> u32 {
    mode.map_or(0o666, |mode| mode & 0o7777)
}

/// Gives `file` all of `mode`, if it replaces a file that has it.
fn set_mode(file: &File, mode: Option<u32>) -> io::Result<()> {
    match mode {
        Some(_) => file.set_permissions(fs::Permissions::from_mode(bits(mode))),
        None => Ok(()),
    }
}

/// The folder that the file at `path` is in.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn names(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn a_file_that_is_not_complete_has_no_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        for (content, mode) in [("one", None), ("two", Some(0o640))] {
            let before = names(folder.path());
            let mut file = Temporary::beside(&path, mode).unwrap();
            file.file().write_all(content.as_bytes()).unwrap();
            if matches!(file, Temporary::Unnamed { .. }) {
                assert_eq!(names(folder.path()), before);
            } else {
                let _ = writeln!(io::stdout(), "skip: no O_TMPFILE on this file system");
            }
            file.persist(&path).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
            assert_eq!(names(folder.path()), 1);
        }
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o640);
    }

    #[test]
    fn where_it_cannot_be_linked_it_is_copied() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        for content in ["one", "two"] {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(content.as_bytes()).unwrap();
            copied(&mut file, &path, None).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
        // A file of another file system has no link here, so it takes that way by itself.
        let Ok(elsewhere) = tempfile::tempfile_in("/dev/shm") else {
            let _ = writeln!(io::stdout(), "skip: no second file system at /dev/shm");
            return;
        };
        let mut file = Temporary::Unnamed { file: elsewhere, mode: None };
        file.file().write_all(b"three").unwrap();
        file.persist(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "three");
        assert_eq!(names(folder.path()), 1);
    }
}
