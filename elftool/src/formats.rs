//! The findings of an audit in every format. A report is printed piece by piece: opening, one piece
//! per image, closing; so it need not fit in memory, and pieces can be made in parallel.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};
use clap::ValueEnum;
use serde_json::{Value, json};
use solo5_audit::{Rule, Subject};
use solo5_report::json::json as diagnostic_json;
use solo5_report::junit::{Case, Outcome};
use solo5_report::{Colour, Diagnostic, Severity, github, junit, one_line, printable, sarif};

use crate::draw;
use crate::waive::Findings;

/// The name of the program in reports.
const TOOL: &str = "solo5-elftool";

/// The formats of `audit`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum AuditFormat {
    /// For people
    #[default]
    Human,
    /// For programs; `schemas/report.json` describes it
    Json,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// Workflow commands of GitHub Actions
    Github,
    /// JUnit's XML, for CI
    Junit,
}

/// Findings by severity.
#[derive(Default)]
pub(crate) struct Counts {
    errors: usize,
    warnings: usize,
    notes: usize,
    /// Those that policies accept for a time, which are not among the others.
    waived: usize,
}

/// Findings by severity, and files.
#[derive(Default)]
pub(crate) struct Totals {
    /// Images audited.
    pub(crate) images: usize,
    /// What was found in them.
    found: Counts,
    /// Files in folders that are not ELF.
    pub(crate) skipped: usize,
    /// Files that could not be read.
    pub(crate) unreadable: usize,
}

/// An image and what was found.
pub(crate) struct Audited<'a> {
    pub(crate) subject: &'a Subject<'a>,
    /// Bytes in its file, where that is known.
    pub(crate) size: Option<u64>,
    pub(crate) findings: &'a Findings,
}

/// How a report is printed.
pub(crate) struct Printer {
    pub(crate) format: AuditFormat,
    pub(crate) colour: Colour,
    /// The rules that were applied.
    pub(crate) rules: Vec<&'static Rule>,
}

impl Printer {
    /// What comes before the first image.
    pub(crate) fn opening(&self) -> String {
        match self.format {
            AuditFormat::Human | AuditFormat::Github => String::new(),
            AuditFormat::Json => String::from("{\"images\":["),
            AuditFormat::Sarif => {
                let rules: Vec<sarif::Rule<'_>> = self
                    .rules
                    .iter()
                    .map(|rule| sarif::Rule {
                        code: rule.code,
                        title: rule.title,
                        help: rule.help,
                        severity: rule.severity,
                    })
                    .collect();
                sarif::opening(TOOL, &rules)
            }
            AuditFormat::Junit => String::from(junit::OPENING),
        }
    }

    /// One image; empty if the format says nothing of it.
    pub(crate) fn image(&self, image: &Audited<'_>) -> String {
        match self.format {
            AuditFormat::Human => self.human(image),
            AuditFormat::Json => json_image(image).to_string(),
            AuditFormat::Sarif => {
                let standing = image.findings.standing.iter();
                let standing = standing.map(|finding| sarif::result(finding, None));
                let waived =
                    image.findings.waived.iter().map(|(finding, waived)| {
                        sarif::result(finding, Some(&waived.justification()))
                    });
                let results: Vec<String> =
                    standing.chain(waived).map(|result| result.to_string()).collect();
                results.join(",\n")
            }
            AuditFormat::Github => {
                let standing = image.findings.standing.iter().map(github::command);
                let waived = image
                    .findings
                    .waived
                    .iter()
                    .map(|(finding, waived)| github::waived(finding, &waived.justification()));
                standing.chain(waived).collect()
            }
            AuditFormat::Junit => self.junit(image),
        }
    }

    /// One file that could not be read; empty where the closing lists them.
    pub(crate) fn unreadable(&self, file: &str, why: &str) -> String {
        match self.format {
            AuditFormat::Github => github::unreadable(file, why),
            AuditFormat::Junit => {
                let case = Case {
                    name: String::from("readable"),
                    outcome: Outcome::Error(why.to_owned()),
                };
                junit::suite(file, &[case])
            }
            AuditFormat::Human | AuditFormat::Json | AuditFormat::Sarif => String::new(),
        }
    }

