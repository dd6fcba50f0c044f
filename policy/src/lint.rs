//! What is allowed in policies and probably not meant. Looked for by `solo5-elftool policy check`.

use solo5_report::Diagnostic;

use crate::codes;
use crate::date::Date;
use crate::model::{Policy, Selector};

/// Warnings and notes on policies that are used together on the day `today`.
pub fn lints(policies: &[Policy], today: Date) -> Vec<Diagnostic> {
    let by_label = |policy: &&Policy| {
        let Selector { labels, proofs, .. } = &policy.selector;
        !labels.is_empty() && proofs.is_empty()
    };
    let labelled: Vec<&Policy> = policies.iter().filter(by_label).collect();
    let mut found: Vec<Diagnostic> = match labelled.first() {
        Some(first) if labelled.len() == policies.len() => vec![none_without_label(first)],
        _ => labelled.into_iter().map(narrows_by_label).collect(),
    };
    found.extend(policies.iter().flat_map(|policy| ended(policy, today)));
    found
}

/// Labels are the launcher's word: whoever leaves one out meets no policy at all, if there is none
/// that applies always or by what is proven of the image.
fn none_without_label(first: &Policy) -> Diagnostic {
    let message = "every policy applies by label alone, so none applies without one";
    let help = "add a policy without `match`, or start tenders with `--require-policy`";
    Diagnostic::warning(codes::ONLY_LABELS, message)
        .label(&first.source, first.selector.span.clone(), "")
        .with_help(help)
}

/// What such a policy forbids is forbidden only to those who say the label.
fn narrows_by_label(policy: &Policy) -> Diagnostic {
    let message = format!("every selector of {} is a label", policy.name);
    let note = "a label is the launcher's word: what only this policy forbids, a launch without the \
                label may do";
    let help = "put what must hold for all into a policy without `match`, or select by `digest` or \
                `signed-by`";
    Diagnostic::note(codes::BY_LABEL, message)
        .label(&policy.source, policy.selector.span.clone(), "")
        .with_note(note)
        .with_help(help)
}

/// Waivers whose last day is over do nothing but look as if they did.
fn ended(policy: &Policy, today: Date) -> impl Iterator<Item = Diagnostic> {
    let waivers = policy.audit.iter().flat_map(|audit| &audit.waive);
    waivers
        .filter(move |waiver| waiver.value.until < today)
        .map(|waiver| {
            let message = format!(
                "this waiver of {} ended {}",
                waiver.value.rule, waiver.value.until
            );
            Diagnostic::warning(codes::WAIVER_ENDED, message)
                .label(&policy.source, waiver.span.clone(), "")
                .with_help("remove it, or look at the images again and write a later day")
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::front;

    fn codes(sections: &[&str]) -> Vec<&'static str> {
        let policies: Vec<_> = sections
            .iter()
            .map(|section| {
                let text = format!("type: solo5.policy\nversion: 1\n{section}\n");
                front::read("p.yaml", text.as_bytes()).expect("a policy")
            })
            .collect();
        let today = Date::parse("2026-06-01").expect("a day");
        let found = lints(&policies, today);
        found.iter().map(|found| found.code).collect()
    }

    #[test]
    fn labels_alone_are_pointed_out() {
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
        let waiver = |until: &str| {
            let digest = "0".repeat(64);
            format!(
                "audit: {{ waive: [ {{ rule: S3, images: \"sha256:{digest}\", reason: x, \
                 until: {until} }} ] }}"
            )
        };
        assert_eq!(codes(&[&waiver("2026-05-31")]), ["P222"]);
        assert_eq!(codes(&[&waiver("2026-06-01")]), Vec::<&str>::new());
    }
}
