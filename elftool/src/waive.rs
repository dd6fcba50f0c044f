//! Splits the findings of one image into those that count and those that policies waive.

use std::fs::File;
use std::path::Path;

use solo5_audit::{Budget, Selection, Subject, audit_subject};
use solo5_policies::audit::{Opinion, Waived, keys, needs_proof, opinions};
use solo5_policy::Policy;
use solo5_policy::date::Date;
use solo5_report::{Diagnostic, Severity};
use solo5_signature::Proof;

use crate::content::Content;

/// What decides which findings count.
pub(crate) struct Criteria {
    /// Which rules are applied.
    pub(crate) selection: Selection,
    /// What S503 reports.
    pub(crate) budgets: Vec<Budget>,
    /// The least severity that counts, whatever policies say.
    pub(crate) fail_on: Severity,
    /// Policies whose `audit` counts.
    pub(crate) policies: Vec<Policy>,
    /// The day that waivers are compared with.
    pub(crate) today: Date,
}

/// What was found in one image.
#[derive(Default)]
pub(crate) struct Findings {
    /// Findings that count, the gravest first.
    pub(crate) standing: Vec<Diagnostic>,
    /// For each of `standing`, whether it makes the audit fail.
    pub(crate) fails: Vec<bool>,
    /// Waived findings.
    pub(crate) waived: Vec<(Diagnostic, Waived)>,
}

impl Findings {
    /// Whether the audit fails.
    pub(crate) fn fail(&self) -> bool {
        self.fails.contains(&true)
    }
}

impl Criteria {
    /// Audits the image in `file`, which is at `path`.
    pub(crate) fn audit(&self, path: &Path, file: &File, subject: &Subject<'_>) -> Findings {
        let findings = audit_subject(subject, &self.selection);
        if !needs_proof(&self.policies, &findings) {
            return self.sort(findings, None);
        }
        // A waiver is for the bytes that are hashed, so the bytes in memory are audited again. If
        // the image is too large to be hashed, no tender would verify it, and no waiver covers it.
        let Ok(content) = Content::read(file) else {
            return self.sort(findings, None);
        };
        let hashed = Subject::new(subject.name(), &content.bytes).with_budgets(&self.budgets);
        let findings = audit_subject(&hashed, &self.selection);
        let proof = content.prove(path, &keys(&self.policies)).ok();
        self.sort(findings, proof.as_ref())
    }

    fn sort(&self, findings: Vec<Diagnostic>, proof: Option<&Proof>) -> Findings {
        let opinions = opinions(&self.policies, proof, &findings, self.today);
        let mut sorted = Findings::default();
        for (mut finding, opinion) in findings.into_iter().zip(opinions) {
            match opinion {
                Opinion::Waived(waived) => sorted.waived.push((finding, waived)),
                Opinion::Stands { fails, ended } => {
                    if let Some(ended) = ended {
                        finding.notes.push(ended.ended());
                    }
                    sorted.fails.push(fails || finding.severity >= self.fail_on);
                    sorted.standing.push(finding);
                }
            }
        }
        sorted
    }
}
