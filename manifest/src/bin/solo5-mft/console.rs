//! Inputs, diagnostics and the exit status.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use serde_json::json;
use solo5_manifest::codes;
use solo5_output::input::Input;
use solo5_report::{Colour, Diagnostic, Severity, human, json, path_text};

use crate::PROGRAM;
use crate::args::Format;

/// A failure that ends the program with status 2.
pub(crate) type Failure = Box<Diagnostic>;

/// Collects diagnostics and decides the exit status.
pub(crate) struct Console {
    format: Format,
    diagnostics: Vec<Diagnostic>,
    failed: bool,
    /// Whether JSON goes to standard output. It does for verbs whose result is diagnostics.
    pub(crate) diagnostics_are_result: bool,
}

impl Console {
    pub(crate) fn new(format: Format) -> Console {
        Console { format, diagnostics: Vec::new(), failed: false, diagnostics_are_result: false }
    }

    /// Adds diagnostics about the input.
    pub(crate) fn report(&mut self, diagnostics: impl IntoIterator<Item = Diagnostic>) {
        self.diagnostics.extend(diagnostics);
    }

    /// Adds a diagnostic that says why the work could not be done.
    pub(crate) fn fail(&mut self, diagnostic: Diagnostic) {
        self.failed = true;
        self.diagnostics.push(diagnostic);
    }

    /// Prints everything and returns the exit status.
    pub(crate) fn finish(self) -> ExitCode {
        let (text, to_stdout) = match self.format {
            Format::Human => {
                let colour = Colour::detect(&io::stderr());
                (human::human(&self.diagnostics, colour), false)
            }
            Format::Json if self.diagnostics.is_empty() && !self.diagnostics_are_result => {
                (String::new(), false)
            }
            Format::Json => {
                let diagnostics: Vec<_> = self.diagnostics.iter().map(json::json).collect();
                let text = format!("{:#}\n", json!({ "diagnostics": diagnostics }));
                (text, self.diagnostics_are_result)
            }
        };
        let printed = if to_stdout {
            write_stdout(text.as_bytes())
        } else {
            // If even this cannot be written, only the exit status tells.
            let _ = io::stderr().lock().write_all(text.as_bytes());
            Ok(())
        };
        if let Err(error) = &printed {
            let _ = writeln!(io::stderr(), "{PROGRAM}: standard output: {error}");
        }
        let worst = solo5_report::diagnostic::worst(&self.diagnostics);
        if self.failed || printed.is_err() {
            ExitCode::from(2)
        } else if worst >= Some(Severity::Warning) {
            ExitCode::from(1)
        } else {
            ExitCode::SUCCESS
        }
    }
}

fn write_stdout(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = solo5_streams::stdout();
    let written = stdout.write_all(bytes).and_then(|()| stdout.flush());
    match written {
        // A closed pipe is not an error: the reader needs no more.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Writes a result to standard output.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    write_stdout(text.as_bytes()).map_err(|error| cannot_write(Path::new("-"), &error))
}

/// The name of a file in diagnostics.
pub(crate) fn name_of(path: &Path) -> String {
    path_text(path).into_owned()
}

/// Reads a source, at most one byte more than the limit on its length. The extra byte tells the check
/// that the file is too long.
pub(crate) fn read_source(path: &Path) -> Result<Vec<u8>, Failure> {
    let limit = solo5_source::SIZE_MAX as u64 + 1;
    Input::read_all(path, limit).map_err(|error| cannot_read(path, &error))
}

/// The diagnostic of a file that cannot be read.
pub(crate) fn cannot_read(path: &Path, error: &io::Error) -> Failure {
    let message = format!("cannot read {}: {error}", name_of(path));
    let help = match path == Path::new("-") {
        true => "give the program a standard input that is open for reading",
        false => "check that the file exists and may be read; `-` is standard input",
    };
    Box::new(Diagnostic::error(codes::CANNOT_READ, message).with_help(help))
}

/// The diagnostic of a file that cannot be written.
pub(crate) fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    let message = format!("cannot write {}: {error}", name_of(path));
    let help = match error.kind() {
        io::ErrorKind::StorageFull => "make room; the old file is unchanged",
        _ if path == Path::new("-") => {
            "give the program a standard output that is open for writing"
        }
        _ => "check that its folder exists and may be written to; `-` is standard output",
    };
    Box::new(Diagnostic::error(codes::CANNOT_WRITE, message).with_help(help))
}
