//! Files of a container's root file system, opened from the host without leaving it.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;

/// Most links on the way: the kernel's limit.
const LINKS_MAX: usize = 40;

/// How often a path is followed again, since another process renamed or mounted something meanwhile.
const TRIES: usize = 128;

/// A root file system.
#[derive(Debug)]
pub struct Rootfs {
    fd: OwnedFd,
    /// Its real place on the host.
    place: PathBuf,
}

impl Rootfs {
    /// The root file system in the folder `path`.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn open(path: &Path) -> Result<Rootfs, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty())?;
        let place = place(&fd)?;
        Ok(Rootfs { fd, place })
    }

    /// Opens the regular file at `path`, which starts at this root, as every link on the way does.
    /// `None` if there is none, or it is something else.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn file(&self, path: &Path) -> Result<Option<File>, Errno> {
        // To open a device can have effects, on a watchdog for example, and a pipe waits for its other
        // end. So what it is is asked first, of a descriptor that opens nothing.
        let found = match self.resolve(path, OFlags::PATH | OFlags::CLOEXEC) {
            Ok(found) => found,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            // No process in the container can open these either.
            Err(Errno::LOOP | Errno::NAMETOOLONG | Errno::INVAL) => return Ok(None),
            Err(error) => return Err(error),
        };
        let kind = FileType::from_raw_mode(rustix::fs::fstat(&found)?.st_mode);
        if kind != FileType::RegularFile {
            return Ok(None);
        }
        let same = format!("/proc/self/fd/{}", found.as_raw_fd());
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        rustix::fs::open(same, flags, Mode::empty()).map(|file| Some(File::from(file)))
    }

    fn resolve(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let mut answer = Err(Errno::AGAIN);
        for _ in 0..TRIES {
            answer = openat2(self.fd.as_fd(), path, flags, Mode::empty(), how);
            if !matches!(answer, Err(Errno::AGAIN | Errno::INTR)) {
                break;
            }
        }
        answer
    }

    /// Where `path` leads, as an absolute path in this root without links. What does not exist yet is
    /// made of the rest of its words.
    ///
    /// # Errors
    ///
    /// The system's: links in a circle, for example.
    pub fn real(&self, path: &Path) -> Result<PathBuf, Errno> {
        let mut path = path.to_owned();
        for _ in 0..LINKS_MAX {
            match self.follow(&path)? {
                Step::There(real) => return Ok(real),
                Step::On(next) => path = next,
            }
        }
        Err(Errno::LOOP)
    }

    /// Follows what exists of `path`.
    fn follow(&self, path: &Path) -> Result<Step, Errno> {
        let mut missing: Vec<Component<'_>> = Vec::new();
        let mut there = path;
        loop {
            let below = there.strip_prefix("/").unwrap_or(there);
            let tried = if below == Path::new("") { Path::new(".") } else { below };
            match self.resolve(tried, OFlags::PATH | OFlags::CLOEXEC) {
                Ok(fd) => return self.end(&fd, missing),
                Err(Errno::NOENT | Errno::NOTDIR) => {
                    let mut parts = there.components();
                    missing.extend(parts.next_back());
                    there = parts.as_path();
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Where `missing`, in reverse order, lies below the folder `fd`.
    fn end(&self, fd: &OwnedFd, mut missing: Vec<Component<'_>>) -> Result<Step, Errno> {
        let real = place(fd)?;
        let inside = real.strip_prefix(&self.place).map_err(|_| Errno::XDEV)?;
        let mut real = Path::new("/").join(inside);
        // A link to what does not exist yet: whoever makes it follows the link.
        if let Some(Component::Normal(name)) = missing.last()
            && let Ok(target) = rustix::fs::readlinkat(fd, *name, Vec::new())
        {
            missing.pop();
            real.push(OsStr::from_bytes(target.as_bytes()));
            real.extend(missing.into_iter().rev());
            return Ok(Step::On(real));
        }
        let climbs = missing.contains(&Component::ParentDir);
        for part in missing.into_iter().rev() {
            match part {
                Component::Normal(name) => real.push(name),
                Component::ParentDir => {
                    real.pop();
                }
                Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
            }
        }
        // What `..` leads to may be a link again.
        Ok(if climbs { Step::On(real) } else { Step::There(real) })
    }
}

/// How far a path was followed.
enum Step {
    /// To its end.
    There(PathBuf),
    /// To a link, or to a folder's parent; this is what remains.
    On(PathBuf),
}

/// Where an open file is, as the kernel says.
fn place(fd: &OwnedFd) -> Result<PathBuf, Errno> {
    let link = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let failed = |error: std::io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
    std::fs::read_link(link).map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn no_link_leads_out_of_the_root() {
        let outside = tempfile::tempdir().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("rootfs");
        fs::create_dir_all(root.join("etc/deep")).unwrap();
        fs::write(outside.path().join("secret"), "host").unwrap();
        fs::write(root.join("app"), "image").unwrap();
        symlink(outside.path().join("secret"), root.join("absolute")).unwrap();
        symlink("../../../../../../../../../..", root.join("up")).unwrap();
        symlink("/proc/self/root", root.join("magic")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        symlink("/app", root.join("etc/app")).unwrap();
        symlink("/etc", root.join("conf")).unwrap();
        symlink("../conf/later", root.join("dangling")).unwrap();
        symlink("/gone2", root.join("gone1")).unwrap();
        symlink("/gone1", root.join("gone2")).unwrap();
        let rootfs = Rootfs::open(&root).unwrap();
        let text = |path: &str| {
            let mut text = String::new();
            let file = rootfs.file(Path::new(path)).unwrap();
            file.map(|mut file| file.read_to_string(&mut text).map(|_| text).unwrap())
        };
        for path in ["/app", "app", "/../../app", "/up/app", "/etc/app", "/conf/app"] {
            assert_eq!(text(path).as_deref(), Some("image"), "{path}");
        }
        let secret = format!("/up{}/secret", outside.path().display());
        for path in ["/absolute", &secret, "/etc", "/none", "/app/below", "/magic/etc/passwd"] {
            assert_eq!(text(path), None, "{path}");
        }
        assert_eq!(text("/loop"), None);
        assert_eq!(text(&"x".repeat(5000)), None);
        let real = |path: &str| rootfs.real(Path::new(path)).unwrap();
        for (path, place) in [
            ("/", "/"),
            ("", "/"),
            ("/conf", "/etc"),
            ("/conf/deep/new/file", "/etc/deep/new/file"),
            ("/up/conf/solo5", "/etc/solo5"),
            ("etc/app", "/app"),
            ("/new/../conf", "/etc"),
            ("/app/below", "/app/below"),
            ("/dangling/x", "/etc/later/x"),
        ] {
            assert_eq!(real(path), Path::new(place), "{path}");
        }
        for circle in ["/loop/x", "/gone1"] {
            assert!(rootfs.real(Path::new(circle)).is_err(), "{circle}");
        }
    }

    /// As a watchdog would be started: a pipe's writer is let go when the pipe is opened.
    #[test]
    fn what_is_no_file_is_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("app");
        let mode = Mode::RUSR | Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, FileType::Fifo, mode, 0).unwrap();
        let place = pipe.clone();
        let writer = std::thread::spawn(move || File::options().write(true).open(place));
        let rootfs = Rootfs::open(folder.path()).unwrap();
        for _ in 0..50 {
            assert!(rootfs.file(Path::new("/app")).unwrap().is_none());
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        assert!(!writer.is_finished(), "the pipe was opened");
        let _reader = File::open(pipe).unwrap();
        assert!(writer.join().unwrap().is_ok());
    }
}
