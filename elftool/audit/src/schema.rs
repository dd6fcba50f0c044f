//! The JSON Schemas of an audit's report and of a lock, for programs that read them. The files in
//! `schemas/` are this module's output, which a test compares; other tests validate real reports
//! and locks with them.

use serde_json::{Value, json};
use solo5_abi::Arch;
use solo5_report::Severity;

use crate::rules::RULES;

/// Name of the report's file in `schemas/`.
pub const REPORT_FILE: &str = "report.json";
/// Name of the lock's file in `schemas/`.
pub const LOCK_FILE: &str = "lock.json";

/// The schema of a report as text, with a line end.
pub fn report_text() -> String {
    format!("{:#}\n", report())
}

/// The schema of a report.
pub fn report() -> Value {
    let image = object(
        &["file", "size", "arch", "target", "abi_version", "findings"],
        json!({
            "file": text("Its path as given, or as found."),
            "size": nullable("integer", "Bytes in the file; null if it is not a regular file."),
            "arch": one_of(Arch::ALL.map(Arch::name).into_iter(), "Its machine; null if unreadable."),
            "target": nullable("string", "The target its ABI note names; null without one."),
            "abi_version": nullable("integer", "The version its ABI note names."),
            "findings": list(finding(false), "What was found, gravest first."),
            "waived": list(finding(true), "Findings that a policy waives."),
        }),
        "An image.",
    );
    let summary = object(
        &["images", "rules", "errors", "warnings", "notes", "skipped", "unreadable"],
        json!({
            "images": count("Images audited."),
            "rules": count("Rules applied."),
            "errors": count("Errors in all images."),
            "warnings": count("Warnings in all images."),
            "notes": count("Notes in all images."),
            "waived": count("Waived findings."),
            "skipped": count("Files in folders that are not ELF."),
            "unreadable": count("Files that could not be read."),
        }),
        "Sums.",
    );
    let mut schema = object(
        &["images", "summary"],
        json!({ "images": list(image, "In the order they were given or found."), "summary": summary }),
        "What `solo5-elftool audit --format=json` prints.",
    );
    publish(&mut schema, REPORT_FILE, "Solo5 audit report");
    schema
}

/// The schema of a lock as text, with a line end.
pub fn lock_text() -> String {
    format!("{:#}\n", lock())
}

/// The schema of a lock.
pub fn lock() -> Value {
    let optional_names = |description: &str| {
        json!({
            "type": ["array", "null"],
            "items": { "type": "string" },
            "description": description,
        })
    };
    let names = |description| list(json!({ "type": "string" }), description);
    let facts = json!({
        "file": text("Its path as given."),
        "digest": {
            "type": "string",
            "pattern": "^sha256:[0-9a-f]{64}$",
            "description": "The digest of its content, without signatures.",
        },
        "size": count("Bytes in the file."),
        "arch": one_of(Arch::ALL.map(Arch::name).into_iter(), "Its machine; null if unreadable."),
        "abi": nullable("string", "Target and version its ABI note names; null without one."),
        "devices": names("Devices by type, name and properties, in the order of their handles."),
        "manifest": nullable("integer", "Version of its manifest; null if unreadable."),
        "needs": names("What its manifest requires for the unikernel as a whole."),
        "memory": nullable("integer", "Least guest memory in bytes; null if it cannot be loaded."),
        "writable": count("Bytes of memory that it may write to."),
        "api": optional_names("Functions of the API that it refers to; null without symbols."),
        "sections": {
            "type": "object",
            "additionalProperties": { "type": "integer", "minimum": 0 },
            "description": "Bytes of its loaded sections, by their names.",
        },
        "findings": names("What the audit finds by default: code and message."),
    });
    let required: Vec<String> =
        facts.as_object().map(|facts| facts.keys().cloned().collect()).unwrap_or_default();
    let required: Vec<&str> = required.iter().map(String::as_str).collect();
    let image = object(&required, facts, "An image.");
    let mut schema = object(
        &["type", "version", "images"],
        json!({
            "type": { "const": "solo5.lock", "description": "Says that this is a lock." },
            "version": { "const": 1, "description": "Version of this form." },
            "images": list(image, "In the order they were given or found."),
        }),
        "What `solo5-elftool lock` writes and `diff` compares with.",
    );
    publish(&mut schema, LOCK_FILE, "Solo5 lock");
    schema
}

/// Inserts the keys that identify the schema before all others.
fn publish(schema: &mut Value, file: &str, title: &str) {
    let own = [
        ("$schema", String::from("https://json-schema.org/draft/2020-12/schema")),
        ("$id", format!("https://github.com/Solo5/solo5/schemas/{file}")),
        ("title", title.to_owned()),
    ];
    if let Some(fields) = schema.as_object_mut() {
        for (index, (key, value)) in own.into_iter().enumerate() {
            fields.shift_insert(index, key.into(), value.into());
        }
    }
}

fn finding(waived: bool) -> Value {
    let place = object(
        &["file"],
        json!({
            "file": text("The image."),
            "offset": count("Offset in the file."),
            "length": count("Bytes from there."),
            "part": text("The part of the format, such as phdr[2]."),
            "section": text("The section it lies in."),
            "symbol": text("The symbol it lies in."),
            "source": object(
                &["file", "line"],
                json!({
                    "file": text("Its path, as the compiler was given it."),
                    "line": { "type": "integer", "minimum": 1, "description": "Line in it." },
                }),
                "The line of source it comes from, where debugging information has one.",
            ),
        }),
        "Where it was found.",
    );
    let severities = [Severity::Error, Severity::Warning, Severity::Note];
    let mut fields = json!({
        "code": { "enum": codes(), "description": "The rule." },
        "severity": { "enum": severities.map(Severity::name), "description": "Its severity." },
        "message": text("What was found, in a sentence."),
        "place": place,
        "notes": list(json!({ "type": "string" }), "Further facts."),
        "help": text("What to do about it."),
    });
    let mut required = vec!["code", "severity", "message"];
    if let (true, Some(fields)) = (waived, fields.as_object_mut()) {
        required.extend(["reason", "until", "policy"]);
        fields.insert("reason".into(), text("Why it is waived."));
        fields.insert("until".into(), text("The last day of the waiver."));
        fields.insert("policy".into(), text("The policy that waives it."));
    }
    object(&required, fields, "A finding.")
}

fn codes() -> Vec<&'static str> {
    RULES.iter().map(|rule| rule.code).collect()
}

fn object(required: &[&str], properties: Value, description: &str) -> Value {
    json!({
        "description": description,
        "type": "object",
        "required": required,
        "additionalProperties": false,
        "properties": properties,
    })
}

fn list(items: Value, description: &str) -> Value {
    json!({ "type": "array", "items": items, "description": description })
}

fn text(description: &str) -> Value {
    json!({ "type": "string", "description": description })
}

fn count(description: &str) -> Value {
    json!({ "type": "integer", "minimum": 0, "description": description })
}

fn nullable(kind: &str, description: &str) -> Value {
    json!({ "type": [kind, "null"], "description": description })
}

fn one_of(names: impl Iterator<Item = &'static str>, description: &str) -> Value {
    let mut values: Vec<Value> = names.map(Value::from).collect();
    values.push(Value::Null);
    json!({ "enum": values, "description": description })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_are_current() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../schemas/");
        for (name, text) in [(REPORT_FILE, report_text()), (LOCK_FILE, lock_text())] {
            let file = std::fs::read_to_string(format!("{folder}{name}")).unwrap_or_default();
            assert!(file == text, "run `cargo xtask schemas`");
        }
    }
}
