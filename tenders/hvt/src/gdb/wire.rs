//! The debugger's connection, and the signal that its input raises.

use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicPtr, Ordering};

use gdbstub::conn::{Connection, ConnectionExt};
use rustix::event::epoll::{self, EventData, EventFlags};
use solo5_tender::boot::Gdb;
use solo5_tender::error::Error;
use solo5_tender::signals::install;
use solo5_tender::sys::Errno;

/// Maximum packet size in bytes.
pub(super) const PACKET: usize = 4096;

/// Turns a system error during `what` into the tender's error.
pub(super) fn failed(what: String) -> impl Fn(std::io::Error) -> Error {
    move |error| Error::Gdb {
        what: what.clone(),
        error: Errno::from_io_error(&error).unwrap_or(Errno::IO),
    }
}

/// Turns a system error at the place to listen at into the tender's error.
pub(super) fn unavailable(place: &Gdb) -> impl Fn(std::io::Error) -> Error {
    move |error| Error::GdbPlace {
        place: place.clone(),
        error: Errno::from_io_error(&error).unwrap_or(Errno::IO),
    }
}

/// Pointer to KVM's flag that makes the next KVM_RUN return at once.
static IMMEDIATE_EXIT: AtomicPtr<u8> = AtomicPtr::new(std::ptr::null_mut());

extern "C" fn on_input(_signal: libc::c_int) {
    let flag = IMMEDIATE_EXIT.load(Ordering::Acquire);
    if !flag.is_null() {
        // SAFETY: it points into the area shared with KVM, which stays mapped. KVM provides the
        // flag for signal handlers, and no reference to it exists.
        unsafe { flag.write_volatile(1) };
    }
}

/// From now on the debugger's input sets KVM's flag at `flag`, or no flag if `flag` is null.
pub(super) fn set_immediate_exit(flag: *mut u8) {
    IMMEDIATE_EXIT.store(flag, Ordering::Release);
}

/// From now on the debugger's input stops the guest's CPU and ends a wait on `epoll`.
pub(super) fn watch_input(connection: &OwnedFd, epoll: &OwnedFd, data: u64) -> Result<(), Error> {
    let fd = connection.as_raw_fd();
    let os = |_| failed("watching the connection".to_owned())(std::io::Error::last_os_error());
    install(libc::SIGIO, on_input as extern "C" fn(libc::c_int) as libc::sighandler_t)
        .map_err(|error| Error::Gdb { what: "sigaction()".to_owned(), error })?;
    let check = |result: libc::c_int| if result < 0 { Err(()) } else { Ok(()) };
    let own = rustix::process::getpid().as_raw_pid();
    // SAFETY: only numbers are passed.
    check(unsafe { libc::fcntl(fd, libc::F_SETOWN, own) }).map_err(os)?;
    // SAFETY: as above. Only the guest's thread takes signals.
    check(unsafe { libc::fcntl(fd, libc::F_SETFL, libc::O_ASYNC) }).map_err(os)?;
    // Edge-triggered: input that is never read, as after a detach, must not end every wait.
    let flags = EventFlags::IN | EventFlags::ET;
    epoll::add(epoll, connection, EventData::new_u64(data), flags)
        .map_err(|error| failed("watching the connection".to_owned())(error.into()))
}

/// The connection. Output is buffered and sent as whole packets.
pub(super) struct Wire {
    fd: RawFd,
    out: [u8; PACKET],
    length: usize,
}

impl Wire {
    pub(super) fn new(connection: OwnedFd) -> Wire {
        Wire { fd: connection.into_raw_fd(), out: [0; PACKET], length: 0 }
    }
}

impl Connection for Wire {
    type Error = std::io::Error;

    fn write(&mut self, byte: u8) -> Result<(), std::io::Error> {
        if self.length == PACKET {
            self.flush()?;
        }
        if let Some(place) = self.out.get_mut(self.length) {
            *place = byte;
            self.length += 1;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), std::io::Error> {
        let mut left = self.out.get(..self.length).unwrap_or_default();
        while !left.is_empty() {
            // SAFETY: the pointer and length are those of `left`.
            let count = unsafe { libc::write(self.fd, left.as_ptr().cast(), left.len()) };
            match usize::try_from(count) {
                Ok(count) => left = left.get(count..).unwrap_or_default(),
                Err(_) => interrupted()?,
            }
        }
        self.length = 0;
        Ok(())
    }
}

/// `Ok` if the call was interrupted and should be repeated; else its error.
fn interrupted() -> Result<(), std::io::Error> {
    let error = std::io::Error::last_os_error();
    match error.kind() {
        std::io::ErrorKind::Interrupted => Ok(()),
        _ => Err(error),
    }
}

impl ConnectionExt for Wire {
    fn read(&mut self) -> Result<u8, std::io::Error> {
        let mut byte = 0u8;
        loop {
            // SAFETY: one byte.
            match unsafe { libc::read(self.fd, (&raw mut byte).cast(), 1) } {
                1 => return Ok(byte),
                0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                _ => interrupted()?,
            }
        }
    }

    fn peek(&mut self) -> Result<Option<u8>, std::io::Error> {
        let mut byte = 0u8;
        let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
        loop {
            // SAFETY: one byte.
            match unsafe { libc::recv(self.fd, (&raw mut byte).cast(), 1, flags) } {
                1 => return Ok(Some(byte)),
                0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                _ => match std::io::Error::last_os_error().kind() {
                    std::io::ErrorKind::WouldBlock => return Ok(None),
                    _ => interrupted()?,
                },
            }
        }
    }
}
