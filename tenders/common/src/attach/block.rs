//! Block devices: files and devices of the host by path or inherited descriptor
//! (`docs/reference/downstream.md#attach-block`).

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, SeekFrom};
use solo5_abi::device::SectorSize;
use solo5_launch::{self as launch, Access};
use solo5_policy::evaluate::rest_beneath;
use solo5_policy::{BlockFacts, BlockKind, Fact};
use solo5_report::os_text;

use super::{Backing, Device, FileId, Inherited, check_no_standard};
use crate::error::Error;
use crate::sys::Errno;

/// What a block device of the host is, read from its descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    /// Size in bytes.
    pub capacity: u64,
    /// What it is.
    pub kind: BlockKind,
    /// Which file it is.
    pub file: FileId,
}

fn flags(access: Access) -> OFlags {
    OFlags::CLOEXEC
        | OFlags::NOCTTY
        | match access {
            // Opening a FIFO for reading alone would wait for a writer; files and block devices
            // do not care.
            Access::ReadOnly => OFlags::RDONLY | OFlags::NONBLOCK,
            Access::ReadWrite => OFlags::RDWR,
        }
}

fn open_error(path: &OsStr, error: Errno) -> Error {
    Error::BlockOpen { path: os_text(path).into_owned(), error }
}

/// Where the path of a block device leads, found out without opening what is there.
#[derive(Debug, Default)]
pub struct Look {
    /// The folders of a policy that it does not leave, with what is there.
    within: Vec<(String, Result<OwnedFd, Errno>)>,
}

impl Look {
    /// Looks at a device in each of `directories`, the folders that a policy wants it to lie in.
    pub fn at(block: &launch::Block, directories: &[&str]) -> Look {
        let launch::Backing::Path(path) = &block.backing else {
            return Look::default();
        };
        let within = directories.iter().filter_map(|folder| {
            let found = open_beneath(folder, path, OFlags::PATH | OFlags::CLOEXEC)?;
            let inside = match &found {
                // Nothing is there, or nothing that can be reached, on a way that stays inside.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS | Errno::NAMETOOLONG) => true,
                // It leads out, or it cannot be told.
                Err(_) => false,
                Ok(_) => true,
            };
            inside.then(|| ((*folder).to_owned(), found))
        });
        Look { within: within.collect() }
    }

    /// What is known by now. Of a file outside that is nothing, not even whether it exists.
    pub fn facts(&self) -> BlockFacts {
        let folders = self.within.iter().map(|(folder, _)| folder.clone());
        BlockFacts { beneath: Fact::Known(folders.collect()), ..BlockFacts::default() }
    }

    /// Opens the file or device at `path`, and says which of the folders it lies in.
    ///
    /// If there are any, it is opened through one of them, so that no file outside is ever opened on
    /// the word of a path that leads through one.
    fn open(&self, path: &OsStr, access: Access) -> Result<(OwnedFd, Fact<Vec<String>>), Error> {
        let there = self.within.iter().find(|(_, found)| found.is_ok());
        let through = there.or(self.within.first());
        let opened = through.and_then(|(folder, _)| open_beneath(folder, path, flags(access)));
        let opened = opened.unwrap_or_else(|| rustix::fs::open(path, flags(access), Mode::empty()));
        let fd = opened.map_err(|error| open_error(path, error))?;
        // The same path beneath another folder may be another file; only identity counts.
        let same =
            |found: &Result<OwnedFd, Errno>| found.as_ref().is_ok_and(|found| is_same(found, &fd));
        let beneath = self.within.iter().filter(|(_, found)| same(found));
        let beneath = beneath.map(|(folder, _)| folder.clone()).collect();
        Ok((fd, Fact::Known(beneath)))
    }
}