    /// Between two pieces that are not empty.
    pub(crate) fn separator(&self) -> &'static str {
        match self.format {
            AuditFormat::Json | AuditFormat::Sarif => ",\n",
            AuditFormat::Human | AuditFormat::Github | AuditFormat::Junit => "",
        }
    }

    /// What comes after the last image.
    pub(crate) fn closing(&self, totals: &Totals, unreadable: &[(String, String)]) -> String {
        match self.format {
            AuditFormat::Human => self.human_totals(totals),
            AuditFormat::Json => self.json_totals(totals),
            AuditFormat::Sarif => sarif::closing(unreadable),
            AuditFormat::Github => String::new(),
            AuditFormat::Junit => String::from(junit::CLOSING),
        }
    }

    fn human(&self, image: &Audited<'_>) -> String {
        let paint = |style: Style, text: &str| match self.colour {
            Colour::Always => format!("{style}{text}{style:#}"),
            Colour::Never => text.to_owned(),
        };
        let Findings { standing, waived, .. } = image.findings;
        let mut out = draw::headline(image.subject, image.size);
        out.push('\n');
        out.push_str(&draw::segments(image.subject, standing));
        for finding in standing {
            let style = match finding.severity {
                Severity::Error => AnsiColor::Red.on_default().bold(),
                Severity::Warning => AnsiColor::Yellow.on_default().bold(),
                Severity::Note => AnsiColor::Cyan.on_default(),
            };
            let severity = paint(style, &format!("{:<7}", finding.severity.name()));
            let place = finding.place.as_deref().map(draw::place).unwrap_or_default();
            let message = printable(&finding.message).replace('\n', " ");
            let line = format!("{severity} {} {message:<50}  {place}", finding.code);
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{}", line.trim_end());
            for note in &finding.notes {
                let _ = writeln!(out, "             {}", one_line(note));
            }
            let help = finding.help.as_deref().unwrap_or_default();
            let _ = writeln!(out, "             {help}");
        }
        for (finding, waived) in waived {
            let severity = paint(Style::new().dimmed(), "waived ");
            let message = printable(&finding.message).replace('\n', " ");
            let place = finding.place.as_deref().map(draw::place).unwrap_or_default();
            let line = format!("{severity} {} {message:<50}  {place}", finding.code);
            let _ = writeln!(out, "{}", line.trim_end());
            let _ = writeln!(out, "             {}", waived.justification());
        }
        if let Some(first) = standing.first() {
            let hint = format!("{TOOL} explain {}", first.code);
            let hint = paint(Style::new().dimmed(), &hint);
            let _ = writeln!(out, "             {hint}");
        }
        out.push('\n');
        out
    }

    fn human_totals(&self, totals: &Totals) -> String {
        let count = |number: usize, word: &str| {
            let plural = if number == 1 { "" } else { "s" };
            format!("{number} {word}{plural}")
        };
        let found = &totals.found;
        let mut out =
            format!("{}, {}", count(found.errors, "error"), count(found.warnings, "warning"));
        if found.notes > 0 {
            out = format!("{out}, {}", count(found.notes, "note"));
        }
        if found.waived > 0 {
            out = format!("{out}, {} waived", found.waived);
        }
        out = format!(
            "{out} · {}, {}",
            count(self.rules.len(), "rule"),
            count(totals.images, "image")
        );
        for (number, what) in [(totals.skipped, "not ELF"), (totals.unreadable, "not readable")] {
            if number > 0 {
                out = format!("{out}, {number} {what}");
            }
        }
        out + "\n"
    }

    fn json_totals(&self, totals: &Totals) -> String {
        let summary = json!({
            "images": totals.images,
            "rules": self.rules.len(),
            "errors": totals.found.errors,
            "warnings": totals.found.warnings,
            "notes": totals.found.notes,
            "waived": totals.found.waived,
            "skipped": totals.skipped,
            "unreadable": totals.unreadable,
        });
        format!("\n],\"summary\":{summary}}}\n")
    }

    /// A test per rule: what CI shows as passed is what was looked at.
    fn junit(&self, image: &Audited<'_>) -> String {
        let cases: Vec<Case<'_>> = self
            .rules
            .iter()
            .map(|rule| {
                let Findings { standing, fails, waived } = image.findings;
                let of_rule = |finding: &Diagnostic| finding.code == rule.code;
                let findings = || standing.iter().zip(fails).filter(|(found, _)| of_rule(found));
                let found = findings().map(|(found, _)| found).collect();
                let waived: Vec<String> = waived
                    .iter()
                    .filter(|(found, _)| of_rule(found))
                    .map(|(_, waived)| waived.justification())
                    .collect();
                let outcome = if findings().any(|(_, fails)| *fails) {
                    Outcome::Failed(found)
                } else if waived.is_empty() {
                    Outcome::Passed(found)
                } else {
                    Outcome::Skipped(waived.join("; "))
                };
                let name = format!("{} {}", rule.code, rule.title);
                Case { name, outcome }
            })
            .collect();
        junit::suite(image.subject.name(), &cases)
    }
}

impl Counts {
    pub(crate) fn of(findings: &Findings) -> Counts {
        let count = |severity| {
            let standing = findings.standing.iter();
            standing.filter(|finding| finding.severity == severity).count()
        };
        Counts {
            errors: count(Severity::Error),
            warnings: count(Severity::Warning),
            notes: count(Severity::Note),
            waived: findings.waived.len(),
        }
    }
}

impl Totals {
    /// Adds an image with these findings.
    pub(crate) fn add(&mut self, counts: &Counts) {
        self.images += 1;
        self.found.errors += counts.errors;
        self.found.warnings += counts.warnings;
        self.found.notes += counts.notes;
        self.found.waived += counts.waived;
    }
}

fn json_image(image: &Audited<'_>) -> Value {
    let subject = image.subject;
    let facts = subject.image();
    let abi = facts.and_then(|image| image.abi().ok());
    let mut value = json!({
        "file": subject.name(),
        "size": image.size,
        "arch": facts.map(|image| image.arch().name()),
        "target": abi.map(|abi| abi.target_name()),
        "abi_version": abi.map(|abi| abi.version()),
        "findings": image.findings.standing.iter().map(diagnostic_json).collect::<Vec<_>>(),
    });
    let waived = image.findings.waived.iter().map(|(finding, waived)| {
        let mut value = diagnostic_json(finding);
        if let Some(fields) = value.as_object_mut() {
            fields.insert("reason".into(), waived.reason.clone().into());
            fields.insert("until".into(), waived.until.to_string().into());
            fields.insert("policy".into(), waived.place.policy.clone().into());
        }
        value
    });
    let waived: Vec<Value> = waived.collect();
    if let (false, Some(fields)) = (waived.is_empty(), value.as_object_mut()) {
        fields.insert("waived".into(), waived.into());
    }
    value
}
