//! Block devices: regular files and block devices of the host, by path or inherited descriptor
//! (`docs/reference/downstream.md#attach-block`).

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, SeekFrom};
use solo5_launch::{self as launch, Access, Unfit, check_size};
use solo5_policy::evaluate::rest_beneath;
use solo5_policy::{BlockFacts, BlockKind, Fact};
use solo5_report::os_text;

use super::{Backing, Device, FileId, Inherited, NAMED_TWICE, check_not_standard};
use crate::error::Error;
use crate::sys::Errno;

/// Properties of a block device, read from its descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    /// Size in bytes.
    pub capacity: u64,
    /// Regular file or block device.
    pub kind: BlockKind,
    /// Identity of the file.
    pub file: FileId,
}

fn flags(access: Access) -> OFlags {
    OFlags::CLOEXEC
        | OFlags::NOCTTY
        | match access {
            // Without `O_NONBLOCK`, opening a FIFO read-only would wait for a writer. The flag does
            // not matter for files and block devices.
            Access::ReadOnly => OFlags::RDONLY | OFlags::NONBLOCK,
            Access::ReadWrite => OFlags::RDWR,
        }
}

fn open_error(path: &OsStr, error: Errno) -> Error {
    Error::BlockOpen { path: os_text(path).into_owned(), error }
}

/// Where the path of a block device leads, determined without opening the file.
#[derive(Debug, Default)]
pub struct Lookup {
    /// The policy's folders that the path does not leave, each with an `O_PATH` descriptor of the
    /// file found there, or the error.
    within: Vec<(String, Result<OwnedFd, Errno>)>,
}

impl Lookup {
    /// Looks the device's path up beneath each of `directories`, the folders in which a policy
    /// allows it.
    pub fn of(block: &launch::Block, directories: &[&str]) -> Lookup {
        let launch::Backing::Path(path) = &block.backing else {
            return Lookup::default();
        };
        let within = directories.iter().filter_map(|folder| {
            let found = open_beneath(folder, path, OFlags::PATH | OFlags::CLOEXEC)?;
            let inside = match &found {
                // The path stays inside, but nothing is there or it cannot be reached.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS | Errno::NAMETOOLONG) => true,
                // The path leads out, or this cannot be determined.
                Err(_) => false,
                Ok(_) => true,
            };
            inside.then(|| ((*folder).to_owned(), found))
        });
        Lookup { within: within.collect() }
    }

    /// The facts that are known before the file is opened. They say nothing about a file outside
    /// the folders, not even whether it exists.
    pub fn facts(&self) -> BlockFacts {
        let folders = self.within.iter().map(|(folder, _)| folder.clone());
        BlockFacts { beneath: Fact::Known(folders.collect()), ..BlockFacts::default() }
    }

    /// Opens the file or device at `path`, and returns the folders that it lies in.
    ///
    /// If the path lies in a folder, the file is opened beneath that folder. So no file outside is
    /// opened, even if somebody changes a link after the lookup.
    fn open(&self, path: &OsStr, access: Access) -> Result<(OwnedFd, Fact<Vec<String>>), Error> {
        let there = self.within.iter().find(|(_, found)| found.is_ok());
        let through = there.or(self.within.first());
        let opened = through.and_then(|(folder, _)| open_beneath(folder, path, flags(access)));
        let opened = opened.unwrap_or_else(|| rustix::fs::open(path, flags(access), Mode::empty()));
        let fd = opened.map_err(|error| open_error(path, error))?;
        // The same path beneath another folder may lead to another file, so the identities are
        // compared.
        let same =
            |found: &Result<OwnedFd, Errno>| found.as_ref().is_ok_and(|found| is_same(found, &fd));
        let beneath = self.within.iter().filter(|(_, found)| same(found));
        let beneath = beneath.map(|(folder, _)| folder.clone()).collect();
        Ok((fd, Fact::Known(beneath)))
    }
}

