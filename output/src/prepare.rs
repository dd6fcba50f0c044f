//! Files and folders that are finished elsewhere and then put in their place in one step.
//!
//! A program with several outputs prepares all of them first. So a full disk stops it before any of
//! them is in its place, and dropping what was prepared removes it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, CWD, RenameFlags, access, renameat_with};
use tempfile::TempDir;

use crate::temporary::{PREFIX, Temporary, folder_of};
use crate::{Outcome, Target, limit, same};

/// A file that is complete, and not in its place yet.
pub struct PreparedFile(State);

enum State {
    /// Beside the file that it becomes; that one exists or not.
    Beside {
        file: Temporary,
        path: PathBuf,
        exists: bool,
    },
    /// For a device or a descriptor.
    Direct {
        file: File,
        path: PathBuf,
    },
    Stdout(File),
}

impl PreparedFile {
    /// Writes a file with `fill`, to be put to `path` by [`PreparedFile::commit`]. For `path` the rules
    /// of [`write`](crate::write()) hold. `fill` gets an empty regular file, so it can seek.
    ///
    /// # Errors
    ///
    /// The system's error, that of `fill`, or that the file is a named pipe or a socket.
    pub fn new(
        path: &Path,
        fill: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> io::Result<PreparedFile> {
        limit::becomes_an_error();
        let mut prepared = PreparedFile(match Target::of(path)? {
            Target::Stdout => State::Stdout(tempfile::tempfile()?),
            Target::Direct => State::Direct { file: tempfile::tempfile()?, path: path.into() },
            Target::Replace { path, mode } => State::Beside {
                file: Temporary::beside(&path, mode)?,
                path,
                exists: mode.is_some(),
            },
        });
        fill(prepared.file())?;
        Ok(prepared)
    }

    /// The file, to be read back.
    pub fn file(&mut self) -> &mut File {
        match &mut self.0 {
            State::Beside { file, .. } => file.file(),
            State::Direct { file, .. } | State::Stdout(file) => file,
        }
    }

    /// Whether it becomes a file with a name, not a device, a descriptor or standard output.
    pub fn has_name(&self) -> bool {
        matches!(self.0, State::Beside { .. })
    }

    /// Puts the file in its place.
    ///
    /// # Errors
    ///
    /// The system's error.
    pub fn commit(self) -> io::Result<Outcome> {
        match self.0 {
            State::Beside { mut file, path, exists } => {
                if exists && same(file.file(), &path).unwrap_or(false) {
                    return Ok(Outcome::Unchanged);
                }
                file.persist(&path)?;
            }
            State::Direct { mut file, path } => {
                file.rewind()?;
                io::copy(&mut file, &mut OpenOptions::new().write(true).open(path)?)?;
            }
            State::Stdout(mut file) => {
                file.rewind()?;
                let mut stdout = solo5_streams::stdout();
                io::copy(&mut file, &mut stdout)?;
                io::Write::flush(&mut stdout)?;
            }
        }
        Ok(Outcome::Written)
    }
}

/// A folder that is complete, and not in its place yet.
pub struct PreparedFolder {
    made: TempDir,
    path: PathBuf,
}

impl PreparedFolder {
    /// Fills a new folder with `fill`, to be put to `path` by [`PreparedFolder::commit`]. A folder that is
    /// there already is replaced if it is empty or `replaceable` says so.
    ///
    /// # Errors
    ///
    /// The system's error, that of `fill`, or that something else is in the way.
    pub fn new(
        path: &Path,
        replaceable: impl FnOnce(&Path) -> bool,
        fill: impl FnOnce(&Path) -> io::Result<()>,
    ) -> io::Result<PreparedFolder> {
        let path = match fs::canonicalize(path) {
            Ok(path) => path,
            Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
            Err(error) => return Err(error),
        };
        if path.exists() {
            let is_free =
                path.is_dir() && (fs::read_dir(&path)?.next().is_none() || replaceable(&path));
            if !is_free {
                return Err(io::Error::new(
                    io::ErrorKind::AlreadyExists,
                    "something else is there",
                ));
            }
        }
        let folder = folder_of(&path);
        limit::becomes_an_error();
        let made = tempfile::Builder::new()
            .prefix(PREFIX)
            .tempdir_in(folder)
            .map_err(|error| cause(folder, &error))?;
        let prepared = PreparedFolder { made, path };
        fill(prepared.made.path())?;
        // A temporary folder is private; the umask restricts what it is opened to.
        let probe = prepared.made.path().join(".mode");
        fs::create_dir(&probe)?;
        let permissions = fs::metadata(&probe)?.permissions();
        fs::remove_dir(&probe)?;
        fs::set_permissions(prepared.made.path(), permissions)?;
        Ok(prepared)
    }

    /// Puts the folder in its place.
    ///
    /// # Errors
    ///
    /// The system's error.
    pub fn commit(self) -> io::Result<()> {
        if self.path.exists() {
            // Dropping the folder then removes the old one.
            renameat_with(CWD, self.made.path(), CWD, &self.path, RenameFlags::EXCHANGE)?;
        } else {
            fs::rename(self.made.path(), &self.path)?;
            // Nothing is left under its old name.
            let _ = self.made.keep();
        }
        Ok(())
    }
}

/// Why no folder could be made in `folder`. The library's error names the temporary folder.
fn cause(folder: &Path, error: &io::Error) -> io::Error {
    match access(folder, Access::WRITE_OK | Access::EXEC_OK) {
        Err(cause) => cause.into(),
        Ok(()) => error.kind().into(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, SeekFrom, Write};

    use super::*;

    #[test]
    fn a_file_appears_when_it_is_committed_and_vanishes_when_it_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let make = |content: &'static [u8]| {
            PreparedFile::new(&path, |file| {
                file.seek(SeekFrom::Start(4096))?;
                file.write_all(content)
            })
        };
        let prepared = make(b"one").unwrap();
        assert!(!path.exists() && prepared.has_name());
        assert_eq!(prepared.commit().unwrap(), Outcome::Written);
        assert_eq!(fs::read(&path).unwrap()[4096..], *b"one");
        assert_eq!(make(b"one").unwrap().commit().unwrap(), Outcome::Unchanged);
        drop(make(b"two").unwrap());
        assert_eq!(fs::read(&path).unwrap()[4096..], *b"one");
        let failed = PreparedFile::new(&path, |_| Err(io::Error::other("no")));
        assert!(failed.is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary is left");
    }

    #[test]
    fn a_folder_replaces_only_what_it_may() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let make = |name: &'static str, may: bool| {
            PreparedFolder::new(&path, |_| may, |to| fs::write(to.join(name), "x"))
        };
        make("one", false).unwrap().commit().unwrap();
        assert!(path.join("one").is_file());
        let error = make("two", false).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        make("two", true).unwrap().commit().unwrap();
        assert!(path.join("two").is_file() && !path.join("one").exists());
        fs::write(folder.path().join("file"), "x").unwrap();
        let file = PreparedFolder::new(&folder.path().join("file"), |_| false, |_| Ok(()));
        assert!(file.is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "no temporary is left");
    }
}
