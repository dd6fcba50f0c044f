//! `gen-manifest`: a manifest's source, JSON or YAML, to C
//! (`docs/reference/manifest.md#gen-manifest`).
//!
//! The source is validated before anything is written, and the output appears whole or not at all.

use std::ffi::OsStr;
use std::io;
use std::path::Path;

use solo5_manifest::{c, codes};
use solo5_output::input::Input;
use solo5_report::{Diagnostic, Severity};
use solo5_source::Kind;

use crate::console::{Console, Failure};
use crate::files::{name, reason};

pub(crate) fn run(console: &Console, source: &OsStr, output: &OsStr) -> Result<(), Failure> {
    let named = Path::new(source);
    // One byte more than the limit, which the check of the length sees.
    let limit = solo5_source::SIZE_MAX as u64 + 1;
    let bytes = Input::read_all(named, limit).map_err(|error| {
        Failure::of(named, format_args!("Could not open for reading: {}", reason(&error)))
    })?;
    let name = name(named);
    let text = c::compile(&name, &bytes)
        .map_err(|found| Failure::Lines(complaints(console, &name, &bytes, &found)))?;
    if solo5_output::is_same_file(named, Path::new(output)) {
        return Err(Failure::of(named, "not written: it is the manifest itself"));
    }
    solo5_output::write(Path::new(output), text.as_bytes()).map(drop).map_err(|error| {
        let what = match error.kind() {
            io::ErrorKind::NotFound
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::IsADirectory
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::ReadOnlyFilesystem => "Could not open for writing",
            _ => "Could not write",
        };
        Failure::of(Path::new(output), format_args!("{what}: {}", reason(&error)))
    })
}

/// The diagnostics as upstream prints them, `PROG: SOURCE:LINE: TEXT`, each help on a line of its
/// own.
fn complaints(console: &Console, name: &str, bytes: &[u8], found: &[Diagnostic]) -> String {
    let mut lines = Vec::new();
    for diagnostic in found {
        let line = line(name, bytes, diagnostic);
        let severity = match diagnostic.severity {
            Severity::Error => String::new(),
            severity => format!("{}: ", severity.name()),
        };
        let text = diagnostic.message.replace('\n', " ");
        lines.push(format!("{name}:{line}: {severity}{text}"));
        let help = diagnostic.help.iter().map(|help| help.replace('\n', " "));
        lines.extend(help.map(|help| format!("{name}:{line}: help: {help}")));
    }
    lines.iter().map(|line| console.line(line)).collect()
}

fn line(name: &str, bytes: &[u8], diagnostic: &Diagnostic) -> usize {
    let labelled =
        diagnostic.labels.first().map_or(1, |label| label.source.position(label.span.start).line);
    // Upstream counts entries after it has seen the whole list, and reports the line where the list
    // starts.
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
