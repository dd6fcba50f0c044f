//! The JSON Schema of a policy file, for editors and generators.
//!
//! [`POLICY`] is the table of every key. Tests compare it with the keys [`crate::front`] takes, with
//! every policy among the test cases, and with the file `schemas/policy.json`.

use serde_json::{Map, Value, json};

use crate::front;
use crate::launch::Access;

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
    /// A sector size in bytes.
    SectorSize,
    /// A value, or a list of them.
    OneOrMany(&'static Shape),
    /// A list.
    List(&'static Shape),
    /// A mapping with these keys, at least one of them.
    Mapping(&'static [Key]),
    /// A mapping of label keys to patterns.
    Labels,
}

const fn key(name: &'static str, about: &'static str, shape: Shape) -> Key {
    Key {
        name,
        about,
        required: false,
        shape,
    }
}

const fn required(name: &'static str, about: &'static str, shape: Shape) -> Key {
    Key {
        required: true,
        ..key(name, about, shape)
    }
}

const SWITCH: Shape = Shape::Choice(&["allow", "forbid"]);

const POLICY: &[Key] = &[
    required("type", "What this file is", Shape::Text(front::TYPE)),
    required(
        "version",
        "Version of this form",
        Shape::Number(front::VERSION),
    ),
    key(
        "name",
        "The policy's name in reasons; absent: its file's",
        Shape::Expression("^[^\\s\\u0000-\\u001f\\u007f-\\u009f]{1,64}$"),
    ),
    key(
        "match",
        "When the policy applies; absent: always",
        Shape::Mapping(MATCH),
    ),
    key(
        "otherwise",
        "`allow` is a yes for every absent section",
        Shape::Choice(&["allow"]),
    ),
    key("image", "What images may run", Shape::Mapping(IMAGE)),
    key("process", "How a tender may run", Shape::Mapping(PROCESS)),
    key(
        "memory",
        "What memory a guest may have",
        Shape::Mapping(MEMORY),
    ),
    key(
        "arguments",
        "What a guest may be told",
        Shape::Mapping(ARGUMENTS),
    ),
    key(
        "net",
        "What network interfaces a guest may have",
        Shape::Mapping(NET),
    ),
    key(
        "block",
        "What block devices a guest may have",
        Shape::Mapping(BLOCK),
    ),
    key("debug", "What debugging is allowed", Shape::Mapping(DEBUG)),
    key(
        "admitted",
        "A list of admitted images, one of which it must be; from `check --lock`",
        Shape::Expression("^(/[^/\\n]+)+$"),
    ),
    key(
        "audit",
        "What the audit may find; asked by `solo5-elftool check` alone",
        Shape::Mapping(AUDIT),
    ),
];

const MATCH: &[Key] = &[
    key(
        "label",
        "Labels given with `--label`, all of which must fit",
        Shape::Labels,
    ),
    DIGEST,
    SIGNED_BY,
];

const DIGEST: Key = key(
    "digest",
    "Digests, one of which the image must have",
    Shape::OneOrMany(&Shape::Expression(DIGEST_EXPRESSION)),
);

const DIGEST_EXPRESSION: &str = "^sha256:[0-9a-f]{64}$";

const SIGNED_BY: Key = key(
    "signed-by",
    "minisign's public keys, one of which must have signed the image",
    Shape::OneOrMany(&Shape::Expression("^RW[A-Za-z0-9+/]{54}$")),
);

const AUDIT: &[Key] = &[
    key(
        "fail-on",
        "The least severity that is a denial; absent: error",
        Shape::Choice(&["error", "warning", "note"]),
    ),
    key(
        "waive",
        "Findings that are accepted for a time",
        Shape::List(&Shape::Mapping(WAIVER)),
    ),
];

const WAIVER: &[Key] = &[
    required(
        "rule",
        "A rule's code, or the start of several",
        Shape::Expression("^S[0-9]{1,3}$"),
    ),
    required(
        "images",
        "Digests of the images it is for",
        Shape::OneOrMany(&Shape::Expression(DIGEST_EXPRESSION)),
    ),
    required(
        "reason",
        "Why the finding is accepted",
        Shape::Expression("\\S"),
    ),
    required(
        "until",
        "The last day of the waiver",
        Shape::Expression("^[0-9]{4}-[0-9]{2}-[0-9]{2}$"),
    ),
];

const IMAGE: &[Key] = &[
    key(
        "targets",
        "Targets, one of which the image must be for",
        Shape::List(&Shape::Target),
    ),
    key(
        "minimum-manifest",
        "Least version of the image's manifest",
        Shape::Range(1, 2),
    ),
    DIGEST,
    SIGNED_BY,
];

const PROCESS: &[Key] = &[
    key("root", "Running as root; absent: forbid", SWITCH),
    key(
        "sandbox",
        "Whether the host must be able to confine the tender; absent: require",
        Shape::Choice(&["require", "optional"]),
    ),
];

const MEMORY: &[Key] = &[
    key("maximum", "Most guest memory", Shape::Size),
    key(
        "executable-heap",
        "An executable heap; absent: forbid",
        SWITCH,
    ),
];

const ARGUMENTS: &[Key] = &[
    key(
        "maximum-length",
        "Most bytes of the guest's command line",
        Shape::Count,
    ),
    key(
        "allow",
        "Patterns, one of which each word of it must fit",
        Shape::List(&Shape::Expression("^([^\\s*\\[\\]{}\\\\]|\\*(?!\\*))*$")),
    ),
];

const NET: &[Key] = &[
    key("maximum", "Most network interfaces", Shape::Count),
    key(
        "allow",
        "Rules, one of which each interface must fit entirely",
        Shape::List(&Shape::Mapping(NET_RULE)),
    ),
];

const NET_RULE: &[Key] = &[
    required("name", "The device's name in the manifest", Shape::Pattern),
    key("interface", "The tap's name", Shape::Pattern),
    key(
        "bridge",
        "The name of the bridge the tap is on",
        Shape::Pattern,
    ),
    key(
        "mac",
        "The Ethernet address",
        Shape::Expression("^[0-9A-Fa-f:*?]+$"),
    ),
];

const BLOCK: &[Key] = &[
    key("maximum", "Most block devices", Shape::Count),
    key(
        "allow",
        "Rules, one of which each device must fit entirely",
        Shape::List(&Shape::Mapping(BLOCK_RULE)),
    ),
];

const BLOCK_RULE: &[Key] = &[
    required("name", "The device's name in the manifest", Shape::Pattern),
    key("file", "It must be a regular file", Shape::Mapping(FILE)),
    key(
        "device",
        "It must be a block device with this name below /dev",
        Shape::Pattern,
    ),
    key(
        "access",
        "The widest access",
        Shape::Choice(&[Access::ReadOnly.name(), Access::ReadWrite.name()]),
    ),
    key("capacity", "Its capacity", Shape::Mapping(CAPACITY)),
    key(
        "sector-size",
        "Sector sizes in bytes, one of which it must have",
        Shape::OneOrMany(&Shape::SectorSize),
    ),
];

const FILE: &[Key] = &[required(
    "under",
    "The folder it must be under, at any depth",
    Shape::Expression("^(/[^/\\n]+)+/?$"),
)];

const CAPACITY: &[Key] = &[key("maximum", "Most of it", Shape::Size)];

const DEBUG: &[Key] = &[
    key("gdb", "Attaching gdb; absent: forbid", SWITCH),
    key(
        "dumpcore",
        "Dumping the guest's memory; absent: forbid",
        SWITCH,
    ),
];

/// The JSON Schema, draft 2020-12.
pub fn schema() -> Value {
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Solo5 policy",
        "description": "What unikernels may have on a host. Each thing asked for needs a yes from \
                        at least one applicable policy and a no from none.",
    });
    if let (Some(schema), Value::Object(body)) = (schema.as_object_mut(), mapping(POLICY)) {
        schema.extend(body);
    }
    schema
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
    let required: Vec<_> = keys
        .iter()
        .filter(|key| key.required)
        .map(|key| key.name)
        .collect();
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
        Shape::SectorSize => {
            let sizes: Vec<_> = (9..16).map(|shift| 1u32 << shift).collect();
            json!({ "enum": sizes })
        }
        Shape::OneOrMany(one) => {
            let one = self::shape(one);
            json!({ "anyOf": [one.clone(), { "type": "array", "items": one }] })
        }
        Shape::List(item) => json!({ "type": "array", "items": self::shape(item) }),
        Shape::Mapping(keys) => mapping(keys),
        Shape::Labels => json!({
            "type": "object",
            "minProperties": 1,
            "propertyNames": { "pattern": "^[A-Za-z0-9._/-]+$" },
            "additionalProperties": self::shape(&Shape::Pattern),
        }),
    }
}

