//! Identity of files, and the check that a disk is not at the same time another disk of the guest,
//! its image, or a standard descriptor.

use std::os::fd::AsFd;

use rustix::fs::{FileType, Mode, OFlags, Stat};
use rustix::stdio::{stderr, stdin, stdout};

use crate::sys::Errno;

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
    pub fn of(fd: impl AsFd) -> Result<FileId, Errno> {
        Ok(FileId::with_status(&rustix::fs::fstat(fd)?))
    }

    fn with_status(stat: &Stat) -> FileId {
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

    /// The standard descriptor that is open for writing on this file, if any.
    pub(super) fn standard_writer(self) -> Option<usize> {
        let writes = |fd| -> Result<bool, Errno> {
            let flags = rustix::fs::fcntl_getfl(fd)?;
            Ok(flags & OFlags::ACCMODE != OFlags::RDONLY && FileId::of(fd)? == self)
        };
        let standard = [stdin(), stdout(), stderr()];
        standard.into_iter().position(|fd| writes(fd).unwrap_or(false))
    }
}

/// If `standard` is standard error, redirects it to `/dev/null`. Otherwise a message would be
/// written into the disk.
pub fn silence(standard: usize) {
    if standard == 2
        && let Ok(null) = rustix::fs::open(c"/dev/null", OFlags::WRONLY, Mode::empty())
    {
        // Best effort: the disk is refused in any case.
        let _ = rustix::stdio::dup2_stderr(null);
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
        assert_ne!(id("a"), id("b"));
    }
}
