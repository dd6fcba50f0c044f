//! Which clauses of policies decide which launches.

#[path = "../../../policy/tests/common/mod.rs"]
mod common;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use solo5_policies::coverage::{Clause, Situation, clauses, decided};
use solo5_policy::date::Date;
use solo5_policy::model::Layer;
use solo5_policy::{BlockFacts, BlockKind, Decision, Fact, NetFacts, Outcome, Policy, front};
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
    for clause in clauses(&policy) {
        let mut without = policy.clone();
        clause.take_from(&mut without);
        assert_ne!(without, policy, "{} changes nothing", clause.what);
        assert!(!clause.span.is_empty(), "{}", clause.what);
        names.push(clause.what);
    }
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
            // Without it, absent sections deny too, which adds reasons.
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

/// The parts of a decision that coverage compares. The order of reasons, and of alternatives in a
/// condition, does not count.
fn essence(decision: &Decision) -> (Outcome, Vec<&'static str>, Vec<Vec<&str>>) {
    let mut codes: Vec<_> = decision.reasons.iter().map(|reason| reason.code).collect();
    codes.sort();
    let conditions = decision.conditions.iter().map(|condition| {
        let mut alternatives: Vec<_> = condition.message.split(", or ").collect();
        alternatives.sort();
        alternatives
    });
    (decision.outcome, codes, conditions.collect())
}

/// Coverage the slow way: removes each clause of each policy, and decides every situation again.
fn exhaustive(policies: &[Policy], situations: &[Situation]) -> Vec<Vec<(String, bool)>> {
    let of_one = |index: usize| {
        let matters = |clause: Clause| {
            let mut without = policies.to_vec();
            clause.take_from(&mut without[index]);
            let decided = situations.iter().any(|situation| {
                essence(&situation.decide(&without)) != essence(&situation.decide(policies))
            });
            (clause.what, decided)
        };
        clauses(&policies[index]).into_iter().map(matters).collect()
    };
    (0..policies.len()).map(of_one).collect()
}

const NET: &[&str] = &[
    "{ name: s, interface: t1 }",
    "{ name: s, interface: t1, bridge: br0 }",
    "{ name: s, interface: \"t*\", mac: \"52:54:*\" }",
    "{ name: s, interface: t9, mac: \"52:54:*\" }",
    "{ name: \"*\", interface: t2 }",
    "{ name: s, bridge: \"br*\" }",
    "{ name: s, bridge: br1 }",
    "{ name: m }",
    "{ name: x, descriptor: allow }",
    "{ name: s, descriptor: allow }",
];
const BLOCK: &[&str] = &[
    "{ name: d, file: { under: /srv } }",
    "{ name: d, file: { under: /srv }, access: read-only }",
    "{ name: d, file: { under: /opt }, capacity: { maximum: 1MiB } }",
    "{ name: e, capacity: { maximum: 1MiB } }",
    "{ name: \"*\", sector-size: [512, 4096] }",
    "{ name: d, sector-size: [1024, 2048], access: read-only }",
    "{ name: d, device: sd* }",
    "{ name: d, descriptor: allow }",
];
const WORDS: &[&str] = &["a", "b", "\"*\"", "\"a*\"", "c"];
const MATCH: &[&str] = &[
    "",
    "match: { label: { tenant: a } }\n",
    "match: { label: { tenant: a, zone: b } }\n",
    "match: { label: { zone: b }, digest: [DIGEST-A, DIGEST-B] }\n",
];
const REST: &[&str] = &[
    "",
    "otherwise: allow\n",
    "otherwise: allow\nmemory: { maximum: 1MiB }\n",
    "image: { digest: [DIGEST-A, DIGEST-B], targets: [spt, hvt] }\n",
    "otherwise: allow\naudit: { fail-on: warning, waive: [ { rule: S3, images: DIGEST-A, reason: x, \
     until: 2026-12-31 }, { rule: S31, images: [DIGEST-A, DIGEST-B], reason: y, until: 2026-01-01 } ] }\n",
];

/// A policy with some of these parts.
fn some_policy() -> impl Strategy<Value = Policy> {
    let list = |all: &'static [&'static str]| proptest::option::of(subsequence(all, 0..=all.len()));
    let parts = (select(MATCH), select(REST), list(NET), list(BLOCK), list(WORDS), any::<bool>());
    parts.prop_map(|(matching, rest, nets, blocks, words, host)| {
        let section = |name: &str, list: Option<Vec<&str>>| match (name, list) {
            (_, None) => String::new(),
            ("arguments", Some(list)) => format!("arguments: {{ allow: [{}] }}\n", list.join(", ")),
            (name, Some(list)) => {
                let maximum = list.len() % 2;
                format!("{name}: {{ maximum: {maximum}, allow: [{}] }}\n", list.join(", "))
            }
        };
        let text = [
            matching.to_owned(),
            rest.to_owned(),
            section("net", nets),
            section("block", blocks),
            section("arguments", words),
            "process: { root: forbid }".to_owned(),
        ]
        .concat();
        let digest = |content: &[u8]| format!("\"{}\"", Digest::of(content));
        let text = text.replace("DIGEST-A", &digest(b"a")).replace("DIGEST-B", &digest(b"b"));
        let mut policy = policy(&text);
        if host {
            policy.layer = Layer::Host;
        } else {
            policy.layer = Layer::Launch;
        }
        policy
    })
}

/// A launch that those parts are about, with facts of the host known or not.
fn some_situation() -> impl Strategy<Value = Situation> {
    let nets = select(&["--net:s=t1", "--net:s=@5", "--net:s=t2", "--net:s=x"][..]);
    let blocks = select(
        &["--block:d=/srv/x", "--block:d=/dev/sda", "--block-fd:d=7", "--block:d=/root/x"][..],
    );
    let words = select(&["a", "b", "ab c", "z", "z y", ""][..]);
    let labels = select(&["", " --label=tenant=a", " --label=tenant=a --label=zone=b"][..]);
    let content = proptest::option::of(select(&["a", "b", "c"][..]));
    let bridge = select(vec![
        Fact::Unknown,
        Fact::Known(None),
        Fact::Known(Some("br0".into())),
        Fact::Unreadable("why".to_owned()),
    ]);
    let kind =
        select(vec![Fact::Unknown, Fact::Known(BlockKind::File), Fact::Known(BlockKind::Other)]);
    let host = (bridge, kind, any::<bool>());
    (nets, blocks, words, labels, content, host, any::<bool>()).prop_map(
        |(net, block, word, label, content, (bridge, kind, root), require)| {
            let mut situation = situation(&common::Launch {
                devices: vec!["net s".into(), "block d".into()],
                options: format!("{net} {block}{label}"),
                arguments: vec![word.into()],
                content: content.map(str::to_owned),
                ..common::Launch::default()
            });
            situation.require = require;
            situation.facts.root = Fact::Known(root);
            situation.facts.nets = vec![NetFacts { bridge, ..NetFacts::default() }];
            situation.facts.blocks = vec![BlockFacts { kind, ..BlockFacts::default() }];
            situation
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is decided, the shortcuts find what deciding everything again finds.
    #[test]
    fn coverage_is_what_deciding_everything_again_finds(
        policies in prop::collection::vec(some_policy(), 1..3),
        situations in prop::collection::vec(some_situation(), 1..4),
    ) {
        let found: Vec<Vec<(String, bool)>> = decided(&policies, policies.len(), &situations)
            .into_iter()
            .map(|clauses| clauses.into_iter().map(|one| (one.what, one.decided)).collect())
            .collect();
        prop_assert_eq!(found, exhaustive(&policies, &situations));
    }
}
