//! The yes-and-no rule over random policies and launches.

mod common;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use solo5_policy::model::Layer;
use solo5_policy::{Decision, Outcome, Phase, Policy, decide, front};

/// Sections of a policy. There are several for one subject, so that policies differ.
const SECTIONS: &[&str] = &[
    "otherwise: allow",
    "match: { label: { tenant: \"a*\" } }",
    "image: { targets: [spt] }",
    "image: { targets: [hvt] }",
    "image: { minimum-manifest: 2 }",
    "image: { signed-by: RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3 }",
    "match: { digest: \"sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\" }",
    "admitted: /etc/list.json",
    "process: { root: allow, sandbox: optional }",
    "process: { root: forbid }",
    "memory: { maximum: 64MiB }",
    "memory: { maximum: 1GiB, executable-heap: allow }",
    "arguments: { allow: [\"--name=*\"] }",
    "arguments: { maximum-length: 4 }",
    "net: { maximum: 1 }",
    "net: { allow: [ { name: \"*\", interface: \"tap-*\" } ] }",
    "net: { allow: [ { name: s*, bridge: br0 }, { name: m*, mac: \"52:54:*\" } ] }",
    "block: { allow: [ { name: \"*\", file: { under: /srv } }, { name: \"*\", device: vg/* } ] }",
    "block: { allow: [ { name: \"*\", access: read-only, capacity: { maximum: 1GiB } } ] }",
];

/// The key of the section that asks for a signature.
const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";

fn policy() -> impl Strategy<Value = Policy> {
    subsequence(SECTIONS, 0..SECTIONS.len()).prop_map(|sections| {
        let mut text = String::from("type: solo5.policy\nversion: 1\n");
        let mut keys = Vec::new();
        for section in sections {
            let key = section.split(':').next();
            if !keys.contains(&key) {
                keys.push(key);
                text += &format!("{section}\n");
            }
        }
        front::read("p.yaml", text.as_bytes()).expect("a policy")
    })
}

fn launch() -> impl Strategy<Value = common::Launch> {
    let options = subsequence(
        vec![
            "--net:service=tap-1",
            "--net:management=eth9",
            "--block:disk=/srv/disk.img",
            "--block:data=/dev/vg/data",
            "--x-exec-heap",
            "--mem=2048",
            "--label=tenant=alice",
            "--net-mac:management=52:54:00:00:00:01",
        ],
        0..8,
    );
    let truth = |text: &'static [&'static str]| select(text).prop_map(|text| Some(text.to_owned()));
    let arguments = subsequence(vec!["--name=x", "--ipv4=10.0.0.1"], 0..2);
    let bridge = truth(&["br0", "br1", "none", "?", "!EPERM"]);
    let kind = truth(&["file", "device", "?"]);
    let answers = || truth(&["yes", "no", "?"]);
    let process = (answers(), answers());
    let proofs = (select(&[None, Some("abc"), Some("abd")][..]), any::<bool>(), answers());
    (options, arguments, bridge, kind, process, proofs).prop_map(
        |(options, arguments, bridge, kind, (root, sandbox), (content, signed, admitted))| {
            let devices = [
                "net service optional",
                "net management optional",
                "block disk optional",
                "block data optional",
            ];
            let mut words: Vec<_> = options.iter().map(|option| (*option).to_owned()).collect();
            for device in devices {
                let mut parts = device.split(' ');
                let (kind, name) = (parts.next().unwrap(), parts.next().unwrap());
                let option = format!("--{kind}:{name}=");
                if !words.iter().any(|word| word.starts_with(&option)) {
                    words.push(format!("--without-{kind}:{name}"));
                }
            }
            let net = common::Net { tap: Some("tap-1".into()), bridge };
            let block =
                common::Block { kind, beneath: Some("/srv".into()), capacity: Some("1MiB".into()) };
            common::Launch {
                devices: devices.map(str::to_owned).to_vec(),
                options: words.join(" "),
                content: content.map(str::to_owned),
                signed_by: if signed { vec![KEY.to_owned()] } else { Vec::new() },
                arguments: arguments.into_iter().map(str::to_owned).collect(),
                facts: common::Facts {
                    root,
                    sandbox,
                    admitted: admitted
                        .map(|answer| ("/etc/list.json".to_owned(), answer))
                        .into_iter()
                        .collect(),
                    nets: vec![net.clone(), net],
                    blocks: vec![block.clone(), block],
                },
                ..common::Launch::default()
            }
        },
    )
}