/// Opens the device that the launch names. With `only_inspect` it opens nothing for writing. Also
/// returns the facts that policies judge. `lookup` is the result of the device's lookup before it
/// was judged. [`check_whole_sectors`] checks the size later.
pub fn attach(
    block: &launch::Block,
    lookup: &Lookup,
    only_inspect: bool,
    inherited: &mut Inherited,
) -> Result<(Device, BlockFacts), Error> {
    let open_for = if only_inspect { Access::ReadOnly } else { block.access };
    let (fd, path, beneath) = match &block.backing {
        launch::Backing::Path(path) => {
            let (fd, beneath) = lookup.open(path, open_for)?;
            (fd, os_text(path).into_owned(), beneath)
        }
        launch::Backing::Fd(number) => {
            let path = format!("@{number}");
            check_not_standard(*number).map_err(|why| Unfit::BlockFd { fd: *number, why })?;
            if inherited.is_taken(*number) {
                return Err(Unfit::BlockFd { fd: *number, why: NAMED_TWICE }.into());
            }
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
            flush: block.flush,
        },
        fd: (!only_inspect).then_some(fd),
    };
    Ok((device, facts))
}

/// Refuses an attached device whose size is not a whole number of sectors.
pub fn check_whole_sectors(device: &Device) -> Result<(), Error> {
    match &device.backing {
        Backing::Block { capacity, sector_size, .. } => {
            Ok(check_size(&device.name, *capacity, *sector_size)?)
        }
        Backing::Net { .. } => Ok(()),
    }
}

fn is_same(one: &OwnedFd, other: &OwnedFd) -> bool {
    matches!((FileId::of(one), FileId::of(other)), (Ok(one), Ok(other)) if one == other)
}

/// Opens `path` beneath the folder `under`. No symbolic link, `..` or magic link on the way can
/// lead out of that folder. `None` if the path as written does not start with that folder.
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
    let wrong = |why| Error::Unfit(Unfit::BlockFd { fd: fd.as_raw_fd(), why });
    let flags = rustix::fs::fcntl_getfl(fd).map_err(|_| wrong("it is not open"))?;
    if flags.contains(OFlags::PATH) {
        return Err(wrong("it was opened with O_PATH, so it cannot be read"));
    }
    let mode = flags & OFlags::ACCMODE;
    let writes = mode == OFlags::RDWR;
    match access {
        _ if mode == OFlags::WRONLY => Err(wrong("it is open only for writing")),
        Access::ReadWrite if !writes => Err(wrong("it is open only for reading")),
        // With `O_APPEND` every write would go to the end of the file.
        Access::ReadWrite if flags.contains(OFlags::APPEND) => {
            Err(wrong("it is open for appending"))
        }
        _ => Ok(()),
    }
}

/// Measures an open file or device; `path` is its name in messages. Leaves the offset at 0, because
/// a stray write at the end would make the file grow.
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
        // `check_size` refuses size 0 later, with upstream's text, whatever the kind of file, such
        // as `/dev/zero`.
        _ if capacity == 0 => {}
        _ => {
            return Err(Unfit::BlockKind { path: path.to_owned() }.into());
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

#[cfg(test)]
mod tests {
    use solo5_abi::device::SectorSize;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::*;

    fn open(
        path: &OsStr,
        directories: &[&str],
        access: Access,
    ) -> Result<(OwnedFd, Fact<Vec<String>>), Error> {
        lookup(path, directories).open(path, access)
    }

    fn lookup(path: &OsStr, directories: &[&str]) -> Lookup {
        let block = launch::Block {
            index: 1,
            name: "storage".to_owned(),
            backing: launch::Backing::Path(path.to_owned()),
            access: Access::ReadWrite,
            sector_size: SectorSize::DEFAULT,
            sector_size_exact: None,
            capacity_minimum: None,
            flush: false,
        };
        Lookup::of(&block, directories)
    }

    fn line<T: std::fmt::Debug, E: Into<Error>>(result: Result<T, E>) -> String {
        result.map_err(E::into).unwrap_err().line()
    }

    #[test]
    fn measure_leaves_the_offset_at_0() {
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
    fn pipes_and_empty_files_are_refused_with_upstreams_texts() {
        let folder = tempfile::tempdir().unwrap();
        let opened = |path: &Path, access| {
            let text = path.to_string_lossy();
            open(path.as_os_str(), &[], access)
                .and_then(|(fd, _)| measure(fd.as_fd(), &text))
                .and_then(|found| {
                    Ok(check_size("storage", found.capacity, SectorSize::new(512).unwrap())?)
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
    fn no_path_or_link_leads_out_of_a_folder() {
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
        assert!(
            beneath(format!("{inside}/../secret")).is_empty(),
            "a path with .. lies in no folder"
        );
    }

    #[test]
    fn facts_do_not_reveal_whether_an_outside_file_exists() {
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
        let beneath = |name: &str| lookup(inside.join(name).as_os_str(), &[text]).facts();
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
    fn a_descriptor_must_be_open_for_the_guests_access() {
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
