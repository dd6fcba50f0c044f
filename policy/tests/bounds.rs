//! What a denial says stays within its bounds, however much policies and launches say.

mod common;

use solo5_policy::evaluate::REASONS_MAX;
use solo5_policy::{Decision, Phase, Policy, decide, front};

/// Most bytes of all lines of a denial here: 300 reasons of at most 2 KiB.
const BYTES_MAX: usize = 600 << 10;

fn read(text: &str) -> Policy {
    let text = format!("type: solo5.policy\nversion: 1\notherwise: allow\n{text}");
    front::read("p.yaml", text.as_bytes()).unwrap_or_else(|found| panic!("{found:?}"))
}

fn denied(policies: &[Policy], launch: &common::Launch) -> Decision {
    let decision = decide(policies, &launch.asked(), &launch.facts(), Phase::Strings, false);
    assert!(decision.is_denied());
    assert!(decision.reasons.len() <= REASONS_MAX + 40, "{}", decision.reasons.len());
    let size: usize = decision.lines().iter().map(String::len).sum();
    assert!(size <= BYTES_MAX, "{size} bytes");
    decision
}

fn words(count: usize) -> common::Launch {
    let arguments = (0..count).map(|word| format!("w{word}")).collect();
    common::Launch { arguments, ..common::Launch::default() }
}

#[test]
fn words_and_patterns_do_not_multiply() {
    let patterns: Vec<_> = (0..400).map(|index| format!("\"--a{index}=*\"")).collect();
    let policy = read(&format!("arguments: {{ allow: [{}] }}\n", patterns.join(", ")));
    let decision = denied(&[policy], &words(1300));
    assert!(
        decision.reasons[0].wants.ends_with("or \"--a7=*\" or others"),
        "{:?}",
        decision.reasons[0]
    );
    assert_eq!(decision.reasons.len(), 17);
    assert_eq!(decision.reasons[16].message, "other words fit no rule either");
    let long: Vec<_> = (0..400).map(|index| format!("\"{}{index}\"", "x".repeat(1000))).collect();
    let policy = read(&format!("arguments: {{ allow: [{}] }}\n", long.join(", ")));
    denied(&[policy], &words(1300));
}

#[test]
fn rules_and_devices_do_not_multiply() {
    let rules: Vec<_> =
        (0..400).map(|index| format!("{{ name: \"*\", interface: \"if{index}\" }}")).collect();
    let policy = read(&format!("net: {{ allow: [{}] }}\n", rules.join(", ")));
    let devices = (0..63).map(|index| format!("net n{index}")).collect();
    let options: Vec<_> = (0..63).map(|index| format!("--net:n{index}=tap{index}")).collect();
    let launch =
        common::Launch { devices, options: options.join(" "), ..common::Launch::default() };
    let decision = denied(std::slice::from_ref(&policy), &launch);
    assert!(decision.reasons[0].wants.ends_with(" or others"));
    let many = vec![policy; 10];
    let decision = denied(&many, &launch);
    assert_eq!(decision.reasons.len() + decision.untold, 630);
    assert!(
        decision.closing().ends_with("630 reasons, 374 of them not shown"),
        "{}",
        decision.closing()
    );
}

#[test]
fn conditions_do_not_repeat_a_list() {
    let rules: Vec<_> =
        (0..400).map(|index| format!("{{ name: \"*\", bridge: \"br{index}\" }}")).collect();
    let policy = read(&format!("net: {{ allow: [{}] }}\n", rules.join(", ")));
    let launch = common::Launch {
        devices: vec!["net n".into()],
        options: "--net:n=tap".into(),
        ..common::Launch::default()
    };
    let decision = decide(&[policy], &launch.asked(), &launch.facts(), Phase::Strings, false);
    assert!(decision.conditions[0].message.ends_with(", or others"));
    assert!(decision.conditions[0].message.len() < 600);
}
