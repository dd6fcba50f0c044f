//! JSON Schemas of both versions, for editors. They say what can be said in a schema; `check` says
//! the rest. The files in `schemas/` are this module's output, which a test compares.

use serde_json::{Value, json};
use solo5_abi::mft1::{DEVICES_MAX, DeviceType, NAME_MAX};
use solo5_abi::mft2::{DESCRIPTION_MAX, SYNOPSIS_MAX};
use solo5_source::size::UNITS;

use crate::model::{MTUS, PACKAGE_TEXT_MAX, SECTOR_SIZES, TYPE, Version};

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
        "type": { "const": TYPE, "description": "Says that this is a manifest." },
        "version": { "const": version.number(), "description": "Version of the manifest." },
    });
    if version == Version::V2 {
        // Editors take `1.10` for a number; we take it for what is written.
        let mut version_text = text_of(PACKAGE_TEXT_MAX, "Version of the package.");
        extend(&mut version_text, json!({ "type": ["string", "number"] }));
        let package = object(
            &["name"],
            json!({
                "name": text_of(PACKAGE_TEXT_MAX, "Name of the package."),
                "version": version_text,
                "license": text_of(PACKAGE_TEXT_MAX, "Licence, as an SPDX expression."),
            }),
            "What the unikernel is a build of.",
        );
        let memory = object(
            &[],
            json!({
                "minimum": size("Memory it cannot start without."),
                "recommended": size("Memory that serves it well."),
                "executable-heap": flag("Whether it makes code at run time."),
            }),
            "What it needs of guest memory.",
        );
        let synopsis = text_of(SYNOPSIS_MAX, "The command line it takes, for people.");
        extend(
            &mut properties,
            json!({
                "package": package, "synopsis": synopsis, "memory": memory,
            }),
        );
    }
    let variants: Vec<_> = DeviceType::ALL.iter().map(|kind| device(version, *kind)).collect();
    extend(
        &mut properties,
        json!({
            "devices": {
                "type": "array",
                "maxItems": DEVICES_MAX,
                "items": { "oneOf": variants },
                "description": "Devices it uses. The order is meaning: it makes the handles.",
            },
        }),
    );
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": format!("https://github.com/Solo5/solo5/schemas/{}", file_name(version)),
        "title": format!("Solo5 application manifest, version {}", version.number()),
    });
    let what = "What a unikernel says it needs.";
    extend(&mut schema, object(&["type", "version", "devices"], properties, what));
    schema
}

/// A device of one type, so that an editor offers the properties of that type alone.
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
        extend(
            &mut properties,
            json!({
                "description": text_of(DESCRIPTION_MAX, "What the device is for."),
                "optional": flag("Whether the unikernel starts without it too."),
            }),
        );
        extend(
            &mut properties,
            match kind {
                DeviceType::BlockBasic => json!({
                    "access": {
                        "enum": ["read-only", "read-write"],
                        "description": "Whether it is only read.",
                    },
                    "sector-size": {
                        "enum": sector_sizes(),
                        "description": "The one sector size in bytes it works with.",
                    },
                    "capacity": object(
                        &["minimum"],
                        json!({ "minimum": size("Least capacity.") }),
                        "What it needs of capacity.",
                    ),
                }),
                DeviceType::NetBasic => json!({
                    "mtu": object(
                        &["minimum"],
                        json!({ "minimum": {
                            "type": "integer",
                            "minimum": MTUS.start(),
                            "maximum": MTUS.end(),
                            "description": "Least MTU in bytes.",
                        } }),
                        "What it needs of the MTU.",
                    ),
                }),
            },
        );
    }
    object(&["name", "type"], properties, "A device.")
}

fn sector_sizes() -> Vec<u32> {
    let next = |size: &u32| size.checked_mul(2).filter(|size| SECTOR_SIZES.contains(size));
    std::iter::successors(Some(*SECTOR_SIZES.start()), next).collect()
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

fn flag(description: &str) -> Value {
    json!({ "type": "boolean", "description": description })
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
