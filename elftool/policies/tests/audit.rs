//! Findings of an audit, judged by the `audit` section.

#[path = "../../../policy/tests/common/mod.rs"]
mod common;

use solo5_policies::audit::{Opinion, is_asked, judge, needs_proof, opinions};
use solo5_policy::date::Date;
use solo5_policy::{Phase, Policy, decide, front};
use solo5_report::{Diagnostic, Severity};
use solo5_signature::Digest;

fn policy(sections: &str) -> Policy {
    let text = format!("type: solo5.policy\nversion: 1\n{sections}\n");
    front::read("node.yaml", text.as_bytes()).expect("a policy")
}

/// One waiver of `S4` for the content `abc`, up to the end of 2026.
fn waiving(fail_on: &str) -> Policy {
    let digest = Digest::of(b"abc");
    policy(&format!(
        "audit:\n  fail-on: {fail_on}\n  waive:\n    - {{ rule: S4, images: [\"{digest}\"], \
         reason: old compiler, until: 2026-12-31 }}"
    ))
}

fn launch(content: &str) -> common::Launch {
    common::Launch { content: Some(content.to_owned()), ..common::Launch::default() }
}

/// Reasons and waivers as people see them.
fn lines(policy: &Policy, launch: &common::Launch, today: &str) -> Vec<String> {
    let findings = [
        Diagnostic::new(Severity::Error, "S401", "as bad as can be"),
        Diagnostic::new(Severity::Warning, "S402", "absolute build path"),
        Diagnostic::new(Severity::Note, "S201", "a note"),
    ];
    let today = Date::parse(today).expect("a day");
    let policies = std::slice::from_ref(policy);
    let found = judge(policies, &launch.asked(), &findings, today);
    let reasons = found.reasons.iter().map(|reason| reason.line());
    let waived = found.waived.iter().map(|waived| waived.line());
    reasons.chain(waived).collect()
}

#[test]
fn a_limit_says_what_fails() {
    let warning = policy("audit: { fail-on: warning }");
    assert_eq!(
        lines(&warning, &launch("abc"), "2026-01-01"),
        [
            "P354 audit: S401 as bad as can be; node wants nothing of severity warning or above \
             (node.yaml:3:19)",
            "P354 audit: S402 absolute build path; node wants nothing of severity warning or above \
             (node.yaml:3:19)",
        ]
    );
    let default = policy("audit: { waive: [] }");
    assert_eq!(
        lines(&default, &launch("abc"), "2026-01-01"),
        ["P354 audit: S401 as bad as can be; node wants nothing of severity error (node.yaml:3:1)"]
    );
    assert_eq!(lines(&policy("audit: { fail-on: note }"), &launch(""), "2026-01-01").len(), 3);
    assert_eq!(lines(&policy("otherwise: allow"), &launch(""), "2026-01-01").len(), 0);
}

#[test]
fn a_waiver_is_for_its_images_rules_and_days_and_never_for_an_error() {
    let error = "P354 audit: S401 as bad as can be; node wants nothing of severity warning or \
                 above (node.yaml:4:12)";
    let policy = waiving("warning");
    let waived = "S402 accepted until 2026-12-31: old compiler; node (node.yaml:6:7)";
    assert_eq!(lines(&policy, &launch("abc"), "2026-12-31"), [error, waived]);
    let ended = "P354 audit: S402 absolute build path; node wants nothing of severity warning, and \
                 its waiver ended 2026-12-31 (node.yaml:4:12)";
    assert_eq!(lines(&policy, &launch("abc"), "2027-01-01"), [error, ended]);
    let other = "P354 audit: S402 absolute build path; node wants nothing of severity warning or \
                 above (node.yaml:4:12)";
    assert_eq!(lines(&policy, &launch("abd"), "2026-12-31"), [error, other]);
    assert_eq!(lines(&policy, &common::Launch::default(), "2026-12-31"), [error, other]);
    let note = lines(&waiving("note"), &launch("abc"), "2026-12-31");
    assert!(note.iter().any(|line| line.starts_with("P354 audit: S201")), "{note:?}");
}

