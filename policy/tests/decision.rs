//! What programs get of a decision, and what a tender needs to open files beneath folders.

mod common;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use serde_json::json;
use solo5_policy::evaluate::rest_beneath;
use solo5_policy::{Phase, decide, directories, front};

#[test]
fn json_has_every_reason_with_its_place() {
    let text = "type: solo5.policy\nversion: 1\nname: edge-node\notherwise: allow\n\
                net: { allow: [ { name: \"*\", interface: \"tap-*\" } ] }\n";
    let tenant = "type: solo5.policy\nversion: 1\nmatch: { label: { tenant: alice } }\n";
    let policies = [
        front::read("edge.yaml", text.as_bytes()).unwrap(),
        front::read("dir/tenant.yaml", tenant.as_bytes()).unwrap(),
    ];
    let launch = common::Launch {
        devices: vec!["net service".into()],
        options: "--net:service=tap7".into(),
        ..common::Launch::default()
    };
    let decision = decide(&policies, &launch.asked(), &launch.facts(), Phase::Strings, true);
    let place = |line, column| json!({"policy": "edge-node", "file": "edge.yaml", "line": line, "column": column});
    let grant = |subject: &str| {
        let mut grant = place(4, 1);
        grant["subject"] = subject.into();
        grant
    };
    let mut reason = place(5, 41);
    reason["code"] = "P311".into();
    reason["subject"] = "net 'service'".into();
    reason["message"] = "interface 'tap7' fits no rule".into();
    reason["wants"] = "wants \"tap-*\"".into();
    assert_eq!(
        decision.json(),
        json!({
            "decision": "denied",
            "applicable": ["edge-node"],
            "skipped": ["tenant"],
            "reasons": [reason],
            "grants": [grant("image"), grant("memory")],
        })
    );
    let lines: Vec<_> = decision.grants.iter().map(|grant| grant.line()).collect();
    assert_eq!(lines[1], "memory: allowed by edge-node (edge.yaml:4:1)");
}

/// Different names stay different in reasons.
#[test]
fn names_that_are_no_utf_8_are_shown_byte_by_byte() {
    let text = "type: solo5.policy\nversion: 1\notherwise: allow\narguments: { allow: [x] }\n\
                net: { allow: [ { name: \"*\", interface: tap } ] }\n\
                block: { allow: [ { name: \"*\", file: { under: /srv } } ] }\n";
    let policies = [front::read("p.yaml", text.as_bytes()).unwrap()];
    let launch = common::Launch {
        devices: vec!["net service".into(), "block storage".into()],
        options: "--net:service=tap --block:storage=/srv/a".into(),
        arguments: vec!["y".into()],
        ..common::Launch::default()
    };
    let mut asked = launch.asked();
    let name = |bytes: &[u8]| OsStr::from_bytes(bytes).to_owned();
    asked.arguments = vec![name(b"\xff"), name(b"\xfe")];
    asked.launch.nets[0].interface = solo5_launch::Interface::Tap(name(b"t\xff"));
    asked.launch.blocks[0].backing = solo5_launch::Backing::Path(name(b"/x/\xff"));
    let decision = decide(&policies, &asked, &launch.facts(), Phase::Strings, false);
    let mut messages: Vec<_> =
        decision.reasons.iter().map(|reason| reason.message.as_str()).collect();
    messages.sort_unstable();
    let shown = ["'\\xfe' fits no rule", "'\\xff' fits no rule", "interface 't\\xff' fits no rule"];
    assert_eq!(messages.get(..3), Some(&shown[..]), "{messages:?}");
    assert!(messages[3].starts_with("path '/x/\\xff'"), "{messages:?}");
}

#[test]
fn folders_to_open_beneath_are_those_of_rules_that_could_fit() {
    let policy = |name, rules: &str| {
        let text = format!("type: solo5.policy\nversion: 1\nblock: {{ allow: [ {rules} ] }}\n");
        front::read(name, text.as_bytes()).unwrap()
    };
    let policies = [
        policy(
            "node.yaml",
            "{ name: \"*\", file: { under: /srv } }, { name: x, file: { under: /srv/a/b } }, \
             { name: \"*\", file: { under: /var } }, { name: \"*\", device: \"*\" }",
        ),
        policy("tenant.yaml", "{ name: d*, file: { under: /srv/a/ } }"),
    ];
    let launch = common::Launch {
        devices: vec!["block disk".into()],
        options: "--block:disk=/srv/a/b/disk.img".into(),
        ..common::Launch::default()
    };
    let asked = launch.asked();
    let folders = directories(&policies, &asked, &asked.launch.blocks[0]);
    assert_eq!(folders.into_iter().collect::<Vec<_>>(), ["/srv", "/srv/a"]);
}

#[test]
fn the_rest_beneath_a_folder_is_relative_and_never_empty() {
    for (path, folder, expected) in [
        ("/srv/a/b", "/srv", Some("a/b")),
        ("/srv//a/./b", "/srv", Some("a/b")),
        ("/srv", "/srv", None),
        ("/srv/", "/srv", None),
        ("/srvx/a", "/srv", None),
        ("srv/a", "/srv", None),
        ("/srv/../etc/x", "/srv", None),
        ("/srv/a/..", "/srv", None),
        ("", "/srv", None),
    ] {
        let rest = rest_beneath(OsStr::new(path), folder);
        let shown = rest
            .as_deref()
            .map(|rest| rest.to_string_lossy().replace("//", "/").replace("/./", "/"));
        assert_eq!(shown, expected.map(str::to_owned), "{path}");
        assert_ne!(rest, Some(OsString::new()));
    }
}

/// The policies of the documentation are policies, and its example gives the lines it shows.
#[test]
fn the_documentation_is_right() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/policy.md");
    let page = std::fs::read_to_string(page).unwrap();
    let policies: Vec<_> = page
        .split("```yaml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .map(|text| front::read("node.yaml", text.as_bytes()).expect("a policy"))
        .collect();
    assert_eq!(policies.len(), 4);
    let launch = common::Launch {
        devices: vec!["net service0".into()],
        options: "--net:service0=tap7".into(),
        ..common::Launch::default()
    };
    let (asked, facts) = (launch.asked(), launch.facts());
    let decision = decide(&policies[..1], &asked, &facts, Phase::Strings, false);
    let shown: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("solo5-spt: ")).collect();
    assert_eq!(decision.lines(), shown);
}
