//! Runs every file of `tests/cases`: policies and a launch, and the lines a person gets to see.
//!
//! A case without `lines` fails and shows what it gives; with `SOLO5_BLESS=1` they are added to it.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde::Deserialize;
use solo5_policy::model::Layer;
use solo5_policy::{Phase, Policy, decide, front};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// Texts by name; the order of names is that of the host's folder.
    #[serde(default)]
    policies: BTreeMap<String, String>,
    /// The host's policies, in the same form; `policies` are those of the launch.
    #[serde(default)]
    host: BTreeMap<String, String>,
    #[serde(default)]
    launch: common::Launch,
    /// `strings`, or `descriptors` for a decision after everything is opened.
    #[serde(default)]
    phase: Option<String>,
    #[serde(default)]
    require: bool,
    /// What people see: the decision, or what is wrong with the policies.
    lines: Option<Vec<String>>,
}

/// What people see. Compares the JSON form of the decision with it.
fn run(case: &Case) -> Vec<String> {
    let mut policies = Vec::new();
    let mut errors = Vec::new();
    let host = case.host.iter().map(|found| (Layer::Host, found));
    let brought = case.policies.iter().map(|found| (Layer::Launch, found));
    for (layer, (name, text)) in host.chain(brought) {
        match front::read(name, text.as_bytes()) {
            Ok(policy) => policies.push(Policy { layer, ..policy }),
            Err(found) => errors.extend(found.iter().map(solo5_report::line)),
        }
    }
    if !errors.is_empty() {
        return errors;
    }
    let phase = match case.phase.as_deref() {
        None | Some("strings") => Phase::Strings,
        Some("descriptors") => Phase::Descriptors,
        Some(other) => panic!("{other:?} is no phase"),
    };
    let (asked, facts) = (case.launch.asked(), case.launch.facts());
    let decision = decide(&policies, &asked, &facts, phase, case.require);
    let json = decision.json();
    assert_eq!(json["reasons"].as_array().map_or(0, Vec::len), decision.reasons.len());
    assert_eq!(json["conditions"].as_array().map_or(0, Vec::len), decision.conditions.len());
    for reason in json["reasons"].as_array().into_iter().flatten() {
        let code = reason["code"].as_str().expect("a code");
        assert!(solo5_report::explain(code).is_some(), "{code} has no page");
    }
    decision.lines().iter().map(|line| solo5_report::one_line(line)).collect()
}

#[test]
fn every_case_gives_its_lines() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut files: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut failures = Vec::new();
    let mut codes = BTreeSet::new();
    for path in &files {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(path).unwrap();
        let case: Case =
            serde_yaml::from_str(&text).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        let lines = run(&case);
        for line in &lines {
            let found = line.split([' ', '[', ']']).find(|word| is_code(word));
            codes.extend(found.map(str::to_owned));
        }
        match &case.lines {
            Some(expected) if *expected == lines => {}
            None if std::env::var_os("SOLO5_BLESS").is_some() => {
                let added: String = lines
                    .iter()
                    .map(|line| format!("  - '{}'\n", line.replace('\'', "''")))
                    .collect();
                fs::write(path, format!("{text}lines:\n{added}")).unwrap();
            }
            _ => failures.push(format!("{name} gives\n  {}", lines.join("\n  "))),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(files.len() >= 40, "{} cases", files.len());
    // Files in a folder have their own tests.
    let elsewhere = |code: &str| ["P201", "P202"].contains(&code);
    let missing: Vec<_> = solo5_policy::codes::ALL
        .iter()
        .filter(|code| !codes.contains(**code) && !elsewhere(code))
        .collect();
    assert!(missing.is_empty(), "no case shows {missing:?}");
}

fn is_code(word: &str) -> bool {
    word.len() == 4 && word.starts_with('P') && word[1..].bytes().all(|byte| byte.is_ascii_digit())
}