/// The schema as the text of a file.
pub fn text() -> String {
    let mut text = format!("{:#}", schema());
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The keys the reader says a mapping can have, from its help on a key nobody knows.
    fn keys_of_reader(text: &str) -> Vec<String> {
        let found = front::read("p.yaml", text.as_bytes()).unwrap_err();
        let help = found
            .iter()
            .find(|found| found.message.contains("`nobodyknowsthis`"))
            .and_then(|found| found.help.clone())
            .unwrap_or_default();
        let mut keys: Vec<_> = help
            .split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect();
        keys.sort();
        keys
    }

    fn compare(path: &[&str], keys: &[Key]) {
        let inner = path
            .iter()
            .rev()
            .fold("nobodyknowsthis: 1".to_owned(), |inner, step| {
                if *step == "-" {
                    // The step in front has written the braces.
                    format!("- {{ {inner} }}")
                } else if let Some(item) = inner.strip_prefix("- ") {
                    format!("{step}: [ {item} ]")
                } else {
                    format!("{step}: {{ {inner} }}")
                }
            });
        let text = format!("{{ type: solo5.policy, version: 1, {inner} }}");
        let mut expected: Vec<_> = keys.iter().map(|key| key.name.to_owned()).collect();
        expected.sort();
        assert_eq!(keys_of_reader(&text), expected, "in\n{text}");
        for key in keys {
            let path: Vec<_> = path.iter().copied().chain([key.name]).collect();
            match key.shape {
                Shape::Mapping(keys) => compare(&path, keys),
                Shape::List(Shape::Mapping(keys)) => {
                    let path: Vec<_> = path.iter().copied().chain(["-"]).collect();
                    compare(&path, keys);
                }
                _ => {}
            }
        }
    }

    #[test]
    fn the_table_has_the_keys_the_reader_takes() {
        compare(&[], POLICY);
    }

    #[test]
    fn the_file_is_up_to_date() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../schemas/policy.json");
        let file = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            file == text(),
            "`cargo xtask schemas` writes schemas/policy.json"
        );
    }
}
