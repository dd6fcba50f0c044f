//! `gen-manifest`: a manifest's source, JSON or YAML, to C (`spec/10` §5.2).
//!
//! The source is validated before anything is written, and the output appears whole or not at all.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use solo5_manifest::{c, codes, output};
use solo5_report::{Diagnostic, Severity};
use solo5_source::Kind;

use crate::files::{complain, reason};

pub(crate) fn run(program: &str, source: &OsStr, output: &OsStr) -> u8 {
    let name = source.to_string_lossy();
    let bytes = match read(source) {
        Ok(bytes) => bytes,
        Err(error) => {
            let why = reason(&error);
            complain(program, format_args!("{name}: Could not open for reading: {why}"));
            return 1;
        }
    };
    let text = match c::compile(&name, &bytes) {
        Ok(text) => text,
        Err(diagnostics) => {
            for diagnostic in &diagnostics {
                complain_of(program, &name, &bytes, diagnostic);
            }
            return 1;
        }
    };
    match output::write(Path::new(output), text.as_bytes()) {
        Ok(_) => 0,
        Err(error) => {
            let output = output.to_string_lossy();
            let what = match error.kind() {
                io::ErrorKind::NotFound
                | io::ErrorKind::PermissionDenied
                | io::ErrorKind::IsADirectory
                | io::ErrorKind::NotADirectory
                | io::ErrorKind::ReadOnlyFilesystem => "Could not open for writing",
                _ => "Could not write",
            };
            complain(program, format_args!("{output}: {what}: {}", reason(&error)));
            1
        }
    }
}

/// Reads SOURCE, no more of it than decides that it is too long.
fn read(source: &OsStr) -> io::Result<Vec<u8>> {
    let limit = solo5_source::SIZE_MAX as u64 + 1;
    let mut bytes = Vec::new();
    if source == "-" {
        io::stdin().lock().take(limit).read_to_end(&mut bytes)?;
    } else {
        File::open(source)?.take(limit).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

/// Prints one diagnostic as upstream does, `PROG: SOURCE:LINE: TEXT`, and its help on a line of
/// its own.
fn complain_of(program: &str, name: &str, bytes: &[u8], diagnostic: &Diagnostic) {
    let line = line(name, bytes, diagnostic);
    let text = diagnostic.message.replace('\n', " ");
    match diagnostic.severity {
        Severity::Error => complain(program, format_args!("{name}:{line}: {text}")),
        severity => {
            let severity = severity.name();
            complain(program, format_args!("{name}:{line}: {severity}: {text}"));
        }
    }
    if let Some(help) = &diagnostic.help {
        let help = help.replace('\n', " ");
        complain(program, format_args!("{name}:{line}: help: {help}"));
    }
}

fn line(name: &str, bytes: &[u8], diagnostic: &Diagnostic) -> usize {
    let labelled =
        diagnostic.labels.first().map_or(1, |label| label.source.position(label.span.start).line);
    // Upstream counts entries when it has seen the whole list, and names the line it starts on.
    if diagnostic.code != codes::TOO_MANY_DEVICES {
        return labelled;
    }
    let Ok(document) = solo5_source::parse(name, bytes) else {
        return labelled;
    };
    let Kind::Mapping(pairs) = &document.root.kind else {
        return labelled;
    };
    let devices = pairs.iter().find(|pair| pair.key.text == "devices");
    devices.map_or(labelled, |pair| document.source.position(pair.key.span.start).line)
}
