//! JSON Schemas of both versions, for editors. They cover the rules that a schema can express; `check`
//! covers the rest. The files in `schemas/` are this module's output, and a test compares them.

use serde_json::{Value, json};
use solo5_abi::device::{Mtu, SectorSize};
use solo5_abi::mft1::{DEVICES_MAX, DeviceType, NAME_MAX};
use solo5_abi::mft2::{self, Property, Shape};
use solo5_source::size::UNITS;

use crate::model::{self, PACKAGE_TEXT_MAX, TYPE, Version};

/// Name of the file in `schemas/` with the schema of `version`.
pub fn file_name(version: Version) -> &'static str {
    match version {
        Version::V1 => "manifest-1.schema.json",
        Version::V2 => "manifest-2.schema.json",
    }
}

/// The schema of `version` as text, with a line end.
pub fn text(version: Version) -> String {
    format!("{:#}\n", value(version))
}

/// The schema of `version`.
pub fn value(version: Version) -> Value {
    let mut properties = json!({
        "type": { "const": TYPE, "description": "Identifies the file as a manifest." },
        "version": { "const": version.number(), "description": "Version of the manifest." },
    });
    if version == Version::V2 {
        // For editors `1.10` is a number; the compiler reads it as the text `1.10`.
        let mut version_text = text_of(PACKAGE_TEXT_MAX, "Version of the package.");
        extend(&mut version_text, json!({ "type": ["string", "number"] }));
        let package = object(
            &["name"],
            json!({
                "name": text_of(PACKAGE_TEXT_MAX, "Name of the package."),
                "version": version_text,
                "license": text_of(PACKAGE_TEXT_MAX, "Licence, as an SPDX expression."),
            }),
            "The package that the unikernel is a build of.",
        );
        extend(&mut properties, json!({ "package": package }));
        extend(&mut properties, table(None));
    }
    let variants: Vec<_> = DeviceType::ALL.iter().map(|kind| device(version, *kind)).collect();
    extend(
        &mut properties,
        json!({
            "devices": {
                "type": "array",
                "maxItems": DEVICES_MAX,
                "items": { "oneOf": variants },
                "description": "Devices the unikernel uses. Their order determines their handles.",
            },
        }),
    );
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": format!("https://github.com/Solo5/solo5/schemas/{}", file_name(version)),
        "title": format!("Solo5 application manifest, version {}", version.number()),
    });
    let what = "What a unikernel needs.";
    extend(&mut schema, object(&["type", "version", "devices"], properties, what));
    schema
}

/// A device of one type, so that an editor offers only the properties of that type.
fn device(version: Version, kind: DeviceType) -> Value {
    let mut properties = json!({
        "name": {
            "type": "string",
            "pattern": format!("^[A-Za-z0-9]{{1,{NAME_MAX}}}$"),
            "description": "Name, unique among devices of its type.",
        },
        "type": { "const": kind.name(), "description": "Type of the device." },
    });
    if version == Version::V2 {
        extend(&mut properties, table(Some(kind)));
    }
    object(&["name", "type"], properties, "A device.")
}

/// The properties that the unikernel (`None`) or a device of this type can have.
fn table(kind: Option<DeviceType>) -> Value {
    let mut properties = serde_json::Map::new();
    for mapping in mft2::by_key() {
        let Some(first) = mapping.first().filter(|first| model::has(kind, first)) else { continue };
        let key = first.outer_key();
        let inner: Option<serde_json::Map<_, _>> = mapping
            .iter()
            .map(|property| Some((property.inner_key()?.to_owned(), value_of(property))))
            .collect();
        let value = match inner {
            Some(inner) => {
                let required: Vec<_> = match mapping {
                    [only] => only.inner_key().into_iter().collect(),
                    _ => Vec::new(),
                };
                object(&required, inner.into(), &format!("What is required of `{key}`."))
            }
            None => value_of(first),
        };
        properties.insert(key.to_owned(), value);
    }
    properties.into()
}

fn value_of(property: &Property) -> Value {
    let description = property.meaning;
    match property.shape {
        Shape::Flag(_) => json!({ "type": "boolean", "description": description }),
        Shape::Choice(_, [clear, set]) => {
            json!({ "enum": [set, clear], "description": description })
        }
        Shape::Size | Shape::Stack => size(description),
        Shape::SectorSize => {
            let sizes: Vec<_> = SectorSize::all().map(SectorSize::bytes).collect();
            json!({ "enum": sizes, "description": description })
        }
        Shape::Mtu => json!({
            "type": "integer",
            "minimum": Mtu::RANGE.start(),
            "maximum": Mtu::RANGE.end(),
            "description": description,
        }),
        Shape::Text(most) => text_of(most, description),
    }
}

fn object(required: &[&str], properties: Value, description: &str) -> Value {
    json!({
        "type": "object",
        "description": description,
        "required": required,
        "additionalProperties": false,
        "properties": properties,
    })
}

fn text_of(most: usize, description: &str) -> Value {
    json!({
        "type": "string",
        "minLength": 1,
        "maxLength": most,
        "description": description,
    })
}

fn size(description: &str) -> Value {
    let units: Vec<_> = UNITS.iter().map(|(name, _)| *name).collect();
    json!({
        "type": "string",
        "pattern": format!("^[1-9][0-9]* ?({})$", units.join("|")),
        "description": description,
    })
}

fn extend(object: &mut Value, more: Value) {
    if let (Value::Object(object), Value::Object(more)) = (object, more) {
        object.extend(more);
    }
}
