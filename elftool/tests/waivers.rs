//! `audit --policy`: waivers are counted and shown in every format, for the images, rules and days
//! they are for.

mod common;

use common::{DEVICES, Place, snapshot};
use serde_json::Value;
use solo5_abi::{Arch, Target};
use solo5_image::elf::{PF_R, PF_W, PF_X};
use solo5_image::testing::{BSS, DATA, Sample};

/// `warned.spt` has one warning, S208; `bad.spt` one error, S201.
fn place() -> Place {
    let place = Place::new();
    let mut sample = Sample::new(Target::Spt, Arch::X86_64, &DEVICES);
    sample.segments[BSS].p_flags = PF_R | PF_W | PF_X;
    place.write("warned.spt", &sample.bytes());
    let mut sample = Sample::new(Target::Spt, Arch::X86_64, &DEVICES);
    sample.segments[DATA].p_flags = PF_R | PF_W | PF_X;
    place.write("bad.spt", &sample.bytes());
    place
}

fn digest(place: &Place, image: &str) -> String {
    let run = place.run(&["verify", image]);
    let line = run.stdout.lines().next().unwrap_or_default();
    line.strip_prefix(&format!("{image}: ")).unwrap().to_owned()
}

/// A policy that waives S2 of both images until this day.
fn waive(place: &Place, until: &str) {
    let (one, two) = (digest(place, "warned.spt"), digest(place, "bad.spt"));
    let text = format!(
        "type: solo5.policy\nversion: 1\nname: node\naudit:\n  fail-on: warning\n  waive:\n    - \
         {{ rule: S2, images: [\"{one}\", \"{two}\"], reason: \"old & slow\", until: {until} }}\n"
    );
    place.write("node.yaml", text.as_bytes());
}

fn audit(place: &Place, arguments: &[&str]) -> common::Run {
    place.run(&[&["audit", "--policy=node.yaml"], arguments].concat())
}

#[test]
fn people_see_what_is_waived() {
    let place = place();
    waive(&place, "9999-12-31");
    let run = audit(&place, &["warned.spt", "--fail-on=note"]);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{}", run.stdout);
    for part in [
        "\nwaived  S208 ",
        "\n             old & slow, until 9999-12-31 (node, node.yaml:7:7)\n",
        "\n0 errors, 0 warnings, 1 waived · ",
    ] {
        assert!(run.stdout.contains(part), "{part:?} in\n{}", run.stdout);
    }
    // Without the policy the finding counts. With other content the waiver does not apply, and the
    // policy's `fail-on` decides.
    let plain = place.run(&["audit", "warned.spt", "--fail-on=warning"]);
    assert_eq!(plain.status, 1);
    place.write("warned.spt", &{
        let mut changed = std::fs::read(place.path("warned.spt")).unwrap();
        // A byte of the header that no reader uses.
        changed[15] = 1;
        changed
    });
    let run = audit(&place, &["warned.spt"]);
    assert_eq!(run.status, 1, "{}", run.stdout);
    assert!(run.stdout.contains("1 warning ·"), "{}", run.stdout);
}

#[test]
fn errors_and_past_days_are_not_waived() {
    let place = place();
    waive(&place, "9999-12-31");
    let run = audit(&place, &["bad.spt"]);
    assert_eq!(run.status, 1);
    assert!(run.stdout.contains("error   S201"), "{}", run.stdout);
    assert!(!run.stdout.contains("waived"), "{}", run.stdout);
    waive(&place, "2020-01-01");
    let run = audit(&place, &["warned.spt"]);
    assert_eq!(run.status, 1);
    let stated = "             its waiver ended 2020-01-01 (old & slow; node, node.yaml:7:7)\n";
    assert!(run.stdout.contains(stated), "{}", run.stdout);
    for format in ["json", "sarif", "github", "junit"] {
        let run = audit(&place, &["warned.spt", "--format", format]);
        assert_eq!(run.status, 1, "{format}");
        assert!(run.stdout.contains("its waiver ended 2020-01-01"), "{format}");
    }
    let run = place.run(&["policy", "check", "node.yaml"]);
    assert_eq!(run.status, 0);
    assert!(run.stderr.contains("warning[P222]"), "{}", run.stderr);
    let text = std::fs::read_to_string(place.path("node.yaml")).unwrap();
    for (rule, message) in [
        ("S201", "S201 finds only errors, and errors are never waived"),
        ("S9", "no rule of the audit starts with S9"),
    ] {
        place.write("node.yaml", text.replace("rule: S2,", &format!("rule: {rule},")).as_bytes());
        let run = place.run(&["policy", "check", "node.yaml"]);
        assert_eq!(run.status, 0);
        let message = format!("warning[P223]: {message}\n");
        assert!(run.stderr.contains(&message), "{}", run.stderr);
    }
}

#[test]
fn programs_see_it_in_every_format() {
    let place = place();
    waive(&place, "9999-12-31");
    let run = |format: &str| {
        let run = audit(&place, &["warned.spt", "bad.spt", "--format", format]);
        assert_eq!((run.status, run.stderr.as_str()), (1, ""), "{format}");
        run.stdout
    };
    let text = run("json");
    let report: Value = serde_json::from_str(&text).unwrap();
    let schema = jsonschema::validator_for(&solo5_audit::schema::report()).unwrap();
    let errors: Vec<_> = schema.iter_errors(&report).collect();
    assert!(errors.is_empty(), "{errors:?}");
    let warned = &report["images"][0];
    assert_eq!(warned["findings"].as_array().unwrap().len(), 0);
    let waived = &warned["waived"][0];
    assert_eq!(
        [&waived["code"], &waived["until"], &waived["reason"]],
        ["S208", "9999-12-31", "old & slow"]
    );
    assert_eq!(report["images"][1].get("waived"), None);
    assert_eq!(report["summary"]["waived"], 1);
    assert_eq!(report["summary"]["warnings"], 0);

    let log: serde_sarif::sarif::Sarif = serde_json::from_str(&run("sarif")).unwrap();
    let results = log.runs[0].results.as_ref().unwrap();
    assert_eq!(results.len(), 2);
    let suppression = &results[0].suppressions.as_ref().unwrap()[0];
    let why = "old & slow, until 9999-12-31 (node, node.yaml:7:7)";
    assert_eq!(suppression.justification.as_deref(), Some(why));
    assert!(results[1].suppressions.is_none());

    let text = run("junit");
    let document = roxmltree::Document::parse(&text).unwrap();
    let skipped: Vec<_> = document
        .descendants()
        .filter(|node| node.has_tag_name("skipped"))
        .map(|node| node.attribute("message").unwrap())
        .collect();
    assert_eq!(skipped, [why]);
}

/// Every format in full, of an image with a waiver and one with an error.
#[test]
fn reports_are_the_snapshots() {
    let place = place();
    waive(&place, "9999-12-31");
    for format in ["human", "json", "sarif", "github", "junit"] {
        let images = ["warned.spt", "bad.spt", "--select=S201,S208", "--format", format];
        let run = audit(&place, &images);
        assert_eq!((run.status, run.stderr.as_str()), (1, ""), "{format}");
        snapshot(&format!("report-{format}"), &run.stdout);
    }
}

#[test]
fn a_policy_that_cannot_be_used_stops_the_audit() {
    let place = place();
    place.write("node.yaml", b"type: solo5.policy\nversion: 1\nnam: x\n");
    let run = audit(&place, &["warned.spt"]);
    assert_eq!((run.status, run.stdout.as_str()), (2, ""));
    assert!(run.stderr.contains("did you mean `name`?"), "{}", run.stderr);
}
