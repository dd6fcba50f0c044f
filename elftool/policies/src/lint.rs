//! Warnings of `solo5-elftool policy check` on policies that are valid but probably a mistake.

use solo5_report::{Diagnostic, Severity};

use crate::codes;
use solo5_policy::date::Date;
use solo5_policy::model::{Policy, Selector};

/// Warnings and notes on policies that are used together on the day `today`. `rules` are those of the
/// audit, each with its severity in images that a tender starts.
pub fn lints(
    policies: &[Policy],
    today: Date,
    rules: &[(&'static str, Severity)],
) -> Vec<Diagnostic> {
    let by_label = |policy: &&Policy| {
        let Selector { labels, proofs, .. } = &policy.selector;
        !labels.is_empty() && proofs.is_empty()
    };
    let labelled: Vec<&Policy> = policies.iter().filter(by_label).collect();
    let mut found: Vec<Diagnostic> = match labelled.first() {
        Some(first) if labelled.len() == policies.len() => vec![none_without_label(first)],
        _ => labelled.into_iter().map(narrows_by_label).collect(),
    };
    for policy in policies {
        found.extend(ended(policy, today));
        found.extend(idle(policy, rules));
    }
    found
}

/// The launcher chooses the labels. If every policy applies by label, a launcher that leaves the label
/// out meets no policy at all.
fn none_without_label(first: &Policy) -> Diagnostic {
    let message = "every policy applies only by label, so none applies to a launch without labels";
    let help = "add a policy without `match`, or start tenders with `--require-policy`";
    Diagnostic::warning(codes::ONLY_LABELS, message)
        .label(&first.source, first.selector.span.clone(), "")
        .with_help(help)
}

/// Such a policy restricts only launchers that give the label.
fn narrows_by_label(policy: &Policy) -> Diagnostic {
    let message = format!("every selector of {} is a label", policy.name);
    let note = "the launcher chooses the labels: a launch without the label may do what only this \
                policy forbids";
    let help = "put what must hold for all into a policy without `match`, or select by `digest` or \
                `signed-by`";
    Diagnostic::note(codes::BY_LABEL, message)
        .label(&policy.source, policy.selector.span.clone(), "")
        .with_note(note)
        .with_help(help)
}

/// A waiver whose last day is over has no effect, though it looks as if it had.
fn ended(policy: &Policy, today: Date) -> impl Iterator<Item = Diagnostic> {
    let waivers = policy.audit.iter().flat_map(|audit| &audit.waive);
    waivers.filter(move |waiver| waiver.value.until < today).map(|waiver| {
        let message = format!("this waiver of {} ended {}", waiver.value.rule, waiver.value.until);
        Diagnostic::warning(codes::WAIVER_ENDED, message)
            .label(&policy.source, waiver.span.clone(), "")
            .with_help("remove it, or look at the images again and write a later day")
    })
}

/// A waiver that no rule matches, or only rules whose findings are errors.
fn idle(policy: &Policy, rules: &[(&'static str, Severity)]) -> impl Iterator<Item = Diagnostic> {
    let waivers = policy.audit.iter().flat_map(|audit| &audit.waive);
    waivers.filter_map(move |waiver| {
        let rule = &waiver.value.rule;
        let of_prefix = || rules.iter().filter(|(code, _)| code.starts_with(rule));
        let found = if of_prefix().next().is_none() {
            let message = format!("no rule of the audit starts with {rule}");
            Diagnostic::warning(codes::WAIVER_IDLE, message)
                .with_help("`solo5-elftool explain` lists the rules")
        } else if of_prefix().all(|(_, severity)| *severity == Severity::Error) {
            let message = format!("{rule} finds only errors, and errors are never waived");
            Diagnostic::warning(codes::WAIVER_IDLE, message)
                .with_note("they are warnings only in images that no tender starts")
                .with_help("remove it, and mend the image")
        } else {
            return None;
        };
        Some(found.label(&policy.source, waiver.span.clone(), ""))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use solo5_policy::front;

    fn codes(sections: &[&str]) -> Vec<&'static str> {
        let policies: Vec<_> = sections
            .iter()
            .map(|section| {
                let text = format!("type: solo5.policy\nversion: 1\n{section}\n");
                front::read("p.yaml", text.as_bytes()).expect("a policy")
            })
            .collect();
        let today = Date::parse("2026-06-01").expect("a day");
        let rules =
            [("S101", Severity::Error), ("S110", Severity::Note), ("S319", Severity::Warning)];
        let found = lints(&policies, today, &rules);
        found.iter().map(|found| found.code).collect()
    }

    #[test]
    fn policies_that_apply_only_by_label_are_pointed_out() {
        let label = "match: { label: { tenant: a } }";
        let digest = format!("match: {{ digest: \"sha256:{}\" }}", "0".repeat(64));
        let both = digest.replace(" }", ", label: { tenant: a } }");
        assert_eq!(codes(&[label]), ["P220"]);
        assert_eq!(codes(&[label, label]), ["P220"]);
        assert_eq!(codes(&[label, "otherwise: allow"]), ["P221"]);
        assert_eq!(codes(&[label, &digest, label]), ["P221", "P221"]);
        assert_eq!(codes(&[&both, "otherwise: allow"]), Vec::<&str>::new());
        assert_eq!(codes(&[]), Vec::<&str>::new());
    }

    #[test]
    fn waivers_that_ended_are_pointed_out() {
        assert_eq!(codes(&[&waiver("S3", "2026-05-31")]), ["P222"]);
        assert_eq!(codes(&[&waiver("S3", "2026-06-01")]), Vec::<&str>::new());
    }

    #[test]
    fn waivers_that_match_nothing_are_pointed_out() {
        for (rule, found) in [
            ("S9", &["P223"][..]),
            ("S10", &["P223"]),
            ("S318", &["P223"]),
            ("S1", &[]),
            ("S31", &[]),
            ("S319", &[]),
        ] {
            assert_eq!(codes(&[&waiver(rule, "2026-06-01")]), found, "{rule}");
        }
    }

    fn waiver(rule: &str, until: &str) -> String {
        let digest = "0".repeat(64);
        format!(
            "audit: {{ waive: [ {{ rule: {rule}, images: \"sha256:{digest}\", reason: x, \
             until: {until} }} ] }}"
        )
    }
}