/// Opens what a launch asks for, with what the host says of it, or only looks at it: nothing is
/// opened for writing. `look` is what was found before. Whether it will do is [`settle`]'s business.
pub fn attach(
    block: &launch::Block,
    look: &Look,
    only_look: bool,
    inherited: &mut Inherited,
) -> Result<(Device, BlockFacts), Error> {
    let open_for = if only_look { Access::ReadOnly } else { block.access };
    let (fd, path, beneath) = match &block.backing {
        launch::Backing::Path(path) => {
            let (fd, beneath) = look.open(path, open_for)?;
            (fd, os_text(path).into_owned(), beneath)
        }
        launch::Backing::Fd(number) => {
            let path = format!("@{number}");
            check_no_standard(*number).map_err(|why| Error::BlockFd { fd: *number, why })?;
            let fd = inherited.take(*number);
            let fd = fd.map_err(|error| open_error(OsStr::new(&path), error))?;
            check_access(&fd, block.access)?;
            let beneath = Fact::Unreadable("a descriptor has no path".to_owned());
            (fd, path, beneath)
        }
    };
    let measured = measure(fd.as_fd(), &path)?;
    let facts = BlockFacts {
        kind: Fact::Known(measured.kind),
        beneath,
        capacity: Fact::Known(measured.capacity),
    };
    let device = Device {
        index: block.index,
        name: block.name.clone(),
        backing: Backing::Block {
            path,
            file: measured.file,
            capacity: measured.capacity,
            sector_size: block.sector_size,
            access: block.access,
            capacity_minimum: block.capacity_minimum,
        },
        fd: (!only_look).then_some(fd),
    };
    Ok((device, facts))
}

/// Refuses an attached device that is no whole number of sectors.
pub fn settle(device: &Device) -> Result<(), Error> {
    match &device.backing {
        Backing::Block { capacity, sector_size, .. } => {
            check_size(&device.name, *capacity, *sector_size)
        }
        Backing::Net { .. } => Ok(()),
    }
}

fn is_same(one: &OwnedFd, other: &OwnedFd) -> bool {
    matches!((FileId::of(one), FileId::of(other)), (Ok(one), Ok(other)) if one == other)
}

/// Opens `path` below the folder `under`, so that no symbolic link, `..` or magic link on the way
/// leads out of that folder. `None` if the path does not even say it is there.
fn open_beneath(under: &str, path: &OsStr, flags: OFlags) -> Option<Result<OwnedFd, Errno>> {
    let rest = rest_beneath(path, under)?;
    let folder = OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(CWD, under, folder, Mode::empty()).and_then(|folder| {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        rustix::fs::openat2(&folder, rest, flags, Mode::empty(), resolve)
    });
    Some(opened)
}

/// Whether an inherited descriptor is open for `access`.
pub fn check_access(fd: &OwnedFd, access: Access) -> Result<(), Error> {
    let wrong = |why| Error::BlockFd { fd: fd.as_raw_fd(), why };
    let flags = rustix::fs::fcntl_getfl(fd).map_err(|_| wrong("it is not open"))?;
    if flags.contains(OFlags::PATH) {
        return Err(wrong("it names a file and does not open it"));
    }
    let mode = flags & OFlags::ACCMODE;
    let writes = mode == OFlags::RDWR;
    match access {
        _ if mode == OFlags::WRONLY => Err(wrong("it is open for writing alone")),
        Access::ReadWrite if !writes => Err(wrong("it is open for reading alone")),
        // Appending would move every write to the end of the file.
        Access::ReadWrite if flags.contains(OFlags::APPEND) => {
            Err(wrong("it is open for appending"))
        }
        _ => Ok(()),
    }
}

