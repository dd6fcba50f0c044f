//! The audit's rules, and what *error* means.

use solo5_audit::{Selection, Subject, audit_subject, loads};
use solo5_report::Severity;

use crate::Target;
use crate::files::{self, File};

pub(crate) const TARGET: Target =
    Target { name: "audit", run, seeds: files::images, words: files::note_words };

fn run(data: &[u8]) -> bool {
    let file = File::new(data);
    let subject = Subject::new("image", &file);
    let findings = audit_subject(&subject, &Selection::default());
    if !findings.is_empty() {
        files::shown(&findings);
    }
    let clean = findings.iter().all(|finding| finding.severity < Severity::Error);
    let errors = audit_subject(&subject, &Selection::errors());
    assert_eq!(errors.is_empty(), clean, "selecting errors changes them");
    // An image for another target is not loaded by a tender of ours.
    if subject.target().is_none_or(solo5_abi::Target::has_tender) {
        let minimum = subject.least_memory().unwrap_or(u64::MAX);
        for memory in [0, minimum.saturating_sub(1), minimum, u64::MAX] {
            let loaded = loads(&file, memory);
            assert_eq!(
                loaded.is_ok(),
                clean && memory >= minimum,
                "{loaded:?} into {memory:#x}, with {findings:?}"
            );
        }
    }
    clean
}
