//! Which clauses of policies decide which launches.

#[path = "../../../policy/tests/common/mod.rs"]
mod common;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use solo5_policies::coverage::{Situation, clauses, decided};
use solo5_policy::date::Date;
use solo5_policy::{Decision, Outcome, Policy, front};
use solo5_report::Diagnostic;
use solo5_signature::Digest;

fn policy(sections: &str) -> Policy {
    let text = format!("type: solo5.policy\nversion: 1\n{sections}\n");
    front::read("p.yaml", text.as_bytes()).unwrap_or_else(|found| panic!("{found:?}"))
}

fn situation(launch: &common::Launch) -> Situation {
    Situation {
        asked: launch.asked(),
        facts: launch.facts(),
        findings: vec![Diagnostic::warning("S319", "odd")],
        require: false,
        today: Date::parse("2026-06-01").expect("a day"),
    }
}

/// The clauses of one policy that decide one of these launches.
fn deciding(policies: &[Policy], launches: &[common::Launch]) -> Vec<String> {
    let situations: Vec<_> = launches.iter().map(situation).collect();
    let all = decided(policies, policies.len(), &situations).into_iter().flatten();
    let deciding = all.filter(|clause| clause.decided);
    deciding.map(|clause| clause.what).collect()
}

fn launch(device: &str, options: &str) -> common::Launch {
    common::Launch {
        devices: if device.is_empty() { Vec::new() } else { vec![device.to_owned()] },
        options: options.to_owned(),
        ..common::Launch::default()
    }
}

/// Everything that can be written is a clause, once, at its place.
#[test]
fn every_key_of_a_policy_is_a_clause() {
    let digest = Digest::of(b"abc");
    let key = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
    let policy = policy(&format!(
        "match: {{ label: {{ tenant: a, zone: b }}, digest: \"{digest}\", signed-by: {key} }}\n\
         otherwise: allow\n\
         image: {{ targets: [hvt, spt], minimum-manifest: 2, digest: \"{digest}\", signed-by: {key} }}\n\
         process: {{ root: forbid }}\n\
         memory: {{ maximum: 64MiB, executable-heap: allow }}\n\
         arguments: {{ maximum-length: 4, allow: [\"a\", \"b\"] }}\n\
         net: {{ maximum: 1, allow: [ {{ name: s, interface: t, bridge: b, mac: \"*\" }} ] }}\n\
         block: {{ maximum: 1, allow: [ {{ name: \"*\", file: {{ under: /srv }}, access: read-only, \
         capacity: {{ maximum: 1GiB }}, sector-size: [512, 4096] }}, {{ name: d, device: sd* }} ] }}\n\
         debug: {{ gdb: allow, dumpcore: forbid }}\n\
         admitted: /etc/list.json\n\
         audit: {{ fail-on: note, waive: [ {{ rule: S3, images: \"{digest}\", reason: x, until: 2026-12-31 }} ] }}"
    ));
    let mut names = Vec::new();
    clauses(&policy, |clause| {
        let (what, span, mut without) = (clause.what.clone(), clause.span.clone(), policy.clone());
        clause.take_from(&mut without);
        assert_ne!(without, policy, "{what} changes nothing");
        assert!(!span.is_empty(), "{}", what);
        names.push(what);
    });
    assert_eq!(
        names,
        [
            "match.label.tenant",
            "match.label.zone",
            "match.digest",
            "match.signed-by",
            "otherwise",
            "image",
            "image.targets",
            "image.targets[1]",
            "image.targets[2]",
            "image.minimum-manifest",
            "image.digest",
            "image.signed-by",
            "process.root",
            "memory",
            "memory.maximum",
            "memory.executable-heap",
            "arguments",
            "arguments.maximum-length",
            "arguments.allow",
            "arguments.allow[1]",
            "arguments.allow[2]",
            "net",
            "net.maximum",
            "net.allow",
            "net.allow[1]",
            "net.allow[1].name",
            "net.allow[1].interface",
            "net.allow[1].bridge",
            "net.allow[1].mac",
            "block",
            "block.maximum",
            "block.allow",
            "block.allow[1]",
            "block.allow[1].file",
            "block.allow[1].access",
            "block.allow[1].capacity",
            "block.allow[1].sector-size",
            "block.allow[1].sector-size[1]",
            "block.allow[1].sector-size[2]",
            "block.allow[2]",
            "block.allow[2].name",
            "block.allow[2].device",
            "debug.gdb",
            "debug.dumpcore",
            "admitted",
            "audit.fail-on",
            "audit.waive[1]",
        ]
    );
}

#[test]
fn a_limit_decides_what_it_denies() {
    let policies = [policy("otherwise: allow\nmemory: { maximum: 64MiB }")];
    let (small, large) = (launch("", "--mem=64"), launch("", "--mem=65"));
    assert_eq!(deciding(&policies, std::slice::from_ref(&small)), ["otherwise"]);
    assert_eq!(deciding(&policies, &[small, large]), ["otherwise", "memory", "memory.maximum"]);
    assert_eq!(deciding(&policies, &[]), Vec::<String>::new());
}

