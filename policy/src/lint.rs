//! What is allowed in policies and probably not meant. Looked for by `solo5-elftool policy check`.

use solo5_report::Diagnostic;

use crate::codes;
use crate::model::{Policy, Selector};

/// Warnings on policies that are used together.
pub fn lints(policies: &[Policy]) -> Vec<Diagnostic> {
    only_labels(policies).into_iter().collect()
}

/// Labels are the launcher's word: whoever leaves one out meets no policy at all, if there is none
/// that applies always or by what is proven of the image.
fn only_labels(policies: &[Policy]) -> Option<Diagnostic> {
    let by_label = |Selector { labels, .. }: &Selector| !labels.is_empty();
    let first = policies.first()?;
    let all = policies.iter().all(|policy| by_label(&policy.selector));
    all.then(|| {
        let message = "every policy applies by label alone, so none applies without one";
        let help = "add a policy without `match`, or start tenders with `--require-policy`";
        let span = first.selector.span.clone();
        Diagnostic::warning(codes::ONLY_LABELS, message)
            .label(&first.source, span, "")
            .with_help(help)
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
        lints(&policies).iter().map(|found| found.code).collect()
    }

    #[test]
    fn labels_alone_are_pointed_out() {
        let label = "match: { label: { tenant: a } }";
        let digest = format!("match: {{ digest: \"sha256:{}\" }}", "0".repeat(64));
        assert_eq!(codes(&[label]), ["P220"]);
        assert_eq!(codes(&[label, label]), ["P220"]);
        assert_eq!(codes(&[label, "otherwise: allow"]), Vec::<&str>::new());
        assert_eq!(codes(&[label, &digest]), Vec::<&str>::new());
        assert_eq!(codes(&[]), Vec::<&str>::new());
    }
}
