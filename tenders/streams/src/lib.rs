//! Standard input and output as the program was given them.
//!
//! Before `main`, Rust's start-up opens `/dev/null` on each standard descriptor that is closed, and its
//! standard output ignores `EBADF`. So a program that prints its answer to a closed descriptor, or to one
//! that is only open for reading, would end with success and nobody would see the answer. [`stdout`],
//! [`stdin`] and [`given`] report `EBADF` for such a descriptor. `/dev/null` from the caller is fine,
//! however it is open: only a look at the descriptors before Rust's start-up can tell the two apart, and
//! this crate takes one.
//!
//! It lies beside the tenders, although the tools use it, because that look takes one unsafe attribute.
//! The tenders have no such start-up, and look themselves (`tenders/common`, `sys::descriptors`).
//!
//! Adversary: none. The descriptors are those of the program's caller.

use std::io::{self, Read, StdoutLock, Write};
use std::sync::atomic::{AtomicU8, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::BorrowedFd;
use rustix::fs::{OFlags, fcntl_getfl};
use rustix::io::Errno;

/// One bit for each of descriptors 0 to 2 that was closed at the start.
static CLOSED: AtomicU8 = AtomicU8::new(0);

// SAFETY: before `main`, the C library calls each function whose address is in this section, from its only
// thread and with C's convention. The function needs nothing that is set up later: it makes one system
// call and stores a byte. It cannot unwind.
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

extern "C" fn look() {
    let streams = [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()];
    let mut polled = streams.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::empty()));
    // If the call fails, none is known to be closed.
    if poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_err() {
        return;
    }
    let closed =
        polled.iter().zip([1, 2, 4]).filter(|(fd, _)| fd.revents().contains(PollFlags::NVAL));
    CLOSED.store(closed.fold(0, |bits, (_, bit)| bits | bit), Ordering::Relaxed);
}

/// Whether the caller gave the program standard descriptor `number`, which is 0, 1 or 2. Every other
/// descriptor counts as given.
///
/// # Errors
///
/// `EBADF` if it was closed at the start.
pub fn given(number: u32) -> io::Result<()> {
    match number < 3 && CLOSED.load(Ordering::Relaxed) >> number & 1 != 0 {
        true => Err(Errno::BADF.into()),
        false => Ok(()),
    }
}

/// Whether descriptor `number` was given and is not open the `other` way only.
fn usable(number: u32, fd: BorrowedFd<'_>, other: OFlags) -> io::Result<()> {
    given(number)?;
    let flags = fcntl_getfl(fd)?;
    match flags & OFlags::ACCMODE == other || flags.contains(OFlags::PATH) {
        true => Err(Errno::BADF.into()),
        false => Ok(()),
    }
}

/// Standard output. Writing anything to it fails with `EBADF` if [`check_output`] does.
#[derive(Debug)]
pub struct Stdout(io::Result<StdoutLock<'static>>);

/// Standard output, locked.
pub fn stdout() -> Stdout {
    Stdout(check_output().map(|()| io::stdout().lock()))
}

/// Whether standard output can be written to.
///
/// # Errors
///
/// `EBADF` if it was closed at the start, or is only open for reading.
pub fn check_output() -> io::Result<()> {
    usable(1, rustix::stdio::stdout(), OFlags::RDONLY)
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Ok(stdout) => stdout.write(bytes),
            Err(_) if bytes.is_empty() => Ok(0),
            Err(error) => Err(again(error)),
        }
    }

    /// Nothing is left to be written if nothing could be.
    fn flush(&mut self) -> io::Result<()> {
        self.0.as_mut().map_or(Ok(()), StdoutLock::flush)
    }
}

/// Standard input. Reading it fails with `EBADF` if it was closed at the start, or is only open for
/// writing.
#[derive(Debug)]
pub struct Stdin(io::Result<io::Stdin>);

/// Standard input.
pub fn stdin() -> Stdin {
    let usable = usable(0, rustix::stdio::stdin(), OFlags::WRONLY);
    Stdin(usable.map(|()| io::stdin()))
}

impl Read for Stdin {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Ok(stdin) => stdin.read(bytes),
            Err(error) => Err(again(error)),
        }
    }
}

/// The same error once more.
fn again(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}
