//! Diagnostics as workflow commands of GitHub Actions, which shows them in the files.

use std::fmt::Write;

use crate::diagnostic::{Diagnostic, Severity};
use crate::escape::{one_line, printable};
use crate::human::place_text;

/// One diagnostic as one line, with its line end.
pub fn command(diagnostic: &Diagnostic) -> String {
    let kind = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "notice",
    };
    let mut properties = String::new();
    let mut text = one_line(&diagnostic.message);
    // Writing to a String cannot fail.
    if let Some(label) = diagnostic.labels.first() {
        let start = label.source.position(label.span.start);
        let end = label.source.position(label.span.end);
        let _ = write!(
            properties,
            "file={},line={},endLine={},col={},endColumn={},",
            property(&label.source.name),
            start.line,
            end.line,
            start.column,
            end.column
        );
    } else if let Some(place) = &diagnostic.place {
        let _ = write!(properties, "file={},", property(&place.file));
        text = format!("{text}\n{}", place_text(place));
    }
    for more in diagnostic.notes.iter().chain(&diagnostic.help) {
        text.push('\n');
        text.push_str(&one_line(more));
    }
    let title = property(diagnostic.code);
    // The parts of the text are escaped, so only the line ends added here remain.
    format!("::{kind} {properties}title={title}::{}\n", encoded(&text))
}

/// Like [`command`], for a diagnostic that is waived for the reason `why`.
pub fn waived(diagnostic: &Diagnostic, why: &str) -> String {
    let mut shown = diagnostic.clone();
    shown.severity = Severity::Note;
    shown.message = format!("{} (waived: {why})", shown.message);
    command(&shown)
}

/// A file that could not be read, as one line.
pub fn unreadable(file: &str, why: &str) -> String {
    format!("::error file={}::{}\n", property(file), encoded(&one_line(&format!("{file}: {why}"))))
}

/// The text after `::`. A line end would end the command, and `%` would start an escape.
fn encoded(text: &str) -> String {
    text.replace('%', "%25").replace('\n', "%0A")
}

/// The value of a property. GitHub decodes it, so line ends in a file name survive.
fn property(text: &str) -> String {
    encoded(&printable(text)).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Place;

    #[test]
    fn nothing_in_a_name_ends_the_command() {
        let place = Place { file: String::from("a,b:c%\n::set-output\r"), ..Place::default() };
        let line = command(&Diagnostic::error("S101", "bad").at(place).with_help("mend"));
        let file = "a%2Cb%3Ac%25%0A%3A%3Aset-output\\r";
        assert_eq!(
            line,
            format!(
                "::error file={file},title=S101::bad%0A\
                 a,b:c%25\\n::set-output\\r%0Amend\n"
            )
        );
        assert_eq!(
            waived(&Diagnostic::warning("S202", "odd"), "known, 50%"),
            "::notice title=S202::odd (waived: known, 50%25)\n"
        );
        assert_eq!(unreadable("x", "gone"), "::error file=x::x: gone\n");
    }
}
