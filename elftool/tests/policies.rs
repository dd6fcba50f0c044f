//! `policy test` and `policy show`.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{DEVICES, Place, documented, snapshot};
use serde_json::Value;
use solo5_abi::{Arch, Target};
use solo5_image::testing::Sample;

const POLICY: &str = "\
type: solo5.policy
version: 1
name: node
otherwise: allow
memory: { maximum: 64MiB }
net: { allow: [ { name: \"service*\", interface: \"tap-*\", bridge: br0 } ] }
block: { allow: [ { name: \"*\", file: { under: /srv }, capacity: { maximum: 1GiB } } ] }
";

const MANIFEST: &str = "\
type: solo5.manifest
version: 2
devices:
  - { name: service0, type: NET_BASIC }
  - { name: storage, type: BLOCK_BASIC, access: read-only }
";

fn place() -> Place {
    let place = Place::new();
    place.write("node.yaml", POLICY.as_bytes());
    place.write("manifest.yaml", MANIFEST.as_bytes());
    place.image("router.spt", Target::Spt);
    place
}

fn suite(place: &Place, cases: &str) {
    let text = format!("type: solo5.policy-test\nversion: 1\npolicies: node.yaml\ncases:\n{cases}");
    place.write("node-test.yaml", text.as_bytes());
}

fn test(place: &Place, options: &[&str]) -> common::Run {
    place.run(&[&["policy", "test", "node-test.yaml"], options].concat())
}

/// A case that launches the manifest and needs facts of the host. `more` is the rest of the case.
fn case(name: &str, more: &str) -> String {
    format!(
        "- name: {name}\n  manifest: manifest.yaml\n  target: spt\n\
         \x20 options: [--mem=64, \"--net:service0=tap-1\", \"--block:storage=/srv/a.img\"]\n{more}\n"
    )
}

const FACTS: &str = "  host:\n    net: { service0: { interface: tap-1, bridge: br0 } }\n    \
                     block: { storage: { kind: file, under: /srv, capacity: 1GiB } }\n";

#[test]
fn facts_of_the_host_decide_as_they_do_at_boot() {
    let place = place();
    let facts = |change: (&str, &str)| FACTS.replace(change.0, change.1);
    let cases = [
        case("no facts known", "  decision: conditional"),
        case("all fits", &format!("{FACTS}  decision: allowed")),
        case(
            "another bridge",
            &format!("{}  decision: denied\n  codes: P313", facts(("bridge: br0", "bridge: none"))),
        ),
        case(
            "another tap than the one named",
            &format!(
                "{}  decision: denied\n  codes: P311",
                facts(("interface: tap-1", "interface: eth0"))
            ),
        ),
        case(
            "out of the folder, and too large",
            &format!(
                "{}  decision: denied\n  codes: [P325, P321]",
                facts(("under: /srv, capacity: 1GiB", "under: [], capacity: 2GiB"))
            ),
        ),
        case(
            "a fact that cannot be read",
            &format!(
                "{}  decision: denied\n  codes: P327",
                facts(("kind: file", "kind: { unreadable: EPERM }"))
            ),
        ),
    ];
    suite(&place, &cases.concat());
    let run = test(&place, &[]);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{}", run.stdout);
    assert!(run.stdout.starts_with("node.yaml:5:1: memory decided no case\n"), "{}", run.stdout);
    assert!(run.stdout.contains("\n6 passed, 0 failed; "), "{}", run.stdout);
}

#[test]
fn every_failure_is_reported_with_its_line_and_what_differs() {
    let place = place();
    let cases = [
        case("is allowed", &format!("{FACTS}  decision: denied\n  codes: P305")),
        case("passes", &format!("{FACTS}  decision: allowed")),
        "- { name: other reasons, image: router.spt, decision: denied, codes: [P310, P305], \
         options: [--mem=65, \"--net:service0=eth0\", \"--block:storage=/srv/x\"] }\n"
            .to_owned(),
    ];
    suite(&place, &cases.concat());
    let run = test(&place, &[]);
    assert_eq!((run.status, run.stderr.as_str()), (1, ""));
    snapshot("policy-test-failures", &run.stdout);
    let run = test(&place, &["--format=json"]);
    assert_eq!(run.status, 1);
    let value: Value = serde_json::from_str(&run.stdout).unwrap();
    let cases = &value["suites"][0]["cases"];
    assert_eq!(cases[0]["passed"], false);
    assert_eq!(cases[0]["failure"]["locations"][0]["line"], 12);
    assert_eq!(cases[1]["passed"], true);
    assert_eq!(cases[1].get("failure"), None);
    assert_eq!(cases[2]["found"]["reasons"][0]["code"], "P305");
    assert_eq!(cases[2]["expected"]["codes"], serde_json::json!(["P310", "P305"]));
    assert_eq!(value["summary"]["failed"], 2);
}

#[test]
fn coverage_can_be_demanded() {
    let place = place();
    let all = case("all fits", &format!("{FACTS}  decision: allowed"));
    suite(&place, &all);
    let run = test(&place, &["--format=json", "--coverage=50"]);
    assert_eq!(run.status, 1, "{}", run.stdout);
    let value: Value = serde_json::from_str(&run.stdout).unwrap();
    let clauses = value["policies"][0]["clauses"].as_array().unwrap();
    let decided: Vec<_> = clauses
        .iter()
        .filter(|clause| clause["decided"] == true)
        .map(|clause| clause["clause"].as_str().unwrap())
        .collect();
    assert_eq!(decided, ["otherwise", "net.allow[1]", "block.allow[1]"]);
    let summary = &value["summary"];
    assert_eq!(summary["decided"], 3);
    let percent = 300 / clauses.len();
    assert_eq!(summary["coverage"], percent);
    assert_eq!(summary["enough"], false);
    assert_eq!(test(&place, &[&format!("--coverage={percent}")]).status, 0);
    let run = test(&place, &[&format!("--coverage={}", percent + 1)]);
    assert_eq!(run.status, 1);
    let wanted = format!("{percent} %, and {} % are wanted\n", percent + 1);
    assert!(run.stdout.ends_with(&wanted), "{}", run.stdout);
    assert_eq!(test(&place, &["--coverage=101"]).status, 2);
    // A second file about the same policy adds to the first.
    let text = "type: solo5.policy-test\nversion: 1\npolicies: node.yaml\ncases:\n\
                - { name: large, manifest: manifest.yaml, target: spt, decision: denied, codes: P305,\n\
                \x20 options: [\"--net:service0=tap-1\", \"--block:storage=/srv/a\"] }\n";
    place.write("more.yaml", text.as_bytes());
    let run = test(&place, &["more.yaml", "--format=json"]);
    assert_eq!(run.status, 0, "{}", run.stdout);
    let value: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(value["summary"]["decided"], 5);
    assert_eq!(value["policies"].as_array().unwrap().len(), 1);
}

/// A policy is one file, however its path is written.
#[test]
fn a_policy_is_counted_once() {
    let place = place();
    std::fs::create_dir(place.path("more")).unwrap();
    let suite = |policy: &str| {
        format!(
            "type: solo5.policy-test\nversion: 1\npolicies: {policy}\ncases:\n\
             - {{ name: x, image: {0}, decision: conditional, \
             options: [\"--net:service0=tap-1\", \"--block:storage=/srv/a\", --mem=8] }}\n",
            policy.replace("node.yaml", "router.spt")
        )
    };
    place.write("node-test.yaml", suite("node.yaml").as_bytes());
    place.write("more/test.yaml", suite("../node.yaml").as_bytes());
    let one = test(&place, &["--format=json"]);
    let both = test(&place, &["--format=json", "more/test.yaml"]);
    let summary = |run: &common::Run| {
        let value: Value = serde_json::from_str(&run.stdout).unwrap();
        let policies = value["policies"].as_array().unwrap();
        let files: Vec<String> = policies.iter().map(|one| one["file"].to_string()).collect();
        (files, value["summary"]["clauses"].clone())
    };
    assert_eq!(summary(&both), summary(&one));
    assert_eq!(summary(&both).0, ["\"node.yaml\""]);
}

/// For each clause, a copy of the policy without it is made. Only one copy is kept at a time: 4,000
/// copies with 4,000 digests each would take 512 MB.
#[test]
fn large_policies_take_little_memory() {
    let place = place();
    let digests: Vec<String> = (0..4000).map(|n| format!("  - \"sha256:{n:064x}\"\n")).collect();
    let policy = format!(
        "type: solo5.policy\nversion: 1\notherwise: allow\nimage:\n digest:\n{}",
        digests.concat()
    );
    place.write("node.yaml", policy.as_bytes());
    suite(&place, "- { name: x, manifest: m.yaml, target: spt, decision: denied, codes: P353 }\n");
    place.write("m.yaml", b"type: solo5.manifest\nversion: 2\ndevices: []\n");
    let program = env!("CARGO_BIN_EXE_solo5-elftool");
    let script =
        format!("ulimit -v 200000; exec '{program}' policy test node-test.yaml --format=json");
    let run = place.run_program("/bin/sh".as_ref(), &["-c", &script], b"");
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    let value: Value = serde_json::from_str(&run.stdout).unwrap();
    let clauses = value["policies"][0]["clauses"].as_array().unwrap();
    assert_eq!(clauses.len(), 4003);
    assert_eq!(clauses[4002]["line"], 6);
}

#[test]
fn digests_signatures_and_findings_are_tested_too() {
    let place = Place::new();
    let sample = Sample::new(Target::Spt, Arch::X86_64, &[]);
    place.write("a.spt", &sample.bytes());
    assert_eq!(place.run(&["sign", "--new-key=key"]).status, 0);
    let key = std::fs::read_to_string(place.path("key.pub")).unwrap();
    let key = key.lines().nth(1).unwrap().to_owned();
    let digest = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let policy = format!(
        "type: solo5.policy\nversion: 1\notherwise: allow\nimage: {{ signed-by: {key} }}\n\
         audit: {{ fail-on: warning, waive: [ {{ rule: S319, images: \"{digest}\", reason: x, until: 2026-12-31 }} ] }}\n"
    );
    place.write("node.yaml", policy.as_bytes());
    place.write("m.json", br#"{ "type": "solo5.manifest", "version": 1, "devices": [] }"#);
    let manifest = |name: &str, more: &str| {
        format!("- {{ name: {name}, manifest: m.json, target: spt, {more} }}\n")
    };
    let proven = format!("digest: \"{digest}\", signed-by: {key}");
    suite(
        &place,
        &[
            "- { name: unsigned, image: a.spt, decision: denied, codes: P351 }\n".to_owned(),
            manifest("nothing proven", "decision: denied, codes: P353"),
            manifest("signed", &format!("{proven}, decision: allowed")),
            manifest(
                "waived",
                &format!("{proven}, findings: S319, today: 2026-12-31, decision: allowed"),
            ),
            manifest(
                "ended",
                &format!(
                    "{proven}, findings: S319, today: 2027-01-01, decision: denied, codes: P354"
                ),
            ),
        ]
        .concat(),
    );
    let run = test(&place, &["--coverage=100"]);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{}", run.stdout);
    // The image itself, once it is signed.
    assert_eq!(place.run(&["sign", "--key=key", "a.spt"]).status, 0);
    suite(&place, "- { name: signed, image: a.spt, decision: allowed }\n");
    let run = test(&place, &[]);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{}", run.stdout);
}

#[test]
fn cases_that_cannot_be_tested_are_reported() {
    let place = place();
    place.write(
        "m2.yaml",
        b"type: solo5.manifest\nversion: 2\nmemory: { minimum: 32MiB }\ndevices: []\n",
    );
    for target in [Target::Hvt, Target::Xen] {
        let image = Sample::new(target, Arch::X86_64, &[]).bytes();
        place.write(&format!("none.{}", target.name()), &image);
    }
    for (cases, message) in [
        (
            "- { name: x, manifest: gone.yaml, target: spt, decision: allowed }\n",
            "gone.yaml: No such file or directory\n --> node-test.yaml:5:24",
        ),
        (
            "- { name: x, manifest: node.yaml, target: spt, decision: allowed }\n",
            "error[P232]: node.yaml: node.yaml:",
        ),
        (
            "- { name: x, manifest: manifest.yaml, target: spt, options: [--mem=1], decision: allowed }\n",
            "Device 'service0' of type NET_BASIC declared but not attached.",
        ),
        (
            "- { name: x, image: router.spt, options: [mem=1], decision: allowed }\n",
            "`mem=1` is not an option of a tender",
        ),
        ("- { name: x, image: node.yaml, decision: allowed }\n", "error[P232]: node.yaml: "),
        (
            &case("x", &format!("{}  decision: allowed", FACTS.replace("service0", "service1"))),
            "the launch attaches no device 'service1'",
        ),
        (
            "- { name: x, manifest: manifest.yaml, target: spt, findings: S999, decision: allowed,\n    \
             options: [\"--net:service0=tap-1\", \"--block:storage=/srv/a\"] }\n",
            "`S999` is not a rule of the audit",
        ),
        (
            "- { name: x, manifest: m2.yaml, target: spt, findings: S401, decision: allowed }\n",
            "`check` does not apply S401, so no policy sees such a finding",
        ),
        (
            "- { name: x, manifest: m2.yaml, target: spt, findings: S201, decision: allowed }\n",
            "an image with S201 cannot start, so no policy is asked",
        ),
        (
            "- { name: x, manifest: m2.yaml, target: xen, decision: allowed }\n",
            "no tender starts a xen image, so no policy is asked",
        ),
        (
            "- { name: x, manifest: m2.yaml, target: spt, options: [--mem=31], decision: allowed }\n",
            "the manifest asks for at least 32 MiB of memory, but the guest would get 31 MiB; add --mem=32",
        ),
        (
            "- { name: x, image: router.spt, decision: allowed,\n    \
             options: [--mem=1, \"--net:service0=tap-1\", \"--block:storage=/srv/a\"] }\n",
            "error[P232]: invalid executable: ",
        ),
        (
            "- { name: x, image: none.xen, decision: allowed }\n",
            "no tender starts a xen image, so no policy is asked",
        ),
        (
            "- { name: x, image: router.spt, decision: allowed,\n    \
             options: [--policy=x, \"--net:service0=tap-1\", \"--block:storage=/srv/a\"] }\n",
            "policies are named in `policies` of the file",
        ),
    ] {
        suite(&place, cases);
        let run = test(&place, &[]);
        assert_eq!((run.status, run.stdout.as_str()), (2, ""), "{cases}");
        assert!(run.stderr.contains(message), "{message:?} in\n{}", run.stderr);
    }
    place.write("node.yaml", b"type: solo5.policy\nversion: 1\nmemroy: x\n");
    suite(&place, "- { name: x, image: router.spt, decision: allowed }\n");
    let run = test(&place, &[]);
    assert_eq!(run.status, 2);
    assert!(run.stderr.contains("did you mean `memory`?"), "{}", run.stderr);
    // One broken file does not stop the rest.
    let example = example("hello/policy-test.yaml");
    let run =
        place.run(&["policy".as_ref(), "test".as_ref(), "gone.yaml".as_ref(), example.as_os_str()]);
    assert_eq!(run.status, 2);
    assert!(run.stdout.contains(" passed, 0 failed; "), "{}", run.stdout);
}

fn example(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(path)
}

#[test]
fn the_examples_pass() {
    for (folder, least) in [("hello", "70"), ("http", "70")] {
        let output = Command::new(env!("CARGO_BIN_EXE_solo5-elftool"))
            .args(["policy", "test", "policy-test.yaml", "--coverage", least])
            .current_dir(example(folder))
            .output()
            .unwrap();
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{folder}:\n{stdout}");
    }
}

#[test]
fn a_policy_is_shown_as_a_tender_understands_it() {
    let place = place();
    let run = place.run(&["policy", "show", "node.yaml"]);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    snapshot("policy-show", &run.stdout);
    place.write(
        "tenant.yaml",
        b"type: solo5.policy\nversion: 1\nmatch: { label: { tenant: a* } }\nprocess: { root: allow }\n\
          arguments: { allow: [] }\ndebug: { gdb: allow }\nimage: { targets: [hvt, spt] }\n",
    );
    let run = place.run(&["policy", "show", "tenant.yaml"]);
    snapshot("policy-show-silence", &run.stdout);
    let run = place.run(&["policy", "show", "--format=json", "node.yaml", "tenant.yaml"]);
    let value: Value = serde_json::from_str(&run.stdout).unwrap();
    let (node, tenant) = (&value["policies"][0], &value["policies"][1]);
    assert_eq!(node["memory"]["maximum"], 64 << 20);
    assert_eq!(node["memory"]["executable-heap"], "forbid");
    assert_eq!(node["image"], "allow");
    assert_eq!(node["net"]["allow"][0]["interface"], "tap-*");
    assert_eq!(node["block"]["allow"][0]["under"], "/srv");
    assert_eq!(node["block"]["maximum"], Value::Null);
    assert_eq!(tenant["match"]["label"]["tenant"], "a*");
    assert_eq!(tenant["process"]["sandbox"], "require");
    assert_eq!(tenant["memory"], "silent");
    assert_eq!(value["denied-by-silence"], serde_json::json!([]));
    place.write("reversed.yaml", b"type: solo5.policy\nversion: 1\nname: \"p\\u202eq\\u200b\"\n");
    let run = place.run(&["policy", "show", "reversed.yaml"]);
    assert!(run.stdout.starts_with("p\\u{202e}q\\u{200b} (reversed.yaml)\n"), "{}", run.stdout);
    let run = place.run(&["policy", "show", "gone.yaml"]);
    assert_eq!((run.status, run.stdout.as_str()), (2, ""));
    // The image in `place` has two devices.
    assert_eq!(DEVICES.len(), 2);
}

/// The policy and the tests on the page print what the page shows.
#[test]
fn the_documentation_is_right() {
    let after = |mark: &str| documented("policy.md", mark, 0);
    let place = Place::new();
    place.write("node.yaml", after("```yaml\n").as_bytes());
    place.write("node-test.yaml", after("```yml\n").as_bytes());
    let manifest = "type: solo5.manifest\nversion: 1\n\
                    devices: [ { name: service, type: NET_BASIC } ]\n";
    place.write("manifest.yaml", manifest.as_bytes());
    let show = place.run(&["policy", "show", "node.yaml"]);
    let shown = after("$ solo5-elftool policy show node.yaml\n");
    assert_eq!((show.status, show.stdout), (0, shown));
    let run = test(&place, &["--coverage=80"]);
    let shown = after("$ solo5-elftool policy test --coverage=80 node-test.yaml\n");
    assert_eq!((run.status, run.stdout), (0, shown));
}

/// A host's policies, and one that a launch brings and that allows everything.
fn layers() -> Place {
    let place = place();
    std::fs::create_dir(place.path("policy.d")).unwrap();
    let host = "type: solo5.policy\nversion: 1\nname: host\nimage: { targets: [spt] }\nmemory: { maximum: 1GiB }\n\
                net: { allow: [ { name: \"*\" } ] }\n";
    place.write("policy.d/host.yml", host.as_bytes());
    place.write("policy.d/left.yaml~", b"no policy");
    place.write("all.yaml", b"type: solo5.policy\nversion: 1\nname: all\notherwise: allow\n");
    place
}

#[test]
fn what_a_launch_brings_can_only_deny_on_a_modelled_host() {
    let place = layers();
    let launch =
        ["router.spt", "--", "--policy=all.yaml", "--net:service0=t", "--block:storage=/d"];
    let check = |options: &[&str]| place.run(&[&["check"], options, &launch].concat());
    let run = check(&["--host-policies=policy.d"]);
    assert_eq!(run.status, 1, "{run:?}");
    assert!(run.stdout.contains("P345") && run.stdout.contains("of the host"), "{run:?}");
    let run = check(&["--policy=all.yaml"]);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{run:?}");
    let run = check(&["--host-policies=gone"]);
    assert_eq!(run.status, 2, "{run:?}");
}

#[test]
fn plans_and_tests_take_the_hosts_layer() {
    let place = layers();
    place.write(
        "plan.yaml",
        b"type: solo5.plan\nversion: 1\npolicies: all.yaml\nunikernels:\n  - name: router\n    image: router.spt\n    \
          memory: 64MiB\n    net: { service0: { tap: t } }\n    block: { storage: { path: /d } }\n",
    );
    let plan = |more: &[&str]| place.run(&[&["check", "--plan=plan.yaml"], more].concat());
    assert_eq!(plan(&[]).status, 0);
    let run = plan(&["--host-policies=policy.d"]);
    assert_eq!(run.status, 1);
    assert!(run.stdout.contains("P345"), "{run:?}");
    place.write(
        "layers-test.yaml",
        b"type: solo5.policy-test\nversion: 1\npolicies: all.yaml\ncases:\n  - name: a disk\n    manifest: manifest.yaml\n    \
          target: spt\n    options: [\"--net:service0=t\", \"--block:storage=/d\"]\n    decision: denied\n    codes: [P345]\n",
    );
    let test = |more: &[&str]| place.run(&[&["policy", "test", "layers-test.yaml"], more].concat());
    assert_eq!(test(&[]).status, 1, "allowed without the host's");
    let run = test(&["--host-policies=policy.d"]);
    assert_eq!(run.status, 0, "{run:?}");
}

#[test]
fn show_tells_the_layers_apart() {
    let place = layers();
    let show = ["policy", "show", "--host-policies=policy.d", "all.yaml"];
    let run = place.run(&show);
    assert!(run.stdout.contains("host (policy.d/host.yml), of the host\n"), "{run:?}");
    assert!(run.stdout.contains("denied, as no policy says anything about `block`"), "{run:?}");
    assert!(run.stdout.contains("the others can only deny"), "{run:?}");
    let run = place.run(&[&show[..], &["--format=json"]].concat());
    let shown: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(shown["policies"][0]["layer"], "host");
    assert_eq!(shown["policies"][1]["layer"], "launch");
}
