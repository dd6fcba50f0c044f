//! The JSON Schema of an audit's report, for programs that read it. The file in `schemas/` is this
//! module's output, which a test compares; another test holds real reports against it.

use serde_json::{Value, json};
use solo5_abi::Arch;
use solo5_report::Severity;

use crate::rules::RULES;

/// Name of the file in `schemas/`.
pub const REPORT_FILE: &str = "report.json";

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
            "size": nullable("integer", "Bytes in the file; null for what is no regular file."),
            "arch": one_of(Arch::ALL.map(Arch::name).into_iter(), "Its machine; null if unreadable."),
            "target": nullable("string", "The target its ABI note names; null without one."),
            "abi_version": nullable("integer", "The version its ABI note names."),
            "findings": list(finding(false), "What was found, gravest first."),
            "waived": list(finding(true), "What was found and does not count."),
        }),
        "An image.",
    );
    let summary = object(
        &[
            "images",
            "rules",
            "errors",
            "warnings",
            "notes",
            "skipped",
            "unreadable",
        ],
        json!({
            "images": count("Images audited."),
            "rules": count("Rules applied."),
            "errors": count("Errors in all images."),
            "warnings": count("Warnings in all images."),
            "notes": count("Notes in all images."),
            "waived": count("Findings that do not count."),
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
    if let Some(fields) = schema.as_object_mut() {
        let own = [
            ("$schema", "https://json-schema.org/draft/2020-12/schema"),
            ("$id", "https://github.com/Solo5/solo5/schemas/report.json"),
            ("title", "Solo5 audit report"),
        ];
        for (index, (key, value)) in own.into_iter().enumerate() {
            fields.shift_insert(index, key.into(), value.into());
        }
    }
    schema
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
        "Where.",
    );
    let severities = [Severity::Error, Severity::Warning, Severity::Note];
    let mut fields = json!({
        "code": { "enum": codes(), "description": "The rule." },
        "severity": { "enum": severities.map(Severity::name), "description": "How grave it is." },
        "message": text("What was found, in a sentence."),
        "place": place,
        "notes": list(json!({ "type": "string" }), "Further facts."),
        "help": text("What to do about it."),
    });
    let mut required = vec!["code", "severity", "message"];
    if let (true, Some(fields)) = (waived, fields.as_object_mut()) {
        required.extend(["reason", "until", "policy"]);
        fields.insert("reason".into(), text("Why it does not count."));
        fields.insert("until".into(), text("The last day on which it does not."));
        fields.insert("policy".into(), text("The policy that says so."));
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
    fn the_file_is_current() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../schemas/");
        let file = std::fs::read_to_string(format!("{folder}{REPORT_FILE}")).unwrap_or_default();
        assert!(file == report_text(), "run `cargo xtask schemas`");
    }
}