#[test]
fn a_rule_decides_what_only_it_allows() {
    let rules = "otherwise: allow\n\
                 net: { allow: [ { name: s, interface: tap-* }, { name: s, interface: tap-1 } ] }";
    let policies = [policy(rules)];
    let one = launch("net s", "--net:s=tap-1");
    let two = launch("net s", "--net:s=tap-2");
    // Either rule allows the first, so neither matters.
    assert_eq!(deciding(&policies, &[one]), ["otherwise"]);
    assert_eq!(deciding(&policies, &[two]), ["otherwise", "net.allow[1]"]);
    let eth = launch("net s", "--net:s=eth0");
    assert_eq!(
        deciding(&policies, &[eth]),
        [
            // Without it other sections would be silent, which is another denial.
            "otherwise",
            "net",
            "net.allow",
            "net.allow[1].interface",
            "net.allow[2].interface"
        ]
    );
}

#[test]
fn labels_and_waivers_decide_too() {
    let digest = Digest::of(b"abc");
    let waiver = format!(
        "otherwise: allow\naudit: {{ fail-on: warning, waive: [ {{ rule: S3, images: \"{digest}\", \
         reason: x, until: 2026-12-31 }} ] }}"
    );
    let tenant = "match: { label: { tenant: a } }\nmemory: { maximum: 1MiB }";
    let policies = [policy(&waiver), policy(tenant)];
    let proven = common::Launch {
        content: Some("abc".to_owned()),
        options: "--mem=2".to_owned(),
        ..common::Launch::default()
    };
    // Without the label the tenant's policy would deny it.
    assert_eq!(
        deciding(&policies, std::slice::from_ref(&proven)),
        ["otherwise", "audit.waive[1]", "match.label.tenant"]
    );
    let other = common::Launch { content: Some("abd".to_owned()), ..proven };
    assert!(deciding(&policies, &[other]).contains(&"audit.fail-on".to_owned()));
}

/// What of a decision tells whether a clause mattered.
fn essence(decision: &Decision) -> (Outcome, Vec<&'static str>, Vec<String>) {
    let codes = decision.reasons.iter().map(|reason| reason.code).collect();
    let conditions = decision.conditions.iter().map(|condition| condition.message.clone());
    (decision.outcome, codes, conditions.collect())
}

/// Every clause taken away and every situation decided again.
fn exhaustive(policy: &Policy, situations: &[Situation]) -> Vec<bool> {
    let mut all = Vec::new();
    clauses(policy, |clause| {
        let mut without = [policy.clone()];
        clause.take_from(&mut without[0]);
        let whole = [policy.clone()];
        let differs = |situation: &Situation| {
            essence(&situation.decide(&without)) != essence(&situation.decide(&whole))
        };
        all.push(situations.iter().any(differs));
    });
    all
}

const NET: &[&str] = &[
    "{ name: s, interface: t1 }",
    "{ name: s, interface: t1, bridge: br0 }",
    "{ name: s, interface: \"t*\", mac: \"52:54:*\" }",
    "{ name: \"*\", interface: t2 }",
    "{ name: m }",
    "{ name: x, descriptor: allow }",
    "{ name: s, descriptor: allow }",
];
const BLOCK: &[&str] = &[
    "{ name: d, file: { under: /srv } }",
    "{ name: d, file: { under: /srv }, access: read-only }",
    "{ name: e, capacity: { maximum: 1MiB } }",
    "{ name: \"*\", sector-size: [512, 4096] }",
    "{ name: d, device: sd* }",
];
const WORDS: &[&str] = &["a", "b", "\"*\"", "\"a*\"", "c"];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// What is left out because it cannot matter does not matter.
    #[test]
    fn no_clause_that_matters_is_passed_over(
        nets in subsequence(NET, 0..NET.len()),
        blocks in subsequence(BLOCK, 0..BLOCK.len()),
        words in subsequence(WORDS, 0..WORDS.len()),
        matching in select(&["", "match: { label: { tenant: a } }\n"][..]),
        launches in prop::collection::vec((0..3usize, 0..3usize, 0..4usize, any::<bool>()), 1..4),
    ) {
        let policy = policy(&format!(
            "{matching}otherwise: allow\nnet: {{ allow: [{}] }}\nblock: {{ allow: [{}] }}\n\
             arguments: {{ allow: [{}] }}",
            nets.join(", "), blocks.join(", "), words.join(", "),
        ));
        let situations: Vec<_> = launches.into_iter().map(|(net, block, word, label)| {
            let net = ["--net:s=t1", "--net:s=@5", "--net:s=t2"][net];
            let block = ["--block:d=/srv/x", "--block:d=/dev/sda", "--block-fd:d=7"][block];
            let label = if label { " --label=tenant=a" } else { "" };
            situation(&common::Launch {
                devices: vec!["net s".into(), "block d".into()],
                options: format!("{net} {block}{label}"),
                arguments: vec![["a", "b", "ab c", "z"][word].into()],
                ..common::Launch::default()
            })
        }).collect();
        let found = decided(std::slice::from_ref(&policy), 1, &situations).remove(0);
        let found: Vec<_> = found.into_iter().map(|clause| clause.decided).collect();
        prop_assert_eq!(found, exhaustive(&policy, &situations));
    }
}
