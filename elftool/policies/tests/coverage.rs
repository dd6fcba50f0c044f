//! Which clauses of policies decide which launches.

#[path = "../../../policy/tests/common/mod.rs"]
mod common;

use solo5_policies::coverage::{Situation, clauses, decided};
use solo5_policy::date::Date;
use solo5_policy::{Policy, front};
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
        assert_ne!(clause.without, policy, "{} changes nothing", clause.what);
        assert!(!clause.span.is_empty(), "{}", clause.what);
        names.push(clause.what);
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
