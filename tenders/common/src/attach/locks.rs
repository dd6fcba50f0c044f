//! Locks on a guest's disks: a disk has one guest that writes, or any number of guests that only
//! read.
//!
//! These are record locks (`F_SETLK`), which belong to the process. So two tenders that inherit one
//! open file description exclude each other, and the lock ends with the guest even if its launcher
//! keeps the descriptor open. Locks on open file descriptions (`F_OFD_SETLK`) have neither
//! property. `flock` locks would clash with programs that briefly lock block devices to probe them;
//! such a program must not look like another guest.
//!
//! When a process closes *any* descriptor of a file, the kernel drops all record locks that the
//! process holds on that file. So [`Locks::take`] runs last: in the process that runs the guest,
//! after all descriptors that it does not keep are closed.

use std::os::fd::{BorrowedFd, RawFd};

use rustix::fs::{FlockOperation, fcntl_lock};
use solo5_launch::Access;

use super::{Backing, Device};
use crate::error::Error;
use crate::sys::Errno;

/// The locks that a guest needs on its disks.
#[derive(Debug, Default)]
pub struct Locks(Vec<Disk>);

#[derive(Debug)]
struct Disk {
    fd: RawFd,
    path: String,
    access: Access,
}

impl Locks {
    /// The locks for `devices`.
    pub fn on(devices: &[Device]) -> Locks {
        let disk = |device: &Device| match &device.backing {
            Backing::Block { path, access, .. } => {
                Some(Disk { fd: device.fd_number(), path: path.clone(), access: *access })
            }
            Backing::Net { .. } => None,
        };
        Locks(devices.iter().filter_map(disk).collect())
    }

    /// Takes all locks, or returns an error that names the disk in use by another guest. A file
    /// system without record locks is no error: upstream takes no locks at all.
    ///
    /// # Safety
    ///
    /// The descriptors of the devices are open.
    pub unsafe fn take(&self) -> Result<(), Error> {
        for Disk { fd, path, access } in &self.0 {
            // SAFETY: the caller promises that it is open.
            let fd = unsafe { BorrowedFd::borrow_raw(*fd) };
            let writing = *access == Access::ReadWrite;
            let lock = match writing {
                true => FlockOperation::NonBlockingLockExclusive,
                false => FlockOperation::NonBlockingLockShared,
            };
            if let Err(Errno::AGAIN | Errno::ACCESS) = fcntl_lock(fd, lock) {
                return Err(Error::Busy { path: path.clone(), writing });
            }
        }
        Ok(())
    }
}
