//! Descriptors that the launcher passed on, kept apart from those that the tender opens itself.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use rustix::stdio::{stderr, stdin, stdout};
#[cfg(any(feature = "net", feature = "block"))]
use solo5_launch::STANDARD;

#[cfg(any(feature = "net", feature = "block"))]
use super::file_id;
use crate::sys::Errno;
use crate::sys::descriptors::{self, Filled, is_open};

/// The descriptors named on the command line that were open when the tender started.
///
/// The list is made before the tender opens any file, so that no number can refer to one of the
/// tender's own files. Each descriptor is handed out once.
#[derive(Debug)]
pub struct Inherited {
    open: Vec<RawFd>,
    taken: Vec<RawFd>,
}

impl Inherited {
    /// Finds out which of `numbers` are open. Call it before the tender opens anything except the
    /// standard descriptors that it `filled`; those do not count as inherited.
    pub fn find(numbers: impl IntoIterator<Item = RawFd>, filled: Filled) -> Inherited {
        let was_filled = |fd: RawFd| {
            usize::try_from(fd).is_ok_and(|fd| filled.get(fd).copied().unwrap_or(false))
        };
        let mut open: Vec<RawFd> =
            numbers.into_iter().filter(|fd| !was_filled(*fd) && is_open(*fd)).collect();
        open.sort_unstable();
        open.dedup();
        Inherited { open, taken: Vec::new() }
    }

    /// Whether descriptor `fd` was already taken.
    pub fn is_taken(&self, fd: RawFd) -> bool {
        self.taken.contains(&fd)
    }

    /// Takes descriptor `fd`; `EBADF` if it was not open or is already taken. For a standard
    /// descriptor the result is a duplicate: if 0, 1 or 2 itself were closed, the next file opened
    /// would get that number.
    pub fn take(&mut self, fd: RawFd) -> Result<OwnedFd, Errno> {
        let index = self.open.binary_search(&fd).map_err(|_| Errno::BADF)?;
        self.open.remove(index);
        self.taken.push(fd);
        let standard = [stdin(), stdout(), stderr()];
        if let Some(standard) = standard.iter().find(|standard| standard.as_raw_fd() == fd) {
            return rustix::io::fcntl_dupfd_cloexec(standard, 3);
        }
        // SAFETY: it was open before the tender opened anything, so no value of this program owns
        // it. It has just been removed from the list, so it is adopted only once.
        Ok(unsafe { descriptors::adopt(fd) })
    }
}

/// Refuses standard input, output and error as a device, because the tender's messages and the
/// guest's console go there.
#[cfg(any(feature = "net", feature = "block"))]
pub(super) fn check_not_standard(fd: RawFd) -> Result<(), &'static str> {
    match usize::try_from(fd) {
        Ok(standard @ 0..=2) => {
            file_id::silence(standard);
            Err(STANDARD)
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsRawFd, IntoRawFd};

    use super::*;

    #[test]
    fn take_returns_each_inherited_descriptor_once() {
        let number = tempfile::tempfile().unwrap().into_raw_fd();
        let closed = tempfile::tempfile().unwrap().as_raw_fd();
        let mut inherited = Inherited::find([number, 1 << 20, number, -1], [false; 3]);
        let taken = inherited.take(number).unwrap();
        assert_eq!(taken.as_raw_fd(), number);
        assert_eq!(inherited.take(number).unwrap_err(), Errno::BADF, "twice");
        assert!(inherited.is_taken(number) && !inherited.is_taken(1 << 20));
        assert_eq!(inherited.take(1 << 20).unwrap_err(), Errno::BADF, "never open");
        assert_eq!(inherited.take(closed).unwrap_err(), Errno::BADF, "not named");
        let mut standard = Inherited::find([0, 1, 2], [false; 3]);
        for fd in 0..3 {
            assert!(standard.take(fd).unwrap().as_raw_fd() > 2, "a copy");
            assert!(is_open(fd));
        }
        let mut filled = Inherited::find([0], [true, false, false]);
        assert_eq!(filled.take(0).unwrap_err(), Errno::BADF, "opened by the tender");
    }
}
