//! A policy, and what it decides; or a list of admitted images. In an input, arguments of a tender
//! may follow the policy, each behind a NUL.

use solo5_launch::{self as launch, Interface, Launch};
use solo5_policies::{audit, schema};
use solo5_policy::date::Date;
use solo5_policy::{
    Asked, BlockFacts, BlockKind, Decision, Fact, HostFacts, NetFacts, Outcome, Phase, Policy,
    admission_lists, admitted, decide, directories, front, keys_to_prove,
};
use solo5_report::Diagnostic;
use solo5_signature::{Digest, Proof};

use crate::Target;
use crate::launch::{MODULES, arguments, manifest};
use crate::{cases, files, source};

pub(crate) const TARGET: Target = Target { name: "policy", run, seeds, words };

/// The launch to use where the input has no valid one.
const LAUNCH: &[u8] =
    b"--net:service=tap-1\0--net:management=@7\0--net-mac:service=52:54:00:00:00:01\0\
    --block:storage=/srv/disk.img\0--block:data=/dev/vg/data\0--label=tenant=alice\0k\0--name=x y";

/// The content of the image: that of the policy crate's own tests.
const CONTENT: &[u8] = b"abc";

fn run(data: &[u8]) -> bool {
    let end = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
    let (text, rest) = data.split_at(end);
    if list(text) {
        return true;
    }
    let policy = match front::read("policy.yaml", text) {
        Ok(policy) => policy,
        Err(found) => {
            files::shown(&found);
            return false;
        }
    };
    let document = solo5_source::parse("policy.yaml", text).expect("a policy is YAML");
    let formatted = source::formatted(&document);
    let formatted = front::read("policy.yaml", formatted.as_bytes());
    let formatted =
        formatted.unwrap_or_else(|found| panic!("{:?}: {found:#?}", document.source.text));
    let formatted = [formatted];
    let once = [policy];
    let twice = [once[0].clone(), once[0].clone()];

    let mut asked = asked(rest.get(1..).unwrap_or_default());
    let keys = keys_to_prove(&once, &asked.launch.labels);
    decided(&once, &twice, &formatted, &asked);
    if let Some(keys) = keys {
        asked.proof = Some(Proof { digest: Digest::of(CONTENT), signed_by: keys, unread: None });
        decided(&once, &twice, &formatted, &asked);
    }
    audited(&once, &asked);
    true
}

/// A list of admitted images, if it is one.
fn list(text: &[u8]) -> bool {
    let Ok(digests) = admitted::read("admitted.json", text) else {
        return false;
    };
    let admission =
        solo5_policies::admitted::Admission { file: "a \"b\"\n".into(), policies: Vec::new() };
    let all = digests.iter().map(|digest| (*digest, admission.clone()));
    let written = solo5_policies::admitted::text(&all.collect());
    let again = admitted::read("admitted.json", written.as_bytes());
    assert_eq!(again.as_ref(), Ok(&digests), "{written}");
    true
}

/// One policy decides the same as when it is given twice, and when it is formatted.
fn decided(once: &[Policy], twice: &[Policy], formatted: &[Policy], asked: &Asked) {
    for facts in hosts(asked, once) {
        let decisions = [Phase::Strings, Phase::Descriptors].map(|phase| {
            let decision = decide(once, asked, &facts, phase, true);
            check(&decision);
            for same in [twice, formatted] {
                let same = decide(same, asked, &facts, phase, true);
                assert_eq!(same.outcome, decision.outcome, "{decision:#?}\n{same:#?}");
            }
            decision.outcome
        });
        // A denial by the command line stays a denial, and when all facts are known no condition is
        // left.
        assert_ne!(decisions[1], Outcome::Conditional);
        assert!(decisions[0] != Outcome::Denied || decisions[1] == Outcome::Denied);
        // A host that confirms every word changes no decision.
        let confirms = matches!(facts.root, Fact::Known(_));
        assert!(!confirms || decisions[0] != Outcome::Allowed || decisions[1] == Outcome::Allowed);
    }
}

/// Every finding is a reason, waived, or below the policy's threshold; an error is never waived.
fn audited(policies: &[Policy], asked: &Asked) {
    let findings = [
        Diagnostic::note("S501", "a note"),
        Diagnostic::warning("S401", "a warning"),
        Diagnostic::error("S101", "an error"),
    ];
    let judgement = audit::judge(policies, asked, &findings, Date::from_days(20_000));
    let applies = audit::is_asked(policies, asked);
    let refused = |code| judgement.reasons.iter().any(|reason| reason.message.starts_with(code));
    assert_eq!(applies, refused("S101"), "an error is not refused");
    assert!(judgement.reasons.len() + judgement.waived.len() <= findings.len());
    for waived in &judgement.waived {
        assert!(asked.proof.is_some() && !refused(waived.code) && waived.code != "S101");
        assert!(!waived.line().contains(char::is_control));
        assert_eq!(Date::parse(&waived.until.to_string()), Some(waived.until));
    }
}

