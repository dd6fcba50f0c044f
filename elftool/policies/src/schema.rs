//! The JSON Schemas of files an operator writes, for editors and generators.
//!
//! A table of keys for each kind of file: [`policy`], [`mod@case`], [`plan`]. Tests compare each with
//! the keys its reader takes, with every file among the test cases, and with the file in `schemas/`.

mod case;
mod plan;
mod policy;
mod shape;

use serde_json::{Value, json};

use shape::{Key, mapping};

/// Where the schemas are published; a schema's `$id` is this and the name of its file.
const BASE: &str = "https://github.com/Solo5/solo5/schemas/";

/// A kind of file with a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum File {
    /// A policy.
    Policy,
    /// Tests of policies.
    PolicyTest,
    /// A launch plan.
    Plan,
}

impl File {
    /// Every kind.
    pub const ALL: [File; 3] = [File::Policy, File::PolicyTest, File::Plan];

    /// Name of the file in `schemas/`.
    pub const fn name(self) -> &'static str {
        match self {
            File::Policy => "policy.json",
            File::PolicyTest => "policy-test.json",
            File::Plan => "plan.json",
        }
    }

    const fn keys(self) -> &'static [Key] {
        match self {
            File::Policy => policy::POLICY,
            File::PolicyTest => case::SUITE,
            File::Plan => plan::PLAN,
        }
    }

    /// The JSON Schema, draft 2020-12.
    pub fn schema(self) -> Value {
        let (title, about) = match self {
            File::Policy => (
                "Solo5 policy",
                "What unikernels may have on a host. Each thing asked for needs a yes from at least \
                 one applicable policy and a no from none.",
            ),
            File::PolicyTest => (
                "Solo5 policy tests",
                "Launches and what policies must decide about them, for `solo5-elftool policy test`.",
            ),
            File::Plan => (
                "Solo5 launch plan",
                "Unikernels that a host is to run together, for `solo5-elftool check --plan`.",
            ),
        };
        let mut schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": format!("{BASE}{}", self.name()),
            "title": title,
            "description": about,
        });
        if let (Some(schema), Value::Object(body)) = (schema.as_object_mut(), mapping(self.keys()))
        {
            schema.extend(body);
        }
        schema
    }

    /// The schema as the text of a file.
    pub fn text(self) -> String {
        format!("{:#}\n", self.schema())
    }
}

#[cfg(test)]
mod tests {
    use solo5_report::Diagnostic;

    use super::shape::Shape;
    use super::*;

    fn read(file: File, text: &str) -> Vec<Diagnostic> {
        let bytes = text.as_bytes();
        let found = match file {
            File::Policy => solo5_policy::front::read("f.yaml", bytes).map(drop),
            File::PolicyTest => crate::case::read("f.yaml", bytes).map(drop),
            File::Plan => crate::plan::read("f.yaml", bytes).map(drop),
        };
        found.unwrap_err()
    }

    /// The keys that a mapping can have, from the reader's help on an unknown key.
    fn keys_of_reader(file: File, text: &str) -> Vec<String> {
        let found = read(file, text);
        let help = found
            .iter()
            .find(|found| found.message.contains("`nobodyknowsthis`"))
            .and_then(|found| found.help.clone())
            .unwrap_or_default();
        let mut keys: Vec<_> = help.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        keys.sort();
        keys
    }

    fn compare(file: File, path: &[&str], keys: &[Key]) {
        let inner = path.iter().rev().fold("nobodyknowsthis: 1".to_owned(), |inner, step| {
            if *step == "-" {
                // An item of a list; the key of the list, which is the next step, adds the brackets.
                format!("- {{ {inner} }}")
            } else if let Some(item) = inner.strip_prefix("- ") {
                format!("{step}: [ {item} ]")
            } else {
                format!("{step}: {{ {inner} }}")
            }
        });
        let text = format!("{{ type: x, version: 1, {inner} }}");
        let mut expected: Vec<_> = keys.iter().map(|key| key.name.to_owned()).collect();
        expected.sort();
        assert_eq!(keys_of_reader(file, &text), expected, "in\n{text}");
        for key in keys {
            // `-` is an item of a list, `x` a name.
            let (step, keys) = match key.shape {
                Shape::Mapping(keys) => (None, keys),
                Shape::List(Shape::Mapping(keys)) | Shape::Several(Shape::Mapping(keys)) => {
                    (Some("-"), *keys)
                }
                Shape::Map(_, Shape::Mapping(keys)) => (Some("x"), *keys),
                _ => continue,
            };
            let path: Vec<_> = path.iter().copied().chain([key.name]).chain(step).collect();
            compare(file, &path, keys);
        }
    }

    #[test]
    fn the_tables_have_the_keys_the_readers_take() {
        for file in File::ALL {
            compare(file, &[], file.keys());
        }
    }

    #[test]
    fn the_files_are_up_to_date() {
        for file in File::ALL {
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../schemas/");
            let text = std::fs::read_to_string(format!("{folder}{}", file.name()));
            assert!(
                text.unwrap_or_default() == file.text(),
                "`cargo xtask schemas` writes schemas/{}",
                file.name()
            );
        }
    }
}
