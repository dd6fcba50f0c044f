//! Locks on a guest's disks: one guest that writes, or any number that only read.
//!
//! Record locks (`F_SETLK`). They belong to the process, so two tenders that inherit one open file
//! description exclude each other, and the lock ends with the guest, also if its launcher keeps the
//! descriptor. Locks of open file descriptions do neither. `flock` locks are for programs that probe
//! block devices for a moment, which must not look like another guest.
//!
//! The kernel drops a process's record locks on a file when it closes *any* descriptor of that file.
//! So [`Locks::take`] comes last: in the process that runs the guest, after everything that it does
//! not keep is closed.

use std::os::fd::{BorrowedFd, RawFd};

use rustix::fs::{FlockOperation, fcntl_lock};

use super::{Access, Backing, Device};
use crate::error::Error;
use crate::sys::Errno;

/// The locks that a guest with some devices needs.
#[derive(Debug, Default)]
pub struct Locks(Vec<Disk>);

#[derive(Debug)]
struct Disk {
    fd: RawFd,
    path: String,
    access: Access,
}

impl Locks {
    /// Those for `devices`.
    pub fn on(devices: &[Device]) -> Locks {
        let disk = |device: &Device| match &device.backing {
            Backing::Block { path, access, .. } => {
                Some(Disk { fd: device.fd_number(), path: path.clone(), access: *access })
            }
            Backing::Net { .. } => None,
        };
        Locks(devices.iter().filter_map(disk).collect())
    }

    /// Takes them all, or says which disk another guest uses. A file system without such locks does
    /// not refuse: upstream has none.
    ///
    /// # Safety
    ///
    /// The descriptors of the devices are open.
    pub unsafe fn take(&self) -> Result<(), Error> {
        for Disk { fd, path, access } in &self.0 {
            // SAFETY: it is open by the caller's promise.
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