/// Measures an open file or device called `path`. Its offset is 0 afterwards: a stray write would
/// otherwise make the file grow.
pub fn measure(fd: BorrowedFd<'_>, path: &str) -> Result<Measured, Error> {
    let capacity_error = |error| Error::Capacity { path: path.to_owned(), error };
    let kind = rustix::fs::fstat(fd).map_err(capacity_error)?.st_mode;
    let kind = FileType::from_raw_mode(kind);
    if kind == FileType::Directory {
        return Err(open_error(OsStr::new(path), Errno::ISDIR));
    }
    let capacity = rustix::fs::seek(fd, SeekFrom::End(0)).map_err(capacity_error)?;
    rustix::fs::seek(fd, SeekFrom::Start(0)).map_err(capacity_error)?;
    match kind {
        FileType::RegularFile | FileType::BlockDevice => {}
        // Size 0 is refused next, with upstream's text, whatever it is: `/dev/zero` among others.
        _ if capacity == 0 => {}
        _ => {
            return Err(Error::BlockKind { path: path.to_owned() });
        }
    }
    let kind = match kind {
        FileType::RegularFile => BlockKind::File,
        FileType::BlockDevice => BlockKind::Device,
        _ => BlockKind::Other,
    };
    let file = FileId::of(fd).map_err(capacity_error)?;
    Ok(Measured { capacity, kind, file })
}

