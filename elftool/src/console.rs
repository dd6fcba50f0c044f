//! How a verb ends, and what it says: the one place that writes to standard output and error.

use std::ffi::OsString;
use std::fmt::{self, Display};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use serde::Serialize;
use solo5_report::json::write_pretty;
use solo5_report::{Colour, Diagnostic, human, one_line};

use crate::files::{name, reason};

/// How a verb ended that did what it was asked to do. The worst of several is the greatest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// There is nothing to object.
    #[default]
    Clean = 0,
    /// There are findings, differences or denials.
    Objection = 1,
    /// Some of the inputs could not be used, and the console was told which.
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

/// Why a verb gave up.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A sentence about something that cannot be done.
    Cannot(String),
    /// What is wrong with a text that somebody wrote.
    Wrong(Vec<Diagnostic>),
    /// Lines for people, to be printed as they are.
    Lines(String),
    /// The command line makes no sense.
    Options(Box<clap::Error>),
}

impl Failure {
    /// What cannot be done with the file at `path`.
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
            Failure::Options(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Failure {}

/// The voice of the program.
#[derive(Debug)]
pub(crate) struct Console {
    program: String,
}

impl Console {
    /// Speaks for the program under the name it was called by: the last component of argument 0.
    pub(crate) fn new(arguments: &[OsString]) -> Console {
        let called = arguments.first().and_then(|called| Path::new(called).file_name());
        let program = called.map_or_else(|| String::from("solo5-elftool"), |it| name(it.as_ref()));
        Console { program }
    }

    /// The name the program was called by.
    pub(crate) fn program(&self) -> &str {
        &self.program
    }

    /// Says something on a line of standard error, behind the program's name.
    pub(crate) fn say(&self, text: impl Display) {
        // Nobody is left to tell if even this fails.
        let _ = io::stderr().write_all(self.line(&text.to_string()).as_bytes());
    }

    /// What [`Console::say`] prints.
    pub(crate) fn line(&self, text: &str) -> String {
        format!("{}: {}\n", one_line(&self.program), one_line(text))
    }

    /// Says something about the file at `path`.
    pub(crate) fn say_of(&self, path: &Path, text: impl Display) {
        self.say(format_args!("{}: {text}", name(path)));
    }

    /// Shows what is wrong with a text that somebody wrote.
    pub(crate) fn show(&self, found: &[Diagnostic]) {
        let text = human::human(found, Colour::detect(&io::stderr()));
        let _ = io::stderr().write_all(text.as_bytes());
    }

    /// Says why a verb gave up.
    pub(crate) fn fail(&self, failure: &Failure) {
        match failure {
            Failure::Cannot(text) => self.say(text),
            Failure::Wrong(found) => self.show(found),
            Failure::Lines(text) => drop(io::stderr().write_all(text.as_bytes())),
            Failure::Options(error) => drop(error.print()),
        }
    }

    /// Writes results to standard output. A reader that has seen enough is no error.
    pub(crate) fn stream(
        &self,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), Failure> {
        let mut out = BufWriter::new(io::stdout().lock());
        match write(&mut out).and_then(|()| out.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(Failure::Cannot(format!("standard output: {}", reason(&error))))
            }
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
