//! Reads every file of `tests/files`: plans and policy tests, each with the lines a person gets to
//! see if it is refused. A file that is taken must fit the schema; one that is refused for its form
//! must not.
//!
//! A file's expectation is in its comments: `#= LINE` for each line, or `#= taken`. A last word
//! `#= beyond the schema` says that a schema cannot see what is wrong. With `SOLO5_BLESS=1` a file
//! without expectation gets it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use solo5_policies::schema::File;
use solo5_policies::{case, plan};

/// A schema cannot see what is wrong with the file.
const BEYOND: &str = "beyond the schema";

fn lines(file: File, name: &str, bytes: &[u8]) -> Vec<String> {
    let found = match file {
        File::Policy => solo5_policy::front::read(name, bytes).err(),
        File::PolicyTest => case::read(name, bytes).err(),
        File::Plan => plan::read(name, bytes).err(),
    };
    let Some(found) = found else {
        return vec!["taken".to_owned()];
    };
    for one in &found {
        assert!(solo5_report::explain(one.code).is_some(), "{}", one.code);
    }
    found.iter().map(solo5_report::line).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn every_file_gives_its_lines() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files");
    let mut failures = Vec::new();
    let mut codes = BTreeSet::new();
    for (folder, file) in [("plan", File::Plan), ("policy-test", File::PolicyTest)] {
        let schema = jsonschema::validator_for(&file.schema()).expect("a schema");
        let (mut taken, mut refused) = (0, 0);
        for path in files(&root.join(folder)) {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let text = fs::read_to_string(&path).unwrap();
            let mut expected: Vec<_> = text
                .lines()
                .filter_map(|line| line.strip_prefix("#= "))
                .map(str::to_owned)
                .collect();
            let beyond = expected.last().is_some_and(|last| last == BEYOND);
            if beyond {
                expected.pop();
            }
            let found = lines(file, &name, text.as_bytes());
            for line in &found {
                let code = line.split(['[', ']']).nth(1);
                codes.extend(code.map(str::to_owned));
            }
            if expected.is_empty() && std::env::var_os("SOLO5_BLESS").is_some() {
                let added: String = found.iter().map(|line| format!("#= {line}\n")).collect();
                fs::write(&path, format!("{text}{added}")).unwrap();
            } else if found != expected {
                failures.push(format!("{folder}/{name} gives\n  {}", found.join("\n  ")));
            }
            let is_taken = found == ["taken"];
            if is_taken {
                taken += 1
            } else {
                refused += 1
            }
            // A file that another YAML reader refuses has no value to compare.
            if let Ok(value) = serde_yaml::from_str::<serde_json::Value>(&text) {
                let fits = schema.is_valid(&value);
                if fits != (is_taken || beyond) {
                    let word = if fits { "takes" } else { "refuses" };
                    failures.push(format!("the schema {word} {folder}/{name}"));
                }
            }
        }
        assert!(taken >= 2 && refused >= 5, "{folder}: {taken}, {refused}");
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    for code in ["P230", "P231", "P240", "P241", "P242", "P243"] {
        assert!(codes.contains(code), "no file shows {code}");
    }
}

/// The files of the examples are taken by readers and schemas alike, and name their schema for
/// editors.
#[test]
fn examples_fit_their_schemas() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut seen = BTreeSet::new();
    for example in files(&root.join("examples")) {
        for path in files(&example) {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let file = match name.as_str() {
                "policy.yaml" => File::Policy,
                "policy-test.yaml" => File::PolicyTest,
                "plan.yaml" => File::Plan,
                _ => continue,
            };
            let text = fs::read_to_string(&path).unwrap();
            assert_eq!(lines(file, &name, text.as_bytes()), ["taken"], "{path:?}");
            let value: serde_json::Value = serde_yaml::from_str(&text).expect("plain YAML");
            let validator = jsonschema::validator_for(&file.schema()).expect("a schema");
            if let Err(fault) = validator.validate(&value) {
                panic!("{path:?}: {fault}");
            }
            let first = text.lines().next().unwrap_or_default();
            let schema = first.strip_prefix("# yaml-language-server: $schema=");
            let schema = schema.unwrap_or_else(|| panic!("{path:?} names no schema"));
            let schema = fs::read_to_string(example.join(schema)).expect("the schema's file");
            assert!(schema == file.text(), "{path:?}: run `cargo xtask schemas`");
            seen.insert(name);
        }
    }
    assert_eq!(seen.len(), 3, "{seen:?}");
}
