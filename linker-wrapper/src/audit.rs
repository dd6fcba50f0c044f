//! The audit of what was linked: the rules of crate `solo5_audit`, and the verdict.

use std::fs::File;
use std::path::Path;

use solo5_audit::Selection;
use solo5_report::{Diagnostic, Severity, diagnostic, path_text};

use crate::arguments::AuditLevel;

/// What the audit found and what that means for the link.
pub struct Verdict {
    /// The findings, gravest first.
    pub findings: Vec<Diagnostic>,
    /// Whether one of them refuses the image.
    pub refused: bool,
}

/// Audits the image in `file`, called `path` in findings. Unless `level` includes warnings, only
/// the rules run that decide whether a loader refuses the image: they take a millisecond, and their
/// findings are final.
pub fn audit(file: &File, path: &Path, level: AuditLevel) -> Verdict {
    let (selection, refuse_from) = match level {
        AuditLevel::Off => {
            return Verdict { findings: Vec::new(), refused: false };
        }
        AuditLevel::Error => (Selection::errors(), Severity::Error),
        AuditLevel::Warning => {
            let selection = Selection { least: Some(Severity::Warning), ..Selection::default() };
            (selection, Severity::Warning)
        }
    };
    let findings = solo5_audit::audit(&path_text(path), file, &selection);
    let refused = diagnostic::worst(&findings).is_some_and(|worst| worst >= refuse_from);
    Verdict { findings, refused }
}
