//! A tender's messages: lines on standard error that start with the program's name. Each line is
//! one write.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use rustix::event::{PollFd, PollFlags};
use rustix::fd::BorrowedFd;
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};
use rustix::stdio::{stderr, stdout};
use solo5_report::{one_line, os_text, printable};

use crate::error::{Error, Reason, Refusal, Warning};
use crate::start::host;
use crate::sys::descriptors::Filled;

/// Prints the tender's messages.
#[derive(Clone, Debug)]
pub struct Console {
    program: String,
    /// The standard descriptors that were closed at the start. What is written to them is lost.
    closed: Filled,
}

impl Console {
    /// The name is the last path component of `argument_zero`, or `otherwise` if that is empty.
    pub fn new(argument_zero: Option<&OsStr>, otherwise: &str) -> Console {
        let name = argument_zero.map(OsStr::as_bytes).unwrap_or_default();
        let base = name.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let program = match os_text(OsStr::from_bytes(base)) {
            base if base.is_empty() => otherwise.to_owned(),
            base => base.into_owned(),
        };
        Console { program, closed: Filled::default() }
    }

    /// Knows which standard descriptors were `closed` at the start.
    pub fn set_closed(&mut self, closed: Filled) {
        self.closed = closed;
    }

    /// The program's name.
    pub fn program(&self) -> &str {
        &self.program
    }

    /// Prints one line: the program's name, a colon, and `text`.
    pub fn line(&self, text: &str) {
        let line = format!("{}: {}\n", one_line(&self.program), one_line(text));
        // There is no other place to report a failure.
        let _ = write_all(stderr(), line.as_bytes());
    }

    /// Prints a command for the user to copy: a line of its own that starts with a tab.
    pub fn example(&self, text: &str) {
        let _ = write_all(stderr(), format!("\t{}\n", one_line(text)).as_bytes());
    }

    /// Prints a text of whole lines, without the program's name.
    ///
    /// # Errors
    ///
    /// If it cannot be written, or standard error was closed at the start.
    pub fn text(&self, text: &str) -> Result<(), Error> {
        let [_, _, closed] = self.closed;
        let written = write_given(closed, stderr(), printable(text).as_bytes());
        written.map_err(host("writing to standard error"))
    }

    /// Writes results to standard output. A reader that has closed the pipe is no error.
    ///
    /// # Errors
    ///
    /// If they cannot be written, or standard output was closed at the start.
    pub fn output(&self, text: &str) -> Result<(), Error> {
        let [_, closed, _] = self.closed;
        match write_given(closed, stdout(), text.as_bytes()) {
            Err(Errno::PIPE) | Ok(()) => Ok(()),
            Err(error) => Err(host("writing to standard output")(error)),
        }
    }

    /// Prints a warning; the tender goes on.
    pub fn warn(&self, warning: &Warning) {
        self.line(&warning.to_string());
    }

    /// Prints an error; the tender stops.
    pub fn error(&self, error: &Error) {
        self.line(&error.line());
    }

    /// Prints why no guest is started. `usage` makes the usage text, for refusals that print it.
    pub fn refuse(&self, refusal: &Refusal, usage: impl FnOnce() -> String) {
        for Reason { code, text } in &refusal.reasons {
            match refusal.denied {
                true => self.line(&format!("denied: {code} {text}")),
                false => self.line(text),
            }
        }
        for line in &refusal.summary {
            self.line(line);
        }
        if refusal.usage {
            let _ = self.text(&usage());
        }
        if let Some(closing) = refusal.closing() {
            self.line(&closing);
        }
    }
}

/// Writes all of `bytes` to a standard descriptor, unless it was `closed` at the start.
fn write_given(closed: bool, to: BorrowedFd<'_>, bytes: &[u8]) -> Result<(), Errno> {
    if closed { Err(Errno::BADF) } else { write_all(to, bytes) }
}

/// Writes all of `bytes`. Waits for a slow reader, even if the descriptor is non-blocking.
fn write_all(to: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match retry_on_intr(|| rustix::io::write(to, bytes)) {
            Ok(0) => return Err(Errno::IO),
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(Errno::AGAIN) => {
                let mut ready = [PollFd::from_borrowed_fd(to, PollFlags::OUT)];
                let _ = retry_on_intr(|| rustix::event::poll(&mut ready, None));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reopens standard output, if it is a pipe or a terminal, for a guest that writes to it directly.
/// `O_NONBLOCK` belongs to the open file description. The guest then has a description of its own,
/// so no other process can set the flag and make its writes fail.
///
/// What cannot be reopened stays as it is: a socket, another user's pipe, or a pipe without a
/// reader.
pub fn open_output_again() {
    let old = stdout();
    let kind = rustix::fs::fstat(old).map(|stat| FileType::from_raw_mode(stat.st_mode));
    if kind != Ok(FileType::Fifo) && !rustix::termios::isatty(old) {
        return;
    }
    let flags = rustix::fs::fcntl_getfl(old).unwrap_or(OFlags::RDONLY);
    if (flags & OFlags::ACCMODE) == OFlags::RDONLY {
        return;
    }
    // Without `O_NONBLOCK`, opening a pipe that has no reader would wait for one.
    let wanted = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(c"/proc/self/fd/1", wanted, Mode::empty());
    let Ok(new) = opened.and_then(|new| {
        rustix::fs::fcntl_setfl(&new, flags & !OFlags::NONBLOCK & !OFlags::ACCMODE)?;
        Ok(new)
    }) else {
        return;
    };
    // On failure, standard output is unchanged.
    let _ = rustix::stdio::dup2_stdout(&new);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_name_is_the_last_path_component() {
        let name = |zero: Option<&str>| {
            let console = Console::new(zero.map(OsStr::new), "solo5-spt");
            console.program().to_owned()
        };
        assert_eq!(name(Some("/usr/bin/solo5-spt.2")), "solo5-spt.2");
        assert_eq!(name(Some("spt")), "spt");
        for empty in [None, Some(""), Some("/bin/")] {
            assert_eq!(name(empty), "solo5-spt");
        }
    }
}
