//! JUnit's XML, for CI.

use std::io::{self, Write};

use solo5_audit::Rule;
use solo5_report::Diagnostic;
use solo5_report::junit::{self, Case, Outcome};

use super::printer::{Audited, Printer, Totals};
use crate::inputs::InputError;
use crate::waive::Findings;

pub(super) struct Junit {
    /// The rules that were applied.
    pub(super) rules: Vec<&'static Rule>,
}

impl Printer for Junit {
    fn opening(&self, out: &mut dyn Write) -> io::Result<()> {
        write!(out, "{}", junit::OPENING)
    }

    /// A test per rule, so CI shows which rules were applied.
    fn image(&self, image: &Audited<'_>, out: &mut dyn Write) -> io::Result<()> {
        let cases = self.rules.iter().map(|rule| Case {
            name: format!("{} {}", rule.code, rule.title),
            outcome: outcome(rule, image.findings),
        });
        let cases: Vec<Case<'_>> = cases.collect();
        write!(out, "{}", junit::suite(image.subject.name(), &cases))
    }

    fn unreadable(&self, file: &InputError, out: &mut dyn Write) -> io::Result<()> {
        let outcome = Outcome::Error(file.why.clone());
        let case = Case { name: String::from("readable"), outcome };
        write!(out, "{}", junit::suite(&file.name, &[case]))
    }

    fn closing(&self, _: &Totals, _: &[InputError], out: &mut dyn Write) -> io::Result<()> {
        write!(out, "{}", junit::CLOSING)
    }
}

/// The outcome of a rule as a test.
fn outcome<'f>(rule: &Rule, findings: &'f Findings) -> Outcome<'f> {
    let Findings { standing, fails, waived } = findings;
    let of_rule = |finding: &Diagnostic| finding.code == rule.code;
    let found = || standing.iter().zip(fails).filter(|(found, _)| of_rule(found));
    let shown = found().map(|(found, _)| found).collect();
    let waived = waived.iter().filter(|(found, _)| of_rule(found));
    let waived: Vec<String> = waived.map(|(_, waived)| waived.justification()).collect();
    if found().any(|(_, fails)| *fails) {
        Outcome::Failed(shown)
    } else if waived.is_empty() {
        Outcome::Passed(shown)
    } else {
        Outcome::Skipped(waived.join("; "))
    }
}
