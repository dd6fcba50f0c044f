//! SARIF, for code scanning.

use std::io::{self, Write};

use solo5_audit::Rule;
use solo5_report::sarif;

use super::printer::{Audited, Printer, Totals};
use crate::inputs::InputError;

pub(super) struct Sarif {
    /// The rules that were applied.
    pub(super) rules: Vec<&'static Rule>,
}

impl Printer for Sarif {
    fn opening(&self, out: &mut dyn Write) -> io::Result<()> {
        let rules = self.rules.iter().map(|rule| sarif::Rule {
            code: rule.code,
            title: rule.title,
            help: rule.help,
            severity: rule.severity,
        });
        let rules: Vec<sarif::Rule<'_>> = rules.collect();
        write!(out, "{}", sarif::opening("solo5-elftool", &rules))
    }

    fn image(&self, image: &Audited<'_>, out: &mut dyn Write) -> io::Result<()> {
        let standing = image.findings.standing.iter();
        let standing = standing.map(|finding| sarif::result(finding, None));
        let waived = image.findings.waived.iter();
        let waived =
            waived.map(|(finding, waived)| sarif::result(finding, Some(&waived.justification())));
        let results: Vec<String> = standing.chain(waived).collect();
        write!(out, "{}", results.join(",\n"))
    }

    fn separator(&self) -> &'static str {
        ",\n"
    }

    fn closing(
        &self,
        _: &Totals,
        unreadable: &[InputError],
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let unreadable = unreadable.iter().map(|one| (one.name.clone(), one.why.clone()));
        write!(out, "{}", sarif::closing(&unreadable.collect::<Vec<_>>()))
    }
}
