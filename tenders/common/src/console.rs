//! What a tender says: lines on standard error behind its name, each written at once.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use rustix::stdio::{stderr, stdout};
use solo5_report::printable;

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
        let program = match String::from_utf8_lossy(base) {
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
        self.text(&format!("{}: {}\n", self.program, text.replace('\n', "\\n")));
    }

    /// Says something to copy from, on a line of its own behind a tab.
    pub fn example(&self, text: &str) {
        write_all(stderr(), format!("\t{}\n", printable(text)).as_bytes());
    }

    /// Says a text of whole lines.
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
    }
}

/// Writes results to standard output. A reader that has gone away is no error.
pub fn output(text: &str) {
    write_all(stdout(), text.as_bytes());
}

/// Writes everything as long as that goes on; who cannot be told cannot be told of it either.
fn write_all(to: rustix::fd::BorrowedFd<'_>, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match rustix::io::retry_on_intr(|| rustix::io::write(to, bytes)) {
            Ok(count) if count > 0 => bytes = bytes.get(count..).unwrap_or_default(),
            _ => return,
        }
    }
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
