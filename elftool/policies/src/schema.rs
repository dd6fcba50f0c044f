//! The JSON Schemas of files an operator writes, for editors and generators.
//!
//! A table of keys for each kind of file: [`policy`], [`mod@case`], [`plan`]. Tests compare each with
//! the keys its reader takes, with every file among the test cases, and with the file in `schemas/`.

mod case;
mod plan;
mod policy;

use serde_json::{Map, Value, json};

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

/// A key of a mapping.
struct Key {
    name: &'static str,
    about: &'static str,
    required: bool,
    shape: Shape,
}

/// What a value looks like.
enum Shape {
    /// This text.
    Text(&'static str),
    /// This number.
    Number(u64),
    /// A number from the first to the second.
    Range(u64, u64),
    /// A number from 0.
    Count,
    /// A size with a unit.
    Size,
    /// A pattern.
    Pattern,
    /// A text that fits this regular expression.
    Expression(&'static str),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A target's name.
    Target,
    /// The name of a target that a tender starts.
    TenderTarget,
    /// A sector size in bytes.
    SectorSize,
    /// A value, or a list of them.
    OneOrMany(&'static Shape),
    /// A value, or a list of some.
    OneOrSeveral(&'static Shape),
    /// A list.
    List(&'static Shape),
    /// A mapping with these keys, at least one of them.
    Mapping(&'static [Key]),
    /// `true` or `false`.
    Boolean,
    /// Any text.
    AnyText,
    /// Any text but an empty one.
    SomeText,
    /// A mapping of keys that fit this regular expression, at least one of them.
    Map(&'static str, &'static Shape),
    /// A list with something in it.
    Several(&'static Shape),
    /// A fact: a value, or that it cannot be read.
    Fact(&'static Shape),
}

const fn key(name: &'static str, about: &'static str, shape: Shape) -> Key {
    Key { name, about, required: false, shape }
}

const fn required(name: &'static str, about: &'static str, shape: Shape) -> Key {
    Key { required: true, ..key(name, about, shape) }
}

fn mapping(keys: &[Key]) -> Value {
    let properties: Map<_, _> = keys
        .iter()
        .map(|key| {
            let mut value = shape(&key.shape);
            if let Some(object) = value.as_object_mut() {
                object.insert("description".to_owned(), key.about.into());
            }
            (key.name.to_owned(), value)
        })
        .collect();
    let required: Vec<_> = keys.iter().filter(|key| key.required).map(|key| key.name).collect();
    let mut object = json!({
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    });
    if let Some(object) = object.as_object_mut() {
        if required.is_empty() {
            object.insert("minProperties".to_owned(), 1.into());
        } else {
            object.insert("required".to_owned(), required.into());
        }
    }
    object
}

fn shape(shape: &Shape) -> Value {
    match shape {
        Shape::Text(text) => json!({ "const": text }),
        Shape::Number(number) => json!({ "const": number }),
        Shape::Range(least, most) => {
            json!({ "type": "integer", "minimum": least, "maximum": most })
        }
        Shape::Count => json!({ "type": "integer", "minimum": 0 }),
        Shape::Size => json!({ "type": "string", "pattern": "^(0|[1-9][0-9]*) ?(KiB|MiB|GiB)$" }),
        Shape::Pattern => {
            json!({ "type": "string", "pattern": "^([^*\\[\\]{}\\\\]|\\*(?!\\*))*$" })
        }
        Shape::Expression(expression) => json!({ "type": "string", "pattern": expression }),
        Shape::Choice(words) => json!({ "enum": words }),
        Shape::Target => {
            json!({ "enum": solo5_abi::Target::ALL.map(solo5_abi::Target::name) })
        }
        Shape::TenderTarget => {
            let targets = solo5_abi::Target::ALL.into_iter();
            let targets = targets.filter(|target| target.has_tender());
            json!({ "enum": targets.map(solo5_abi::Target::name).collect::<Vec<_>>() })
        }
        Shape::SectorSize => {
            let sizes: Vec<_> = (9..16).map(|shift| 1u32 << shift).collect();
            json!({ "enum": sizes })
        }
        Shape::OneOrSeveral(one) => {
            json!({ "anyOf": [self::shape(one), self::shape(&Shape::Several(one))] })
        }
        Shape::OneOrMany(one) => {
            let one = self::shape(one);
            json!({ "anyOf": [one.clone(), { "type": "array", "items": one }] })
        }
        Shape::List(item) => json!({ "type": "array", "items": self::shape(item) }),
        Shape::Mapping(keys) => mapping(keys),
        Shape::Boolean => json!({ "type": "boolean" }),
        // Editors take `1.10` for a number; we take it for what is written.
        Shape::AnyText => json!({ "type": ["string", "number", "boolean"] }),
        Shape::SomeText => json!({ "type": "string", "minLength": 1 }),
        Shape::Map(keys, value) => json!({
            "type": "object",
            "minProperties": 1,
            "propertyNames": { "pattern": keys },
            "additionalProperties": self::shape(value),
        }),
        Shape::Several(item) => {
            json!({ "type": "array", "minItems": 1, "items": self::shape(item) })
        }
        Shape::Fact(value) => json!({ "anyOf": [self::shape(value), mapping(UNREADABLE)] }),
    }
}

const UNREADABLE: &[Key] = &[required("unreadable", "Why the fact cannot be read", Shape::AnyText)];

#[cfg(test)]
mod tests {
    use solo5_report::Diagnostic;

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

    /// The keys the reader says a mapping can have, from its help on a key nobody knows.
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
                // The step in front has written the braces.
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
