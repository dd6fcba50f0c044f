//! `audit`: the rules over any number of images. One image is in memory at a time.

use std::fmt::Write;
use std::io;
use std::path::Path;

use anstyle::{AnsiColor, Style};
use serde_json::{Value, json};
use solo5_audit::{RULES, Selection, Subject, audit_subject};
use solo5_report::json::json as diagnostic_json;
use solo5_report::{Colour, Diagnostic, Severity, printable};

use crate::cli::{AuditOptions, FAILED, Format};
use crate::draw;
use crate::files::{complain, open, print, reason};

/// Findings by severity, and files that could not be read.
#[derive(Default)]
struct Totals {
    images: usize,
    errors: usize,
    warnings: usize,
    notes: usize,
    unreadable: usize,
}

pub(crate) fn run(program: &str, options: &AuditOptions) -> u8 {
    let selection = Selection {
        select: options.select.clone(),
        ignore: options.ignore.clone(),
        least: None,
    };
    let mut unknown = options
        .select
        .iter()
        .chain(&options.ignore)
        .filter(|prefix| {
            let prefix = prefix.to_ascii_uppercase();
            prefix.is_empty() || !RULES.iter().any(|rule| rule.code.starts_with(&prefix))
        });
    if let Some(unknown) = unknown.next() {
        complain(
            program,
            format_args!("no rule starts with '{unknown}'; see `explain`"),
        );
        return FAILED;
    }
    let rules = RULES.iter().filter(|rule| selection.selects(rule)).count();
    let colour = Colour::detect(&io::stdout());
    let mut totals = Totals::default();
    let mut worst = None;
    let mut status = match options.format {
        Format::Human => 0,
        Format::Json => print(program, "{\"images\":[", 0, FAILED),
    };
    for path in &options.images {
        let name = path.to_string_lossy();
        let (file, size) = match readable(path) {
            Ok(found) => found,
            Err(why) => {
                complain(program, format_args!("{}: {why}", printable(&name)));
                totals.unreadable += 1;
                continue;
            }
        };
        let subject = Subject::new(&name, &file);
        let findings = audit_subject(&subject, &selection);
        totals.count(&findings);
        worst = worst.max(solo5_report::diagnostic::worst(&findings));
        let text = match options.format {
            Format::Human => human(&subject, size, &findings, colour),
            Format::Json => {
                let comma = if totals.images > 1 { "," } else { "" };
                format!("{comma}\n{}", report(&subject, size, &findings))
            }
        };
        status = status.max(print(program, &text, 0, FAILED));
    }
    let closing = match options.format {
        Format::Human => totals.human(rules),
        Format::Json => totals.json(rules),
    };
    status = status.max(print(program, &closing, 0, FAILED));
    let fails = worst.is_some_and(|worst| worst >= Severity::from(options.fail_on));
    if status != 0 || totals.unreadable > 0 {
        FAILED
    } else {
        u8::from(fails && !options.exit_zero)
    }
}

/// Opens an image and says how long it is.
pub(crate) fn readable(path: &Path) -> Result<(std::fs::File, Option<u64>), String> {
    let file = open(path).map_err(|error| reason(&error))?;
    let metadata = file.metadata().map_err(|error| reason(&error))?;
    if metadata.is_dir() {
        return Err(String::from("is a folder; name the images in it"));
    }
    let size = metadata.is_file().then_some(metadata.len());
    Ok((file, size))
}

impl Totals {
    fn count(&mut self, findings: &[Diagnostic]) {
        self.images += 1;
        for finding in findings {
            match finding.severity {
                Severity::Error => self.errors += 1,
                Severity::Warning => self.warnings += 1,
                Severity::Note => self.notes += 1,
            }
        }
    }

    fn human(&self, rules: usize) -> String {
        let count = |number: usize, word: &str| {
            let plural = if number == 1 { "" } else { "s" };
            format!("{number} {word}{plural}")
        };
        let mut out = format!(
            "{}, {}",
            count(self.errors, "error"),
            count(self.warnings, "warning")
        );
        if self.notes > 0 {
            out = format!("{out}, {}", count(self.notes, "note"));
        }
        out = format!(
            "{out} · {}, {}",
            count(rules, "rule"),
            count(self.images, "image")
        );
        if self.unreadable > 0 {
            out = format!("{out}, {} not readable", self.unreadable);
        }
        out + "\n"
    }

    fn json(&self, rules: usize) -> String {
        let Totals {
            images,
            errors,
            warnings,
            notes,
            unreadable,
        } = self;
        let summary = json!({
            "images": images,
            "rules": rules,
            "errors": errors,
            "warnings": warnings,
            "notes": notes,
            "unreadable": unreadable,
        });
        format!("\n],\"summary\":{summary}}}\n")
    }
}

fn human(
    subject: &Subject<'_>,
    size: Option<u64>,
    findings: &[Diagnostic],
    colour: Colour,
) -> String {
    let paint = |style: Style, text: &str| match colour {
        Colour::Always => format!("{style}{text}{style:#}"),
        Colour::Never => text.to_owned(),
    };
    let mut out = draw::headline(subject, size);
    out.push('\n');
    out.push_str(&draw::segments(subject, findings));
    for finding in findings {
        let style = match finding.severity {
            Severity::Error => AnsiColor::Red.on_default().bold(),
            Severity::Warning => AnsiColor::Yellow.on_default().bold(),
            Severity::Note => AnsiColor::Cyan.on_default(),
        };
        let severity = paint(style, &format!("{:<7}", finding.severity.name()));
        let place = finding.place.as_ref().map(draw::place).unwrap_or_default();
        let message = printable(&finding.message).replace('\n', " ");
        let line = format!("{severity} {} {message:<50}  {place}", finding.code);
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{}", line.trim_end());
        for note in &finding.notes {
            let _ = writeln!(out, "             {}", printable(note));
        }
        let help = finding.help.as_deref().unwrap_or_default();
        let _ = writeln!(out, "             {help}");
    }
    let mut codes: Vec<&str> = findings.iter().map(|finding| finding.code).collect();
    codes.dedup();
    if let Some(code) = codes.first() {
        let hint = paint(
            Style::new().dimmed(),
            &format!("solo5-elftool explain {code}"),
        );
        let _ = writeln!(out, "             {hint}");
    }
    out.push('\n');
    out
}

fn report(subject: &Subject<'_>, size: Option<u64>, findings: &[Diagnostic]) -> Value {
    let image = subject.image();
    let abi = image.and_then(|image| image.abi().ok());
    json!({
        "file": subject.name(),
        "size": size,
        "arch": image.map(|image| image.arch().name()),
        "target": abi.map(|abi| abi.target_name()),
        "abi_version": abi.map(|abi| abi.version()),
        "findings": findings.iter().map(diagnostic_json).collect::<Vec<_>>(),
    })
}