/// Whether a device of `capacity` bytes is a whole number of sectors, and at least one.
pub fn check_size(name: &str, capacity: u64, sector_size: SectorSize) -> Result<(), Error> {
    let name = name.to_owned();
    let sector = u64::from(sector_size.bytes());
    if !capacity.is_multiple_of(sector) {
        return Err(Error::Unaligned { name, sector_size });
    }
    if capacity < sector {
        return Err(Error::TooSmall { name, sector_size });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::*;

    fn open(
        path: &OsStr,
        directories: &[&str],
        access: Access,
    ) -> Result<(OwnedFd, Fact<Vec<String>>), Error> {
        look(path, directories).open(path, access)
    }

    fn look(path: &OsStr, directories: &[&str]) -> Look {
        let block = launch::Block {
            index: 1,
            name: "storage".to_owned(),
            backing: launch::Backing::Path(path.to_owned()),
            access: Access::ReadWrite,
            sector_size: SectorSize::DEFAULT,
            sector_size_exact: None,
            capacity_minimum: None,
        };
        Look::at(&block, directories)
    }

    fn line<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
        result.unwrap_err().line()
    }

    #[test]
    fn files_are_measured_and_left_at_their_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk.img");
        fs::write(&path, vec![1; 6144]).unwrap();
        let (fd, _) = open(path.as_os_str(), &[], Access::ReadWrite).unwrap();
        let measured = measure(fd.as_fd(), "disk.img").unwrap();
        assert_eq!((measured.capacity, measured.kind), (6144, BlockKind::File));
        assert_eq!(rustix::fs::tell(&fd), Ok(0));
        assert_eq!(check_size("storage", 6144, SectorSize::new(512).unwrap()), Ok(()));
        assert!(
            line(check_size("storage", 6144, SectorSize::new(4096).unwrap()))
                .contains("block aligned (4096 bytes)")
        );
        assert!(
            line(check_size("storage", 0, SectorSize::new(512).unwrap()))
                .contains("at least 1 block (512 bytes)")
        );
    }

    #[test]
    fn what_is_no_disk_is_refused_with_upstreams_texts() {
        let folder = tempfile::tempdir().unwrap();
        let opened = |path: &Path, access| {
            let text = path.to_string_lossy();
            open(path.as_os_str(), &[], access)
                .and_then(|(fd, _)| measure(fd.as_fd(), &text))
                .and_then(|found| {
                    check_size("storage", found.capacity, SectorSize::new(512).unwrap())
                })
        };
        for access in [Access::ReadOnly, Access::ReadWrite] {
            assert!(line(opened(folder.path(), access)).ends_with(": Is a directory"));
            let fifo = folder.path().join(access.name());
            let mode = Mode::RUSR | Mode::WUSR;
            rustix::fs::mknodat(CWD, &fifo, FileType::Fifo, mode, 0).unwrap();
            let text = line(opened(&fifo, access));
            assert!(text.ends_with("Could not determine capacity: Illegal seek"), "{text}");
            let text = line(opened(Path::new("/dev/zero"), access));
            assert_eq!(
                text,
                "storage: Backing storage must be at least 1 block (512 bytes) in size"
            );
        }
        let text = line(opened(Path::new("/nonexistent"), Access::ReadWrite));
        assert!(text.ends_with("/nonexistent: No such file or directory"), "{text}");
    }

    #[test]
    fn nothing_leads_out_of_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("inside");
        fs::create_dir(&inside).unwrap();
        fs::write(inside.join("disk"), "x").unwrap();
        fs::write(folder.path().join("secret"), "x").unwrap();
        symlink("../secret", inside.join("link")).unwrap();
        symlink("disk", inside.join("good")).unwrap();
        let (inside, outside) = (inside.to_str().unwrap(), folder.path().to_str().unwrap());
        let beneath = |path: String| {
            let directories = [inside, outside];
            let (_, beneath) = open(OsStr::new(&path), &directories, Access::ReadOnly).unwrap();
            let Fact::Known(beneath) = beneath else { panic!("{path}: {beneath:?}") };
            beneath
        };
        assert_eq!(beneath(format!("{inside}/disk")), [inside, outside]);
        assert_eq!(beneath(format!("{inside}/good")), [inside, outside]);
        assert_eq!(beneath(format!("{inside}/link")), [outside], "leads out of the inner one");
        assert_eq!(beneath(format!("{outside}/secret")), [outside]);
        assert!(beneath(format!("{inside}/../secret")).is_empty(), "paths with .. are nowhere");
    }

    #[test]
    fn outside_is_the_same_whether_it_exists_or_not() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("inside");
        fs::create_dir(&inside).unwrap();
        fs::write(inside.join("disk"), "x").unwrap();
        fs::write(folder.path().join("secret"), "x").unwrap();
        let links = [
            ("there", "../secret".to_owned()),
            ("gone", "../nothing".to_owned()),
            ("far", folder.path().join("secret").to_string_lossy().into_owned()),
            ("further", folder.path().join("nothing").to_string_lossy().into_owned()),
            ("magic", "/proc/self/exe".to_owned()),
            ("dangling", "nothing".to_owned()),
        ];
        for (name, target) in &links {
            symlink(target, inside.join(name)).unwrap();
        }
        let text = inside.to_str().unwrap();
        let beneath = |name: &str| look(inside.join(name).as_os_str(), &[text]).facts();
        let outside = beneath("there");
        assert_eq!(outside.beneath, Fact::Known(Vec::new()));
        for name in ["gone", "far", "further", "magic"] {
            assert_eq!(beneath(name), outside, "{name}");
        }
        for name in ["disk", "missing", "dangling", "missing/below", "disk/below"] {
            assert_eq!(beneath(name).beneath, Fact::Known(vec![text.to_owned()]), "{name}");
        }
        let missing = inside.join("dangling");
        let text = line(open(missing.as_os_str(), &[text], Access::ReadWrite));
        assert!(text.ends_with("No such file or directory"), "{text}");
    }

    #[test]
    fn descriptors_are_open_for_what_the_guest_may_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk");
        fs::write(&path, "x").unwrap();
        let check = |flags, access| {
            let fd = rustix::fs::open(&path, flags, Mode::empty()).unwrap();
            check_access(&fd, access).is_ok()
        };
        assert!(check(OFlags::RDWR, Access::ReadWrite));
        assert!(check(OFlags::RDWR, Access::ReadOnly));
        assert!(check(OFlags::RDONLY, Access::ReadOnly));
        assert!(!check(OFlags::RDONLY, Access::ReadWrite));
        assert!(!check(OFlags::WRONLY, Access::ReadOnly));
        assert!(!check(OFlags::RDWR | OFlags::APPEND, Access::ReadWrite));
        assert!(!check(OFlags::PATH, Access::ReadOnly));
    }
}
