//! Devices of the host, opened and measured for a guest.
//!
//! [`net`] and [`block`] each open one device and read its properties from the descriptor. Other
//! modules check these against the manifest and the policy. [`Inherited`] separates descriptors
//! that the launcher passed on from those that the tender opened itself.

#[cfg(feature = "block")]
pub mod block;
pub mod file_id;
pub mod locks;
#[cfg(feature = "net")]
pub mod net;

use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use rustix::stdio::{stderr, stdin, stdout};
use solo5_abi::device::{Mtu, SectorSize};

pub use file_id::FileId;
pub use locks::Locks;
pub use solo5_launch::Access;
use solo5_launch::{Interface, Launch};

use crate::error::Error;
use crate::sys::{self, Errno, Filled};

/// A device of the manifest, with the host's device that backs it.
#[derive(Debug)]
pub struct Device {
    /// Index in the manifest; the guest uses it as the handle.
    pub index: usize,
    /// Its name in the manifest.
    pub name: String,
    /// The host's side.
    pub backing: Backing,
    /// Its descriptor. `None` under `--explain`, which attaches nothing.
    pub fd: Option<OwnedFd>,
}

/// The host's side of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backing {
    /// A tap.
    Net {
        /// Name of the interface, as the kernel reports it.
        interface: Vec<u8>,
        /// Longest frame in bytes, without the Ethernet header.
        mtu: Mtu,
        /// The guest's Ethernet address. `None` under `--explain` if no address was given: a launch
        /// would choose a random one.
        mac: Option<[u8; 6]>,
        /// Minimum MTU that the manifest requires.
        mtu_minimum: Option<u32>,
    },
    /// A file or block device.
    Block {
        /// The path that was opened, or `@NN` for an inherited descriptor.
        path: String,
        /// Identity of the file.
        file: FileId,
        /// Size in bytes.
        capacity: u64,
        /// Sector size: the guest transfers one sector per call.
        sector_size: SectorSize,
        /// What the guest may do.
        access: Access,
        /// Minimum capacity in bytes that the manifest requires.
        capacity_minimum: Option<u64>,
    },
}

impl Device {
    /// The descriptor's number; -1 under `--explain`.
    pub fn fd_number(&self) -> RawFd {
        self.fd.as_ref().map_or(-1, AsRawFd::as_raw_fd)
    }
}

/// Refuses standard input, output and error as a device, because the tender's messages and the
/// guest's console go there.
#[cfg(any(feature = "net", feature = "block"))]
fn check_not_standard(fd: RawFd) -> Result<(), &'static str> {
    match usize::try_from(fd) {
        Ok(standard @ 0..=2) => {
            file_id::silence(standard);
            Err("it is a standard descriptor, which the tender and its guest write to")
        }
        _ => Ok(()),
    }
}

/// Refuses one descriptor for two devices of a kind.
pub fn check_descriptors(launch: &Launch) -> Result<(), Error> {
    let nets = launch.nets.iter().filter_map(|net| match net.interface {
        Interface::Fd(fd) => Some((fd, net.name.as_str())),
        Interface::Tap(_) => None,
    });
    if let Some((fd, names)) = first_twice(nets) {
        return Err(Error::NetTwice { names, interface: format!("@{fd}") });
    }
    let blocks = launch.blocks.iter().filter_map(|block| match block.backing {
        solo5_launch::Backing::Fd(fd) => Some((fd, block.name.as_str())),
        solo5_launch::Backing::Path(_) => None,
    });
    match first_twice(blocks) {
        Some((fd, names)) => Err(Error::BlockFdTwice { names, fd }),
        None => Ok(()),
    }
}

/// The first key that comes twice, with both names.
fn first_twice<'n, K: Ord + Copy>(
    named: impl Iterator<Item = (K, &'n str)>,
) -> Option<(K, [String; 2])> {
    let mut seen = BTreeMap::new();
    for (key, name) in named {
        if let Some(other) = seen.insert(key, name) {
            return Some((key, [other.to_owned(), name.to_owned()]));
        }
    }
    None
}

/// The descriptors named on the command line that were open when the tender started.
///
/// The list is made before the tender opens any file, so that no number can refer to one of the
/// tender's own files. Each descriptor is handed out once.
#[derive(Debug)]
pub struct Inherited {
    open: Vec<RawFd>,
    taken: Vec<RawFd>,
}

/// Why [`Inherited::take`] refuses a descriptor that is already taken.
pub const NAMED_TWICE: &str = "another option names it too";

impl Inherited {
    /// Finds out which of `numbers` are open. Call it before the tender opens anything except the
    /// standard descriptors that it `filled`; those do not count as inherited.
    pub fn find(numbers: impl IntoIterator<Item = RawFd>, filled: Filled) -> Inherited {
        let was_filled = |fd: RawFd| {
            usize::try_from(fd).is_ok_and(|fd| filled.get(fd).copied().unwrap_or(false))
        };
        let mut open: Vec<RawFd> =
            numbers.into_iter().filter(|fd| !was_filled(*fd) && sys::is_open(*fd)).collect();
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
        Ok(unsafe { sys::adopt(fd) })
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
            assert!(sys::is_open(fd));
        }
        let mut filled = Inherited::find([0], [true, false, false]);
        assert_eq!(filled.take(0).unwrap_err(), Errno::BADF, "opened by the tender");
    }
}