fn put(policies: &[Policy], launch: &common::Launch, phase: Phase) -> Decision {
    decide(policies, &launch.asked(), &launch.facts(), phase, false)
}

fn reasons(decision: &Decision) -> Vec<String> {
    let mut lines: Vec<_> = decision.reasons.iter().map(|reason| reason.line()).collect();
    lines.sort();
    lines
}

const PHASES: [Phase; 2] = [Phase::Strings, Phase::Descriptors];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// A reason that some policy gives stays, whatever policies are added.
    #[test]
    fn a_further_policy_never_takes_back_a_no(
        policies in prop::collection::vec(policy(), 0..4),
        further in policy(),
        launch in launch(),
    ) {
        for phase in PHASES {
            let before = put(&policies, &launch, phase);
            let mut all = policies.clone();
            all.push(further.clone());
            let after = put(&all, &launch, phase);
            for reason in before.reasons.iter().filter(|reason| reason.place.is_some()) {
                prop_assert!(after.reasons.contains(reason), "{} is gone", reason.line());
            }
            if before.denying > 0 {
                prop_assert_eq!(after.outcome, Outcome::Denied);
            }
        }
    }

    /// If a further policy turns a denial into a yes, every reason of the denial was silence.
    #[test]
    fn only_silence_can_be_ended(
        policies in prop::collection::vec(policy(), 1..4),
        further in policy(),
        launch in launch(),
    ) {
        let before = put(&policies, &launch, Phase::Descriptors);
        let mut all = policies;
        all.push(further);
        let after = put(&all, &launch, Phase::Descriptors);
        if before.is_denied() && !after.is_denied() {
            prop_assert!(before.reasons.iter().all(|reason| reason.place.is_none()));
        }
    }

    /// Where one of the host's policies applies, a launch's own policies allow nothing.
    #[test]
    fn a_launchs_own_policies_allow_nothing_under_the_hosts(
        host in prop::collection::vec(policy(), 1..3),
        brought in prop::collection::vec(policy(), 0..3),
        launch in launch(),
    ) {
        let host: Vec<_> =
            host.into_iter().map(|policy| Policy { layer: Layer::Host, ..policy }).collect();
        for phase in PHASES {
            let before = put(&host, &launch, phase);
            let all = [&host[..], &brought].concat();
            let after = put(&all, &launch, phase);
            if !before.applicable.is_empty() {
                prop_assert!(after.is_denied() || !before.is_denied());
                let kept = |condition| after.is_denied() || after.conditions.contains(condition);
                prop_assert!(before.conditions.iter().all(kept));
            } else {
                prop_assert_eq!(reasons(&put(&brought, &launch, phase)), reasons(&after));
            }
        }
    }

    #[test]
    fn the_order_of_policies_does_not_matter(
        policies in prop::collection::vec(policy(), 0..5),
        launch in launch(),
        seed in any::<prop::sample::Index>(),
    ) {
        for phase in PHASES {
            let forth = put(&policies, &launch, phase);
            let mut other = policies.clone();
            other.reverse();
            if !other.is_empty() {
                let middle = seed.index(other.len());
                other.rotate_left(middle);
            }
            let back = put(&other, &launch, phase);
            prop_assert_eq!(forth.outcome, back.outcome);
            prop_assert_eq!(forth.denying, back.denying);
            prop_assert_eq!(reasons(&forth), reasons(&back));
        }
    }

    /// What is allowed once every fact is known was not denied before, and a fact that stays
    /// unknown to the end is never a yes.
    #[test]
    fn knowing_more_only_settles_conditions(
        policies in prop::collection::vec(policy(), 0..4),
        launch in launch(),
    ) {
        let early = put(&policies, &launch, Phase::Strings);
        let late = put(&policies, &launch, Phase::Descriptors);
        prop_assert_ne!(late.outcome, Outcome::Conditional);
        match early.outcome {
            Outcome::Denied => prop_assert!(late.is_denied()),
            Outcome::Allowed => prop_assert!(!late.is_denied()),
            Outcome::Conditional => prop_assert!(late.is_denied(), "an unknown fact was a yes"),
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = front::read("p.yaml", &bytes);
    }

    #[test]
    fn any_mix_of_words_is_read_or_refused(words in prop::collection::vec(
        select(&["net:", "allow:", "- ", "{", "}", "name:", "\n  ", "\n", "[", "]", "\"*\"",
            "type: solo5.policy\n", "version: 1\n", "maximum: 3\n", "file:", "under: /", "match:"][..]),
        0..30,
    )) {
        let _ = front::read("p.yaml", words.concat().as_bytes());
    }
}