fn asked(words: &[u8]) -> Asked {
    let (first, second) = manifest();
    let read = |words: &[u8]| -> Option<Launch> {
        let request = launch::read(&arguments(words), &MODULES[0]).ok()?;
        request.check(&first, Some(&second)).ok()
    };
    let launch = read(words).or_else(|| read(LAUNCH)).expect("our own command line");
    Asked::new(launch, MODULES[0].target, Some(&second))
}

/// A host that was not asked, one where all is well, and one that answers nothing.
fn hosts(asked: &Asked, policies: &[Policy]) -> [HostFacts; 3] {
    let lists = admission_lists(policies, asked);
    let host = |net: fn(&Interface) -> NetFacts,
                block: fn(Vec<String>) -> BlockFacts,
                own: Fact<bool>| HostFacts {
        root: own.clone(),
        sandbox: own.clone(),
        lacking: Vec::new(),
        admitted: lists.iter().map(|list| ((*list).to_owned(), own.clone())).collect(),
        nets: asked.launch.nets.iter().map(|asked| net(&asked.interface)).collect(),
        blocks: asked
            .launch
            .blocks
            .iter()
            .map(|asked_block| directories(policies, asked, asked_block))
            .map(|folders| block(folders.into_iter().map(str::to_owned).collect()))
            .collect(),
    };
    let open = |interface: &Interface| NetFacts {
        tap: Fact::Known(match interface {
            Interface::Tap(name) => name.clone(),
            Interface::Fd(_) => "tap-1".into(),
        }),
        bridge: Fact::Known(Some("br0".into())),
    };
    let shut = |_: &Interface| NetFacts { tap: unreadable(), bridge: unreadable() };
    let file = |beneath| BlockFacts {
        kind: Fact::Known(BlockKind::File),
        beneath: Fact::Known(beneath),
        capacity: Fact::Known(1 << 20),
    };
    let lost = |_| BlockFacts { kind: unreadable(), beneath: unreadable(), capacity: unreadable() };
    [HostFacts::default(), host(open, file, Fact::Known(true)), host(shut, lost, unreadable())]
}

/// A fact that the host does not give, for a reason that is itself hostile text.
fn unreadable<T>() -> Fact<T> {
    Fact::Unreadable(String::from("EPERM\n\u{1b}[2J"))
}

/// Asserts what programs and people rely on.
fn check(decision: &Decision) {
    let counts = [decision.reasons.len(), decision.conditions.len()];
    let expected = match decision.outcome {
        Outcome::Denied => counts[0] > 0 && counts[1] == 0,
        Outcome::Conditional => counts[0] == 0 && counts[1] > 0,
        Outcome::Allowed => counts == [0, 0],
    };
    assert!(expected, "{decision:#?}");
    let json = decision.json();
    let list = |key: &str| json.get(key).and_then(|list| list.as_array()).map_or(0, Vec::len);
    assert_eq!([list("reasons"), list("conditions")], counts);
    let grants = decision.grants.iter().map(|grant| grant.line());
    for line in decision.lines().into_iter().chain(grants) {
        // Programs escape a line once, where they print it, and lose nothing by that.
        let printed = solo5_report::one_line(&line);
        assert!(!printed.contains(char::is_control), "{printed:?}");
        assert_eq!(solo5_report::escape::unescape(&printed).as_deref(), Some(line.as_str()));
    }
    for reason in &decision.reasons {
        assert!(solo5_report::explain(reason.code).is_some(), "{} has no page", reason.code);
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let seeds = cases::all().flat_map(|case| {
        let line = cases::command_line(&case).unwrap_or_default();
        let policies = cases::policies(&case).into_iter();
        policies.map(move |policy| [policy, b"\0".to_vec(), line.clone()].concat())
    });
    let digest = Digest::of(CONTENT);
    let list = format!(
        "{{ \"type\": \"solo5.admitted\", \"version\": 1, \"images\": [ {{ \"digest\": \"{digest}\", \
         \"file\": \"a\", \"policies\": [] }} ] }}"
    );
    let audit = format!(
        "type: solo5.policy\nversion: 1\notherwise: allow\naudit:\n  fail-on: warning\n  waive:\n    \
         - {{ rule: S4, images: [\"{digest}\"], reason: legacy, until: 2099-12-31 }}\n"
    );
    seeds.chain([list.into_bytes(), audit.into_bytes()]).collect()
}

fn words() -> Vec<Vec<u8>> {
    let own = ["*", "?", "[a-z]", "tap-*", "52:54:00:*", "/srv/", "vg/data", "sha256:", "RWQ"];
    let own = own.map(|word| word.as_bytes().to_vec()).into_iter();
    own.chain(files::schema_words(&schema::File::Policy.schema()))
        .chain(files::yaml_words())
        .collect()
}
