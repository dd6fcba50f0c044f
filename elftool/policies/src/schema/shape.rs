//! What the value of a key looks like, and the JSON Schema that says it.

use serde_json::{Map, Value, json};

/// A key of a mapping.
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) required: bool,
    pub(super) shape: Shape,
}

/// What a value looks like.
pub(super) enum Shape {
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
    /// A value, or a list of at least one.
    OneOrSeveral(&'static Shape),
    /// A list.
    List(&'static Shape),
    /// A mapping with these keys, at least one of them.
    Mapping(&'static [Key]),
    /// `true` or `false`.
    Boolean,
    /// Any text.
    AnyText,
    /// Any text but the empty one.
    SomeText,
    /// A mapping of keys that fit this regular expression, at least one of them.
    Map(&'static str, &'static Shape),
    /// A list of at least one.
    Several(&'static Shape),
    /// A fact: a value, or that it cannot be read.
    Fact(&'static Shape),
}

pub(super) const fn key(name: &'static str, about: &'static str, shape: Shape) -> Key {
    Key { name, about, required: false, shape }
}

pub(super) const fn required(name: &'static str, about: &'static str, shape: Shape) -> Key {
    Key { required: true, ..key(name, about, shape) }
}

pub(super) fn mapping(keys: &[Key]) -> Value {
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
            let targets = targets.filter(|target| target.starter().is_some());
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
        // Editors read `1.10` as a number; our reader takes the text as it is written.
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
