//! The schema of policies takes what the reader takes, over every policy of the engine's own cases.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;
use solo5_policies::schema::File;
use solo5_policy::front;

#[derive(Debug, Deserialize)]
struct Case {
    #[serde(default)]
    policies: BTreeMap<String, String>,
}

/// Faults that a schema cannot see: two keys that exclude each other, a day that a month does not
/// have.
fn beyond_a_schema(code: &str) -> bool {
    ["P212", "P219"].contains(&code)
}

#[test]
fn reader_and_schema_take_the_same_policies() {
    let validator = jsonschema::validator_for(&File::Policy.schema()).expect("a schema");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policy/tests/cases");
    let (mut taken, mut refused) = (0, 0);
    for entry in fs::read_dir(folder).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        let case: Case = serde_yaml::from_str(&text).unwrap();
        for (name, text) in &case.policies {
            let value = serde_yaml::from_str::<Value>(text);
            match front::read(name, text.as_bytes()) {
                Ok(_) => {
                    taken += 1;
                    if let Err(fault) = validator.validate(&value.expect("plain YAML")) {
                        panic!("the reader takes what the schema refuses: {fault} in\n{text}");
                    }
                }
                Err(found) => {
                    refused += 1;
                    if value.is_ok_and(|value| validator.is_valid(&value)) {
                        let first = found.first().map(|found| found.code);
                        assert!(first.is_some_and(beyond_a_schema), "the schema takes\n{text}");
                    }
                }
            }
        }
    }
    assert!(taken >= 40 && refused >= 8, "{taken}, {refused}");
}
