//! Open descriptors: which there are, and closing them.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::event::{PollFd, PollFlags, Timespec};

use super::errno::{Errno, last_error};
use super::limits::limit;

/// For each of descriptors 0, 1 and 2: whether it was closed and is now `/dev/null`.
pub type Filled = [bool; 3];

/// Opens `/dev/null` on each of descriptors 0, 1 and 2 that is closed.
///
/// Call it before anything else is opened: if a disk image became descriptor 1, the guest's console
/// output would be written into it.
pub fn fill_standard_descriptors() -> Result<Filled, Errno> {
    let none = PollFlags::empty();
    // They may be closed: `poll` reports for each whether it is.
    let mut polled = [
        PollFd::from_borrowed_fd(rustix::stdio::stdin(), none),
        PollFd::from_borrowed_fd(rustix::stdio::stdout(), none),
        PollFd::from_borrowed_fd(rustix::stdio::stderr(), none),
    ];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    rustix::event::poll(&mut polled, Some(&at_once))?;
    let closed = polled.map(|fd| fd.revents().contains(PollFlags::NVAL));
    for _ in closed.iter().filter(|closed| **closed) {
        // `open` takes the lowest free number, so each turn fills the next gap below 3.
        let null =
            rustix::fs::open(c"/dev/null", rustix::fs::OFlags::RDWR, rustix::fs::Mode::empty())?;
        if null.as_raw_fd() > 2 {
            return Err(Errno::BADF);
        }
        std::mem::forget(null);
    }
    Ok(closed)
}

/// Whether descriptor `fd` is open.
pub fn is_open(fd: RawFd) -> bool {
    // SAFETY: F_GETFD changes nothing.
    unsafe { libc::fcntl(fd, libc::F_GETFD) >= 0 }
}

/// The status of the file that descriptor `fd` is open on; `EBADF` if it is not open.
pub fn status_of(fd: RawFd) -> Result<rustix::fs::Stat, Errno> {
    if !is_open(fd) {
        return Err(Errno::BADF);
    }
    // SAFETY: it is open, and a tender has one thread, so it stays open during the call.
    rustix::fs::fstat(unsafe { BorrowedFd::borrow_raw(fd) })
}

/// Takes over descriptor `fd`, which the launcher passed on.
///
/// # Safety
///
/// `fd` is open, and nothing else in this process owns it or will close it.
pub unsafe fn adopt(fd: RawFd) -> OwnedFd {
    // SAFETY: the caller makes exactly the promise that `from_raw_fd` needs.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Closes every descriptor from 3 on that is not in `keep`.
///
/// # Safety
///
/// The caller never again uses any other descriptor from 3 on, not even by dropping its owner.
pub unsafe fn close_all_but(keep: &mut [RawFd]) -> Result<(), Errno> {
    keep.sort_unstable();
    let mut first: libc::c_uint = 3;
    for fd in keep.iter().filter_map(|fd| libc::c_uint::try_from(*fd).ok()) {
        if fd > first {
            close_range(first, fd - 1)?;
        }
        first = first.max(fd + 1);
    }
    close_range(first, libc::c_uint::MAX)
}

/// Whether [`close_all_but`] works here.
pub fn can_close_ranges() -> bool {
    let last = libc::c_uint::MAX;
    // SAFETY: only numbers are passed; no descriptor has this one.
    let result = unsafe { libc::syscall(libc::SYS_close_range, last, last, 0) };
    result == 0 || last_error() == Errno::NOSYS
}

fn close_range(first: libc::c_uint, last: libc::c_uint) -> Result<(), Errno> {
    // SAFETY: only numbers are passed. The only caller is `close_all_but`, whose own caller
    // promises that the descriptors are not needed.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if result == 0 {
        return Ok(());
    }
    match last_error() {
        // Kernels before 5.9 lack the call. There the descriptor limit bounds the loop.
        Errno::NOSYS => {
            let most = 1 << 20;
            let limit = limit(libc::RLIMIT_NOFILE as libc::c_int).ok().flatten();
            let limit = limit.unwrap_or(most).min(most) as libc::c_uint;
            for fd in first..=last.min(limit) {
                // SAFETY: as above; closing a number that is not open does nothing.
                unsafe { libc::close(fd as RawFd) };
            }
            Ok(())
        }
        error => Err(error),
    }
}
