//! Exit statuses and messages of verbs. Only this file writes to standard output and error.

use std::ffi::OsString;
use std::fmt::{self, Display};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use serde::Serialize;
use solo5_report::json::write_pretty;
use solo5_report::{Colour, Diagnostic, human, one_line};

use crate::files::{name, reason};

/// The outcome of a verb that ran to its end. The worst of several outcomes compares greatest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// No findings, differences or denials.
    #[default]
    Clean = 0,
    /// There are findings, differences or denials.
    Objection = 1,
    /// Some inputs could not be used; a message for each was printed.
    Incomplete = 2,
}

impl Exit {
    /// [`Exit::Objection`] if there is one.
    pub(crate) fn objection_if(objection: bool) -> Exit {
        if objection { Exit::Objection } else { Exit::Clean }
    }

    /// The status of the process.
    pub(crate) fn status(self) -> u8 {
        self as u8
    }
}

/// Why a verb failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A message of one sentence.
    Cannot(String),
    /// Errors in a file that an operator wrote.
    Wrong(Vec<Diagnostic>),
    /// Lines to print unchanged.
    Lines(String),
    /// A wrong command line.
    Options(Box<clap::Error>),
}

impl Failure {
    /// An error about the file at `path`.
    pub(crate) fn of(path: &Path, why: impl Display) -> Failure {
        Failure::Cannot(format!("{}: {why}", name(path)))
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Cannot(text) | Failure::Lines(text) => f.write_str(text),
            Failure::Wrong(found) => {
                let lines: Vec<String> = found.iter().map(human::line).collect();
                f.write_str(&lines.join("\n"))
            }
            Failure::Options(error) => f.write_str(&solo5_report::usage::text(error)),
        }
    }
}

impl std::error::Error for Failure {}

/// Results cannot be printed.
pub(crate) fn no_output(error: &io::Error) -> Failure {
    Failure::Cannot(format!("standard output: {}", reason(error)))
}

/// Prints messages under the program's name.
#[derive(Debug)]
pub(crate) struct Console {
    program: String,
}

impl Console {
    /// Takes the program's name from the last component of argument 0.
    pub(crate) fn new(arguments: &[OsString]) -> Console {
        let called = arguments.first().and_then(|called| Path::new(called).file_name());
        let program = called.map_or_else(|| String::from("solo5-elftool"), |it| name(it.as_ref()));
        Console { program }
    }

    /// The name the program was called by.
    pub(crate) fn program(&self) -> &str {
        &self.program
    }

    /// Prints a line to standard error, after the program's name.
    pub(crate) fn say(&self, text: impl Display) {
        // If standard error cannot be written to, there is nowhere to report it.
        let _ = io::stderr().write_all(self.line(&text.to_string()).as_bytes());
    }

    /// What [`Console::say`] prints.
    pub(crate) fn line(&self, text: &str) -> String {
        format!("{}: {}\n", one_line(&self.program), one_line(text))
    }

    /// Prints a message about the file at `path`.
    pub(crate) fn say_of(&self, path: &Path, text: impl Display) {
        self.say(format_args!("{}: {text}", name(path)));
    }

    /// Prints diagnostics about a file to standard error.
    pub(crate) fn show(&self, found: &[Diagnostic]) {
        let text = human::human(found, Colour::detect(&io::stderr()));
        let _ = io::stderr().write_all(text.as_bytes());
    }

    /// Prints why a verb failed.
    pub(crate) fn fail(&self, failure: &Failure) {
        match failure {
            Failure::Cannot(text) => self.say(text),
            Failure::Wrong(found) => self.show(found),
            Failure::Lines(text) => drop(io::stderr().write_all(text.as_bytes())),
            Failure::Options(error) => drop(solo5_report::usage::print(error)),
        }
    }

    /// Writes results to standard output. A closed pipe is not an error.
    pub(crate) fn stream(
        &self,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), Failure> {
        let mut out = BufWriter::new(solo5_streams::stdout());
        match write(&mut out).and_then(|()| out.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(no_output(&error)),
            _ => Ok(()),
        }
    }

    /// Prints a text of whole lines.
    pub(crate) fn print(&self, text: &str) -> Result<(), Failure> {
        self.stream(|out| out.write_all(text.as_bytes()))
    }

    /// Prints a result for programs.
    pub(crate) fn print_json(&self, value: &impl Serialize) -> Result<(), Failure> {
        self.stream(|out| write_pretty(out, value))
    }
}
