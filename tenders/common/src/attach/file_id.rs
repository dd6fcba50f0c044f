//! Identity of files, and the check that a disk is not at the same time another disk of the guest,
//! its image, or a standard descriptor.

use std::os::fd::AsFd;

use rustix::fs::{FileType, Mode, OFlags, Stat};
use rustix::stdio::{stderr, stdin, stdout};
use solo5_launch::Access;

use super::{Backing, Device};
use crate::error::Error;
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
    fn standard_writer(self) -> Option<usize> {
        let writes = |fd| -> Result<bool, Errno> {
            let flags = rustix::fs::fcntl_getfl(fd)?;
            Ok(flags & OFlags::ACCMODE != OFlags::RDONLY && FileId::of(fd)? == self)
        };
        let standard = [stdin(), stdout(), stderr()];
        standard.into_iter().position(|fd| writes(fd).unwrap_or(false))
    }
}

/// Refuses a disk that something else could write to: a standard descriptor, or another disk of the
/// same guest unless both are read-only. Also refuses a disk through which the guest could write to
/// its own `image`. Locks detect none of this, because they only exclude other processes.
pub fn check_disks(devices: &[Device], image: Option<FileId>) -> Result<(), Error> {
    let mut seen: Vec<(FileId, Access, &str)> = Vec::new();
    for device in devices {
        let Backing::Block { path, file, access, .. } = &device.backing else { continue };
        if let Some(standard) = file.standard_writer() {
            silence(standard);
            return Err(Error::BlockStandard { path: path.clone(), standard });
        }
        if *access == Access::ReadWrite && image == Some(*file) {
            return Err(Error::BlockImage { path: path.clone() });
        }
        let writes = |other: Access| [*access, other].contains(&Access::ReadWrite);
        let same = seen.iter().find(|(other, access, _)| other == file && writes(*access));
        if let Some((_, _, other)) = same {
            let names = [(*other).to_owned(), device.name.clone()];
            return Err(Error::BlockTwice { names, path: path.clone() });
        }
        seen.push((*file, *access, &device.name));
    }
    Ok(())
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
    use solo5_abi::device::SectorSize;

    fn disk(name: &str, file: FileId, access: Access) -> Device {
        let backing = Backing::Block {
            path: "d".into(),
            file,
            capacity: 512,
            sector_size: SectorSize::DEFAULT,
            access,
            capacity_minimum: None,
        };
        Device { index: 1, name: name.into(), backing, fd: None }
    }

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

    #[test]
    fn a_disk_that_is_the_image_is_refused_unless_read_only() {
        let (image, other) = (FileId::Inode(1, 1), FileId::Inode(1, 2));
        let check = |file, access| check_disks(&[disk("a", file, access)], Some(image));
        assert_eq!(check(other, Access::ReadWrite), Ok(()));
        assert_eq!(check(image, Access::ReadOnly), Ok(()));
        assert_eq!(check(image, Access::ReadWrite).unwrap_err().code(), "T427");
    }

    #[test]
    fn a_disk_given_twice_is_refused_unless_both_are_read_only() {
        let (one, other) = (FileId::Device(1), FileId::Inode(1, 1));
        let (reads, writes) = (Access::ReadOnly, Access::ReadWrite);
        let check = |first, second, access| {
            let disks = [disk("a", one, access), disk("b", first, reads), disk("c", second, reads)];
            check_disks(&disks, None)
        };
        assert_eq!(check(other, other, writes), Ok(()));
        assert_eq!(check(one, other, reads), Ok(()));
        for result in [check(one, other, writes), check(other, one, writes)] {
            let line = result.unwrap_err().line();
            assert!(line.contains("T426") && line.contains("'a' and '"), "{line}");
        }
    }
}
