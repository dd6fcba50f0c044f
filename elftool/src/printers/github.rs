//! Workflow commands of GitHub Actions.

use std::io::{self, Write};

use solo5_report::github;

use super::printer::{Audited, Printer, Totals};
use crate::inputs::InputError;

pub(super) struct Github;

impl Printer for Github {
    fn image(&self, image: &Audited<'_>, out: &mut dyn Write) -> io::Result<()> {
        for finding in &image.findings.standing {
            write!(out, "{}", github::command(finding))?;
        }
        for (finding, waived) in &image.findings.waived {
            write!(out, "{}", github::waived(finding, &waived.justification()))?;
        }
        Ok(())
    }

    fn unreadable(&self, file: &InputError, out: &mut dyn Write) -> io::Result<()> {
        write!(out, "{}", github::unreadable(&file.name, &file.why))
    }

    fn closing(&self, _: &Totals, _: &[InputError], _: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
}
