//! Readers of files take any input or refuse it.

use proptest::prelude::*;
use proptest::sample::select;
use solo5_policies::{case, plan};

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Plans and tests mixed from lines of valid ones are read, or refused with diagnostics that
    /// can be printed.
    #[test]
    fn any_mix_of_lines_is_read_or_refused(lines in prop::collection::vec(
        select(&[
            "type: solo5.plan", "type: solo5.policy-test", "version: 1", "unikernels:", "cases:",
            "policies: p.yaml", "limits: { memory: 1MiB, net: 0 }", "  - name: a", "    image: b",
            "    manifest: m", "    target: spt", "    memory: 17179869183GiB", "    decision: denied",
            "    codes: [P305]", "    net: { s: { tap: t }, s2: { tap: t } }", "    net:", "    block:",
            "    block: { d: { path: /d }, e: { path: /d, access: read-only } }", "    host:",
            "      net: { s: { bridge: none } }", "      s: { unreadable: x }", "    without-net: [s]",
            "    options: [--mem=1]", "    labels: { a: b }", "  - { name: c, image: d, memory: 1MiB }",
        ][..]),
        0..20,
    ), whole in any::<bool>()) {
        let head = "type: solo5.plan\nversion: 1\nunikernels:\n";
        let text = format!("{}{}", if whole { head } else { "" }, lines.join("\n"));
        let refused = |found: Vec<solo5_report::Diagnostic>| {
            assert!(!found.is_empty());
            solo5_report::human::human(&found, solo5_report::Colour::Never);
        };
        match plan::read("p.yaml", text.as_bytes()) {
            Err(found) => refused(found),
            Ok(plan) => {
                let access = |index: usize, number: usize| {
                    plan.unikernels[index].blocks[number].access
                };
                let sums = plan.sums(|index| plan.unikernels[index].memory.value);
                let found = plan.conflicts(access, |_| None, sums);
                solo5_report::human::human(&found, solo5_report::Colour::Never);
                assert!(plan.unikernels.iter().all(|one| plan.words(one).contains(&"--".to_owned())));
            }
        }
        if let Err(found) = case::read("p.yaml", text.as_bytes()) {
            refused(found);
        }
    }
}
