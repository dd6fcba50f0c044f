//! Devices of the host, opened and measured for a guest.
//!
//! [`net`] and [`block`] open one device each and find out what it is, from its descriptor; what
//! the manifest and the policy make of that is decided elsewhere. [`Inherited`] keeps the
//! descriptors a launcher passed on apart from those the tender opened itself.

#[cfg(feature = "block")]
pub mod block;
pub mod file_id;
pub mod locks;
#[cfg(feature = "net")]
pub mod net;

use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use rustix::stdio::{stderr, stdin, stdout};
use solo5_abi::device::{Mtu, SectorSize};

pub use file_id::FileId;
pub use locks::Locks;
pub use solo5_launch::Access;

use crate::sys::{self, Errno, Filled};

/// A device of the manifest with what the host has put behind it.
#[derive(Debug)]
pub struct Device {
    /// Its index in the manifest, which is the guest's handle.
    pub index: usize,
    /// Its name in the manifest.
    pub name: String,
    /// The host's side.
    pub backing: Backing,
    /// Its descriptor. `None` while it is only being explained.
    pub fd: Option<OwnedFd>,
}

/// The host's side of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backing {
    /// A tap.
    Net {
        /// Name of the interface, as the kernel says.
        interface: Vec<u8>,
        /// Longest frame, its header not counted.
        mtu: Mtu,
        /// The guest's Ethernet address; `None` while it is only being explained and will be
        /// random.
        mac: Option<[u8; 6]>,
        /// Least MTU that the manifest asks for.
        mtu_minimum: Option<u32>,
    },
    /// A file or block device.
    Block {
        /// What was opened: a path, or a descriptor as `@NN`.
        path: String,
        /// Which file that is.
        file: FileId,
        /// Size in bytes.
        capacity: u64,
        /// Size of the one unit of transfer.
        sector_size: SectorSize,
        /// What the guest may do.
        access: Access,
        /// Least capacity that the manifest asks for.
        capacity_minimum: Option<u64>,
    },
}

impl Device {
    /// The number of its descriptor; -1 while it is only being explained.
    pub fn fd_number(&self) -> RawFd {
        self.fd.as_ref().map_or(-1, AsRawFd::as_raw_fd)
    }
}

/// Refuses standard input, output and error as a device: the tender writes its messages there, and
/// its guest the console.
#[cfg(any(feature = "net", feature = "block"))]
fn check_no_standard(fd: RawFd) -> Result<(), &'static str> {
    match usize::try_from(fd) {
        Ok(standard @ 0..=2) => {
            file_id::keep_off(standard);
            Err("it is a standard one, which the tender and its guest write to")
        }
        _ => Ok(()),
    }
}

/// The descriptors named on the command line that were open when the tender started.
///
/// Found before anything is opened, so that no number can mean a file of the tender's own.
/// Each one is handed out once.
#[derive(Debug)]
pub struct Inherited {
    open: Vec<RawFd>,
}

impl Inherited {
    /// Looks at `numbers`. Must run before the tender opens anything but the standard descriptors
    /// it `filled`, which do not count as inherited.
    pub fn find(numbers: impl IntoIterator<Item = RawFd>, filled: Filled) -> Inherited {
        let was_filled = |fd: RawFd| {
            usize::try_from(fd).is_ok_and(|fd| filled.get(fd).copied().unwrap_or(false))
        };
        let mut open: Vec<RawFd> =
            numbers.into_iter().filter(|fd| !was_filled(*fd) && sys::is_open(*fd)).collect();
        open.sort_unstable();
        open.dedup();
        Inherited { open }
    }

    /// Takes descriptor `fd`; `EBADF` if it was not open, or was taken before. Of a standard
    /// descriptor it is a copy: closed, its number would go to the next file that is opened.
    pub fn take(&mut self, fd: RawFd) -> Result<OwnedFd, Errno> {
        let index = self.open.binary_search(&fd).map_err(|_| Errno::BADF)?;
        self.open.remove(index);
        let standard = [stdin(), stdout(), stderr()];
        if let Some(standard) = standard.iter().find(|standard| standard.as_raw_fd() == fd) {
            return rustix::io::fcntl_dupfd_cloexec(standard, 3);
        }
        // SAFETY: it was open before the tender opened anything, so no value of this program owns
        // it, and being removed from the list it is adopted only once.
        Ok(unsafe { sys::adopt(fd) })
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsRawFd, IntoRawFd};

    use super::*;

    #[test]
    fn only_what_was_open_is_handed_out_and_only_once() {
        let number = tempfile::tempfile().unwrap().into_raw_fd();
        let closed = tempfile::tempfile().unwrap().as_raw_fd();
        let mut inherited = Inherited::find([number, 1 << 20, number, -1], [false; 3]);
        let taken = inherited.take(number).unwrap();
        assert_eq!(taken.as_raw_fd(), number);
        assert_eq!(inherited.take(number).unwrap_err(), Errno::BADF, "twice");
        assert_eq!(inherited.take(1 << 20).unwrap_err(), Errno::BADF, "never open");
        assert_eq!(inherited.take(closed).unwrap_err(), Errno::BADF, "not named");
        let mut standard = Inherited::find([0, 1, 2], [false; 3]);
        for fd in 0..3 {
            assert!(standard.take(fd).unwrap().as_raw_fd() > 2, "a copy");
            assert!(sys::is_open(fd));
        }
        let mut filled = Inherited::find([0], [true, false, false]);
        assert_eq!(filled.take(0).unwrap_err(), Errno::BADF, "opened by the tender");
    }
}
