//! For people: a line of facts, the segments to scale, then the findings.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use solo5_report::{Colour, Diagnostic, Severity, one_line};

use super::printer::{Audited, Printer, Totals};
use crate::draw;
use crate::inputs::InputError;
use crate::waive::Findings;

/// Indentation of the lines below a finding.
const INDENT: &str = "             ";

pub(super) struct Human {
    pub(super) colour: Colour,
    /// How many rules were applied.
    pub(super) rules: usize,
}

impl Human {
    fn paint(&self, style: Style, text: &str) -> String {
        match self.colour {
            Colour::Always => format!("{style}{text}{style:#}"),
            Colour::Never => text.to_owned(),
        }
    }

    /// The first line of a finding.
    fn headline(
        &self,
        style: Style,
        word: &str,
        finding: &Diagnostic,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let word = self.paint(style, &format!("{word:<7}"));
        let place = finding.place.as_deref().map(draw::place).unwrap_or_default();
        let message = one_line(&finding.message);
        let line = format!("{word} {} {message:<50}  {place}", finding.code);
        writeln!(out, "{}", line.trim_end())
    }
}

impl Printer for Human {
    fn image(&self, image: &Audited<'_>, out: &mut dyn Write) -> io::Result<()> {
        let Findings { standing, waived, .. } = image.findings;
        writeln!(out, "{}", draw::headline(image.subject, image.size))?;
        write!(out, "{}", draw::segments(image.subject, standing))?;
        for finding in standing {
            let style = match finding.severity {
                Severity::Error => AnsiColor::Red.on_default().bold(),
                Severity::Warning => AnsiColor::Yellow.on_default().bold(),
                Severity::Note => AnsiColor::Cyan.on_default(),
            };
            self.headline(style, finding.severity.name(), finding, out)?;
            for note in &finding.notes {
                writeln!(out, "{INDENT}{}", one_line(note))?;
            }
            writeln!(out, "{INDENT}{}", finding.help.as_deref().unwrap_or_default())?;
        }
        for (finding, waived) in waived {
            self.headline(Style::new().dimmed(), "waived", finding, out)?;
            writeln!(out, "{INDENT}{}", one_line(&waived.justification()))?;
        }
        if let Some(first) = standing.first() {
            let hint = format!("solo5-elftool explain {}", first.code);
            writeln!(out, "{INDENT}{}", self.paint(Style::new().dimmed(), &hint))?;
        }
        writeln!(out)
    }

    fn closing(&self, totals: &Totals, _: &[InputError], out: &mut dyn Write) -> io::Result<()> {
        let found = &totals.found;
        write!(out, "{}, {}", count(found.errors, "error"), count(found.warnings, "warning"))?;
        if found.notes > 0 {
            write!(out, ", {}", count(found.notes, "note"))?;
        }
        if found.waived > 0 {
            write!(out, ", {} waived", found.waived)?;
        }
        write!(out, " · {}, {}", count(self.rules, "rule"), count(totals.images, "image"))?;
        for (number, what) in [(totals.skipped, "not ELF"), (totals.unreadable, "not readable")] {
            if number > 0 {
                write!(out, ", {number} {what}")?;
            }
        }
        writeln!(out)
    }
}

fn count(number: usize, word: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {word}{plural}")
}
