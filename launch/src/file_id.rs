//! Identity of files: two paths can lead to one file.

use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{FileType, Stat};
use rustix::io::Errno;

/// Identity of a file, independent of its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileId {
    /// A block device, by its device number: it can have several device nodes.
    Device(u64),
    /// Any other file, by its file system and inode.
    Inode(u64, u64),
}

impl FileId {
    /// The file that `fd` is open on.
    ///
    /// # Errors
    ///
    /// The descriptor is not open.
    pub fn of(fd: impl AsFd) -> Result<FileId, Errno> {
        Ok(FileId::with_status(&rustix::fs::fstat(fd)?))
    }

    /// The file with this status.
    pub fn with_status(stat: &Stat) -> FileId {
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::BlockDevice => FileId::Device(stat.st_rdev),
            _ => FileId::Inode(stat.st_dev, stat.st_ino),
        }
    }

    /// The file with this status, if writing to it changes its content: a regular file or a block
    /// device.
    pub fn with_content(stat: &Stat) -> Option<FileId> {
        let kind = FileType::from_raw_mode(stat.st_mode);
        let has = matches!(kind, FileType::RegularFile | FileType::BlockDevice);
        has.then(|| FileId::with_status(stat))
    }

    /// The file at `path`, links followed, if it is one [with content](FileId::with_content).
    pub fn at(path: impl AsRef<Path>) -> Option<FileId> {
        FileId::with_content(&rustix::fs::stat(path.as_ref()).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_has_one_identity_under_all_its_names() {
        let folder = tempfile::tempdir().unwrap();
        let name = |name| folder.path().join(name);
        fs::write(name("a"), "x").unwrap();
        fs::write(name("b"), "x").unwrap();
        fs::hard_link(name("a"), name("hard")).unwrap();
        std::os::unix::fs::symlink("a", name("soft")).unwrap();
        let id = |file| FileId::of(fs::File::open(name(file)).unwrap()).unwrap();
        assert_eq!(id("a"), id("hard"));
        assert_eq!(id("a"), id("soft"));
        assert_eq!(Some(id("a")), FileId::at(name("soft")));
        assert_eq!(FileId::at(folder.path()), None);
        assert_ne!(id("a"), id("b"));
    }
}