#[test]
fn only_policies_that_apply_are_asked() {
    let elsewhere = policy("match: { label: { tenant: b } }\naudit: { fail-on: note }");
    let launch = launch("abc");
    assert_eq!(lines(&elsewhere, &launch, "2026-01-01"), Vec::<String>::new());
    assert!(!is_asked(&[elsewhere], &launch.asked()));
    assert!(is_asked(&[policy("audit: { fail-on: note }")], &launch.asked()));
}

#[test]
fn findings_make_a_denial() {
    let policies = [policy("otherwise: allow\naudit: { fail-on: warning }")];
    let launch = launch("abc");
    let asked = launch.asked();
    let mut decision = decide(&policies, &asked, &launch.facts(), Phase::Strings, false);
    assert!(!decision.is_denied());
    let findings = [Diagnostic::warning("S402", "absolute build path")];
    let today = Date::from_days(20_000);
    decision.deny(judge(&policies, &asked, &[], today).reasons);
    assert!(!decision.is_denied());
    decision.deny(judge(&policies, &asked, &findings, today).reasons);
    assert_eq!(decision.closing(), "not started: denied by 1 of 1 applicable policies, 1 reason");
}

/// What policies say, without a launch, about the findings S401 and S402.
fn seen(policies: &[Policy], content: &str, today: &str) -> Vec<String> {
    let findings = [
        Diagnostic::error("S401", "as bad as can be"),
        Diagnostic::warning("S402", "absolute build path"),
    ];
    let proof = common::Launch { content: Some(content.to_owned()), ..common::Launch::default() };
    let proof = proof.asked().proof;
    let today = Date::parse(today).expect("a day");
    let opinions = opinions(policies, proof.as_ref(), &findings, today);
    let shown = opinions.into_iter().map(|opinion| match opinion {
        Opinion::Waived(waived) => waived.justification(),
        Opinion::Stands { fails, ended } => {
            let ended = ended.map(|waived| waived.ended()).unwrap_or_default();
            format!("{} {ended}", if fails { "fails" } else { "stands" })
        }
    });
    shown.collect()
}

#[test]
fn an_audit_takes_waivers_without_a_launch() {
    let accepted = "old compiler, until 2026-12-31 (node, node.yaml:6:7)";
    let day = "2026-12-31";
    assert_eq!(seen(&[waiving("warning")], "abc", day), ["fails ", accepted]);
    // A waiver counts whatever the policy fails on: the audit may be told to fail on more.
    assert_eq!(seen(&[waiving("error")], "abc", day), ["fails ", accepted]);
    assert_eq!(seen(&[waiving("warning")], "abd", day), ["fails ", "fails "]);
    let ended = "its waiver ended 2026-12-31 (old compiler; node, node.yaml:6:7)";
    assert_eq!(
        seen(&[waiving("warning")], "abc", "2027-01-01"),
        ["fails ", &format!("fails {ended}")]
    );
    assert_eq!(
        seen(&[waiving("error")], "abc", "2027-01-01"),
        ["fails ", &format!("stands {ended}")]
    );
    // A second policy that fails on the finding overrides the waiver; one for other images changes
    // nothing.
    let strict = policy("audit: { fail-on: warning }");
    let both = [waiving("warning"), strict.clone()];
    assert_eq!(seen(&both, "abc", day), ["fails ", "fails "]);
    let elsewhere = policy(&format!(
        "match: {{ digest: \"{}\" }}\naudit: {{ fail-on: warning }}",
        Digest::of(b"other")
    ));
    let both = [waiving("warning"), elsewhere];
    assert_eq!(seen(&both, "abc", day), ["fails ", accepted]);
    assert_eq!(seen(&[], "abc", day), ["stands ", "stands "]);
    // The labels of a launch are not known, so a policy that is named applies.
    let labelled = policy("match: { label: { tenant: b } }\naudit: { fail-on: warning }");
    assert_eq!(seen(&[labelled], "abc", day), ["fails ", "fails "]);
}

#[test]
fn the_digest_is_asked_for_only_where_it_matters() {
    let warning = [Diagnostic::warning("S402", "")];
    let policies = [waiving("warning")];
    assert!(needs_proof(&policies, &warning));
    assert!(!needs_proof(&policies, &[]));
    assert!(!needs_proof(&policies, &[Diagnostic::warning("S301", "")]));
    assert!(!needs_proof(&policies, &[Diagnostic::error("S402", "")]));
    assert!(!needs_proof(&[policy("audit: { fail-on: note }")], &warning));
}
