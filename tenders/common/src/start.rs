//! Steps before the guest's first instruction that all tenders share.

use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::time::{TimerfdClockId, TimerfdFlags};
use solo5_abi::CMDLINE_SIZE;

use crate::attach::{Backing, Device};
use crate::error::Error;
use crate::sys::{Errno, limits};

/// The guest's command line: its arguments joined by spaces, and a terminating zero byte. An error
/// if it is longer than [`CMDLINE_SIZE`].
pub fn command_line(arguments: &[OsString]) -> Result<Vec<u8>, Error> {
    let mut line =
        arguments.iter().map(|argument| argument.as_bytes()).collect::<Vec<_>>().join(&b' ');
    line.push(0);
    if line.len() > CMDLINE_SIZE {
        return Err(Error::CommandLine { longest: CMDLINE_SIZE - 1 });
    }
    Ok(line)
}

/// Refuses to run under READ_IMPLIES_EXEC, which makes every readable page executable.
pub fn check_personality() -> Result<(), Error> {
    let personality = limits::personality().map_err(host("personality()"))?;
    if personality & limits::READ_IMPLIES_EXEC != 0 {
        return Err(Error::ReadImpliesExec);
    }
    Ok(())
}

/// Makes a timer, and an epoll set that contains the timer and every tap. Returns the set and the
/// timer. A tap's events carry its handle, the timer's events carry `timer_data`.
pub fn events(devices: &[Device], timer_data: u64) -> Result<(OwnedFd, OwnedFd), Error> {
    let set = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(host("epoll_create1()"))?;
    let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
    let timer = rustix::time::timerfd_create(TimerfdClockId::Monotonic, flags);
    let timer = timer.map_err(host("timerfd_create()"))?;
    let add = |fd: &OwnedFd, data| {
        epoll::add(&set, fd.as_fd(), EventData::new_u64(data), EventFlags::IN)
            .map_err(host("epoll_ctl(EPOLL_CTL_ADD)"))
    };
    add(&timer, timer_data)?;
    for device in devices {
        if let (Backing::Net { .. }, Some(fd)) = (&device.backing, &device.fd) {
            add(fd, device.index as u64)?;
        }
    }
    Ok((set, timer))
}

/// Turns the error of the system call `what` into the tender's error.
pub fn host(what: &'static str) -> impl Fn(Errno) -> Error {
    move |error| Error::Host { what, error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_joined_by_spaces_without_quoting() {
        let line = |arguments: &[&str]| {
            let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
            command_line(&arguments)
        };
        assert_eq!(line(&[]).unwrap(), b"\0");
        assert_eq!(line(&["a b", "", "c"]).unwrap(), b"a b  c\0");
        assert_eq!(line(&[&"x".repeat(8191)]).unwrap().len(), 8192);
        let error = line(&[&"x".repeat(8192)]).unwrap_err();
        assert_eq!(error.line(), "Guest command line too long (max=8191 characters)");
    }
}
