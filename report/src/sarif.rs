//! Diagnostics as SARIF 2.1.0, for code-scanning services and viewers.
//!
//! A log is printed piece by piece, so that it need not fit in memory: [`opening`], any number of
//! [`result`]s with commas between them, [`closing`].

use serde_json::{Value, json};

use crate::diagnostic::{Diagnostic, Label, Place, Severity};
use crate::text::printable;

/// Where the schema of the format is published.
pub const SCHEMA: &str = "https://raw.githubusercontent.com/oasis-tcs/sarif-spec/master/Schemata/sarif-schema-2.1.0.json";

/// A rule, as a log describes it.
#[derive(Clone, Copy, Debug)]
pub struct Rule<'a> {
    /// Its code.
    pub code: &'a str,
    /// What it finds, in a few words.
    pub title: &'a str,
    /// What to do about it.
    pub help: &'a str,
    /// How grave its findings are unless they say otherwise.
    pub severity: Severity,
}

/// The start of a log: everything before the first result.
pub fn opening(tool: &str, rules: &[Rule<'_>]) -> String {
    let rules: Vec<Value> = rules.iter().map(rule).collect();
    let driver = json!({
        "name": tool,
        "version": crate::VERSION,
        "informationUri": "https://github.com/Solo5/solo5",
        "rules": rules,
    });
    format!(
        "{{\"$schema\":\"{SCHEMA}\",\"version\":\"2.1.0\",\"runs\":[{{\
         \"tool\":{{\"driver\":{driver}}},\"columnKind\":\"unicodeCodePoints\",\"results\":["
    )
}

fn rule(rule: &Rule<'_>) -> Value {
    let mut help = json!({ "text": rule.help });
    if let (Some(page), Some(fields)) = (crate::explain(rule.code), help.as_object_mut()) {
        fields.insert("markdown".into(), page.into());
    }
    json!({
        "id": rule.code,
        "shortDescription": { "text": rule.title },
        "help": help,
        "defaultConfiguration": { "level": rule.severity.name() },
    })
}

/// One diagnostic as a result. `suppressed` is the reason why it does not count, if it does not.
pub fn result(diagnostic: &Diagnostic, suppressed: Option<&str>) -> Value {
    let mut text = diagnostic.message.clone();
    for more in diagnostic.notes.iter().chain(&diagnostic.help) {
        text.push('\n');
        text.push_str(more);
    }
    let mut locations: Vec<Value> = diagnostic.labels.iter().map(label).collect();
    locations.extend(diagnostic.place.as_deref().map(place));
    let mut result = json!({
        "ruleId": diagnostic.code,
        "level": diagnostic.severity.name(),
        "message": { "text": printable(&text) },
        "locations": locations,
    });
    if let (Some(reason), Some(fields)) = (suppressed, result.as_object_mut()) {
        let suppression = json!([{
            "kind": "external", "status": "accepted", "justification": printable(reason),
        }]);
        fields.insert("suppressions".into(), suppression);
    }
    let source = diagnostic.place.as_ref().and_then(|place| place.source.as_ref());
    if let (Some(source), Some(fields)) = (source, result.as_object_mut()) {
        let related = json!([{
            "message": { "text": "the source it comes from" },
            "physicalLocation": {
                "artifactLocation": { "uri": uri(&source.file) },
                "region": { "startLine": source.line },
            },
        }]);
        fields.insert("relatedLocations".into(), related);
    }
    result
}

/// The end of a log. `unreadable` are the files that could not be read, and why.
pub fn closing(unreadable: &[(String, String)]) -> String {
    let notifications: Vec<Value> = unreadable
        .iter()
        .map(|(file, why)| {
            json!({
                "level": "error",
                "message": { "text": printable(&format!("{file}: {why}")) },
                "locations": [{ "physicalLocation": { "artifactLocation": { "uri": uri(file) } } }],
            })
        })
        .collect();
    let invocations = json!([{
        "executionSuccessful": notifications.is_empty(),
        "toolExecutionNotifications": notifications,
    }]);
    format!("\n],\"invocations\":{invocations}}}]}}\n")
}

fn label(label: &Label) -> Value {
    let start = label.source.position(label.span.start);
    let end = label.source.position(label.span.end);
    json!({
        "physicalLocation": {
            "artifactLocation": { "uri": uri(&label.source.name) },
            "region": {
                "startLine": start.line,
                "startColumn": start.column,
                "endLine": end.line,
                "endColumn": end.column,
            },
        },
    })
}

fn place(place: &Place) -> Value {
    let mut physical = json!({ "artifactLocation": { "uri": uri(&place.file) } });
    // Readers keep offsets in signed numbers; one beyond them is in no file.
    let signed = |number: Option<u64>| number.and_then(|number| i64::try_from(number).ok());
    if let (Some(offset), Some(fields)) = (signed(place.offset), physical.as_object_mut()) {
        let mut region = json!({ "byteOffset": offset });
        if let (Some(length), Some(region)) = (signed(place.length), region.as_object_mut()) {
            region.insert("byteLength".into(), length.into());
        }
        fields.insert("region".into(), region);
    }
    let named = [("segment", &place.part), ("section", &place.section), ("symbol", &place.symbol)];
    let logical: Vec<Value> = named
        .into_iter()
        .filter_map(|(kind, name)| Some(json!({ "kind": kind, "name": name.as_ref()? })))
        .collect();
    let mut location = json!({ "physicalLocation": physical });
    if let (false, Some(fields)) = (logical.is_empty(), location.as_object_mut()) {
        fields.insert("logicalLocations".into(), logical.into());
    }
    location
}

/// A path as a URI: relative paths stay relative.
fn uri(path: &str) -> String {
    let mut out = String::from(if path.starts_with('/') { "file://" } else { "" });
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_uris() {
        assert_eq!(uri("a/b-1.spt"), "a/b-1.spt");
        assert_eq!(uri("/srv/x y"), "file:///srv/x%20y");
        assert_eq!(uri("c:é"), "c%3A%C3%A9");
    }

    #[test]
    fn pieces_make_a_log() {
        let place = Place {
            file: String::from("a.spt"),
            offset: Some(8),
            length: Some(u64::MAX),
            section: Some(String::from(".data")),
            ..Place::default()
        };
        let found = Diagnostic::warning("S202", "odd").at(place).with_help("mend");
        let unreadable = [(String::from("b"), String::from("gone"))];
        let log = format!(
            "{}{}{}",
            opening("tool", &[]),
            result(&found, Some("known")),
            closing(&unreadable)
        );
        let log: Value = serde_json::from_str(&log).unwrap();
        let result = &log["runs"][0]["results"][0];
        assert_eq!(result["message"]["text"], "odd\nmend");
        let location = &result["locations"][0];
        assert_eq!(location["physicalLocation"]["region"], json!({ "byteOffset": 8 }));
        assert_eq!(location["logicalLocations"][0]["name"], ".data");
        assert_eq!(result["suppressions"][0]["justification"], "known");
        assert_eq!(log["runs"][0]["invocations"][0]["executionSuccessful"], false);
    }
}
