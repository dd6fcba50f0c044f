//! The trait of printers, and the data they print. A report is printed in pieces: opening, one piece
//! per input, closing. So it need not fit in memory, and pieces can be made in parallel.

use std::io::{self, Write};

use solo5_audit::Subject;
use solo5_report::Severity;

use crate::html::Pieces;
use crate::inputs::InputError;
use crate::waive::Findings;

/// A format of `audit`.
pub(crate) trait Printer: Sync {
    /// What comes before the first image.
    fn opening(&self, _: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }

    /// One image. A format may print nothing for it.
    fn image(&self, image: &Audited<'_>, out: &mut dyn Write) -> io::Result<()>;

    /// A file that could not be read. Formats that list such files in the closing print nothing here.
    fn unreadable(&self, _: &InputError, _: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }

    /// Between two pieces that are not empty.
    fn separator(&self) -> &'static str {
        ""
    }

    /// Whether the format begins with sums. Its pieces are held, within a bound, and given to
    /// [`Printer::whole`].
    fn is_whole(&self) -> bool {
        false
    }

    /// The report of a format that begins with sums; it is printed instead of the closing.
    fn whole(&self, _: &Pieces, _: &Totals, _: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }

    /// What comes after the last image; `unreadable` are the first files that could not be read.
    fn closing(
        &self,
        totals: &Totals,
        unreadable: &[InputError],
        out: &mut dyn Write,
    ) -> io::Result<()>;
}

/// An image and what was found.
pub(crate) struct Audited<'a> {
    pub(crate) subject: &'a Subject<'a>,
    /// Bytes in its file, where that is known.
    pub(crate) size: Option<u64>,
    pub(crate) findings: &'a Findings,
}

/// Findings by severity.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) errors: usize,
    pub(crate) warnings: usize,
    pub(crate) notes: usize,
    /// Waived findings, which are not counted among the others.
    pub(crate) waived: usize,
}

/// Findings by severity, and files.
#[derive(Default)]
pub(crate) struct Totals {
    /// Images audited.
    pub(crate) images: usize,
    /// Those of them that make the audit fail.
    pub(crate) failed: usize,
    /// What was found in them.
    pub(crate) found: Counts,
    /// Files in folders that are not ELF.
    pub(crate) skipped: usize,
    /// Files that could not be read.
    pub(crate) unreadable: usize,
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
    /// Adds an image with these findings, which may make the audit fail.
    pub(crate) fn add(&mut self, counts: &Counts, fails: bool) {
        self.images += 1;
        self.failed += usize::from(fails);
        self.found.errors += counts.errors;
        self.found.warnings += counts.warnings;
        self.found.notes += counts.notes;
        self.found.waived += counts.waived;
    }
}
