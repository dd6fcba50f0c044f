//! What a tender says: lines on standard error behind its name, each written at once.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use rustix::event::{PollFd, PollFlags};
use rustix::fd::BorrowedFd;
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};
use rustix::stdio::{stderr, stdout};
use solo5_report::{one_line, os_text, printable};

use crate::error::{Error, Reason, Refusal, Warning};

/// The tender's voice.
#[derive(Clone, Debug)]
pub struct Console {
    program: String,
}

impl Console {
    /// For the program called by `argument_zero`; `otherwise` if that is empty.
    pub fn new(argument_zero: Option<&OsStr>, otherwise: &str) -> Console {
        let name = argument_zero.map(OsStr::as_bytes).unwrap_or_default();
        let base = name.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let program = match os_text(OsStr::from_bytes(base)) {
            base if base.is_empty() => otherwise.to_owned(),
            base => base.into_owned(),
        };
        Console { program }
    }

    /// The program's name.
    pub fn program(&self) -> &str {
        &self.program
    }

    /// Says one thing on a line behind the program's name.
    pub fn line(&self, text: &str) {
        let line = format!("{}: {}\n", one_line(&self.program), one_line(text));
        write_all(stderr(), line.as_bytes());
    }

    /// Says something to copy from, on a line of its own behind a tab.
    pub fn example(&self, text: &str) {
        write_all(stderr(), format!("\t{}\n", one_line(text)).as_bytes());
    }

    /// Says a text of whole lines of ours.
    pub fn text(&self, text: &str) {
        write_all(stderr(), printable(text).as_bytes());
    }

    /// Says what is wrong although the tender goes on.
    pub fn warn(&self, warning: &Warning) {
        self.line(&warning.to_string());
    }

    /// Says why the tender does not go on.
    pub fn error(&self, error: &Error) {
        self.line(&error.line());
    }

    /// Says why no guest is started; `usage` is the usage text, for those that ask for it.
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
            self.text(&usage());
        }
        if let Some(closing) = refusal.closing() {
            self.line(&closing);
        }
    }
}

/// Writes results to standard output. A reader that has gone away is no error.
pub fn output(text: &str) {
    write_all(stdout(), text.as_bytes());
}

/// Writes everything as long as that goes on; who cannot be told cannot be told of it either. A
/// reader that is slow is waited for, also where the descriptor is non-blocking.
fn write_all(to: BorrowedFd<'_>, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match retry_on_intr(|| rustix::io::write(to, bytes)) {
            Ok(count) if count > 0 => bytes = bytes.get(count..).unwrap_or_default(),
            Err(Errno::AGAIN) => {
                let mut ready = [PollFd::from_borrowed_fd(to, PollFlags::OUT)];
                let _ = retry_on_intr(|| rustix::event::poll(&mut ready, None));
            }
            _ => return,
        }
    }
}

/// Opens standard output once more, if it is a pipe or a terminal, for a guest that writes to it
/// itself. `O_NONBLOCK` belongs to what is opened, so that no other process that shares the old one
/// can make the guest's writes fail.
///
/// What cannot be opened again stays: a socket, a pipe of another user's, one that nobody reads any
/// more.
pub fn open_output_again() {
    let old = stdout();
    let kind = rustix::fs::fstat(old).map(|stat| FileType::from_raw_mode(stat.st_mode));
    let is_stream = kind == Ok(FileType::Fifo) || rustix::termios::isatty(old);
    let flags = rustix::fs::fcntl_getfl(old).unwrap_or(OFlags::RDONLY);
    if !is_stream || (flags & OFlags::ACCMODE) == OFlags::RDONLY {
        return;
    }
    // Opening a pipe without a reader would wait for one.
    let wanted = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(c"/proc/self/fd/1", wanted, Mode::empty());
    let Ok(new) = opened.and_then(|new| {
        rustix::fs::fcntl_setfl(&new, flags & !OFlags::NONBLOCK & !OFlags::ACCMODE)?;
        Ok(new)
    }) else {
        return;
    };
    // If it fails, standard output is as it was.
    let _ = rustix::stdio::dup2_stdout(&new);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_the_last_part_of_how_it_was_called() {
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
