//! Diagnostics as SARIF 2.1.0, for code-scanning services and viewers.
//!
//! A log is printed piece by piece, so it need not fit in memory: [`opening`], any number of
//! [`result`]s with commas between them, [`closing`].

use serde::Serialize;

use crate::diagnostic::{self, Diagnostic, Label, Severity};
use crate::escape::one_line;
use crate::json::text;

/// Address of the format's schema.
pub const SCHEMA: &str = "https://raw.githubusercontent.com/oasis-tcs/sarif-spec/master/Schemata/sarif-schema-2.1.0.json";

/// A rule that a log describes.
#[derive(Clone, Copy, Debug)]
pub struct Rule<'a> {
    /// Its code.
    pub code: &'a str,
    /// What it finds, in a few words.
    pub title: &'a str,
    /// What to do about it.
    pub help: &'a str,
    /// Default severity of its findings.
    pub severity: Severity,
}

/// The start of a log: everything before the first result.
pub fn opening(tool: &str, rules: &[Rule<'_>]) -> String {
    let version = crate::VERSION.strip_prefix('v').unwrap_or(crate::VERSION);
    let driver = text(&Driver {
        name: tool,
        version,
        semantic_version: is_semantic(version).then_some(version),
        information_uri: "https://github.com/Solo5/solo5",
        rules: rules.iter().map(descriptor).collect(),
    });
    format!(
        "{{\"$schema\":\"{SCHEMA}\",\"version\":\"2.1.0\",\"runs\":[{{\
         \"tool\":{{\"driver\":{driver}}},\"columnKind\":\"unicodeCodePoints\",\"results\":["
    )
}

/// One diagnostic as a result. `suppressed` is the reason for a waiver, if there is one.
pub fn result(diagnostic: &Diagnostic, suppressed: Option<&str>) -> String {
    let mut message = one_line(&diagnostic.message);
    for more in diagnostic.notes.iter().chain(&diagnostic.help) {
        message.push('\n');
        message.push_str(&one_line(more));
    }
    let place = diagnostic.place.as_deref();
    let mut locations: Vec<Location> = diagnostic.labels.iter().map(in_text).collect();
    locations.extend(place.map(in_binary));
    let suppressions = suppressed.map(|reason| Suppression {
        kind: "external",
        status: "accepted",
        justification: one_line(reason),
    });
    let source = place.and_then(|place| place.source.as_ref());
    let related = source.map(|source| Location {
        message: Some(Message { text: String::from("the source it comes from") }),
        physical_location: PhysicalLocation {
            artifact_location: Artifact { uri: uri(&source.file) },
            region: Some(Region { start_line: Some(source.line), ..Region::default() }),
        },
        logical_locations: Vec::new(),
    });
    text(&ResultObject {
        rule_id: diagnostic.code,
        level: diagnostic.severity.name(),
        message: Message { text: message },
        locations,
        suppressions: suppressions.into_iter().collect(),
        related_locations: related.into_iter().collect(),
    })
}

/// The end of a log. `unreadable` lists the files that could not be read, each with the reason.
pub fn closing(unreadable: &[(String, String)]) -> String {
    let notifications = unreadable.iter().map(|(file, why)| Notification {
        level: "error",
        message: Message { text: one_line(&format!("{file}: {why}")) },
        locations: vec![Location {
            message: None,
            physical_location: PhysicalLocation {
                artifact_location: Artifact { uri: uri(file) },
                region: None,
            },
            logical_locations: Vec::new(),
        }],
    });
    let invocations = text(&[Invocation {
        execution_successful: unreadable.is_empty(),
        tool_execution_notifications: notifications.collect(),
    }]);
    format!("\n],\"invocations\":{invocations}}}]}}\n")
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Driver<'a> {
    name: &'a str,
    version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    semantic_version: Option<&'a str>,
    information_uri: &'a str,
    rules: Vec<Descriptor<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor<'a> {
    id: &'a str,
    name: String,
    short_description: Message,
    full_description: Message,
    help: Help<'a>,
    default_configuration: Configuration,
}

#[derive(Serialize)]
struct Help<'a> {
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    markdown: Option<&'static str>,
}

#[derive(Serialize)]
struct Configuration {
    level: &'static str,
}

#[derive(Serialize)]
struct Message {
    text: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResultObject {
    rule_id: &'static str,
    level: &'static str,
    message: Message,
    locations: Vec<Location>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    suppressions: Vec<Suppression>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    related_locations: Vec<Location>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Location {
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Message>,
    physical_location: PhysicalLocation,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    logical_locations: Vec<LogicalLocation>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PhysicalLocation {
    artifact_location: Artifact,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<Region>,
}

#[derive(Serialize)]
struct Artifact {
    uri: String,
}

/// Lines of a text, or bytes of a binary.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Region {
    #[serde(skip_serializing_if = "Option::is_none")]
    start_line: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_column: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_line: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_column: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    byte_offset: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    byte_length: Option<i64>,
}

#[derive(Serialize)]
struct LogicalLocation {
    kind: &'static str,
    name: String,
}

#[derive(Serialize)]
struct Suppression {
    kind: &'static str,
    status: &'static str,
    justification: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Invocation {
    execution_successful: bool,
    tool_execution_notifications: Vec<Notification>,
}

#[derive(Serialize)]
struct Notification {
    level: &'static str,
    message: Message,
    locations: Vec<Location>,
}

/// Whether this is a version as semver.org defines it: three numbers, then an optional pre-release and
/// build.
fn is_semantic(version: &str) -> bool {
    let (version, build) = version.split_once('+').unwrap_or((version, "0"));
    let (core, pre) = version.split_once('-').unwrap_or((version, "0"));
    let is_number = |word: &str| {
        let digits = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
        digits && (word == "0" || !word.starts_with('0'))
    };
    let is_word = |word: &str| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let digits = |word: &str| word.bytes().all(|byte| byte.is_ascii_digit());
    core.split('.').count() == 3
        && core.split('.').all(is_number)
        && pre.split('.').all(|word| is_word(word) && (!digits(word) || is_number(word)))
        && build.split('.').all(is_word)
}

/// A title in one word, as services show it beside the code: `no ABI note` is `NoAbiNote`.
fn friendly(title: &str) -> String {
    let words = title.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let capital = |word: &str| {
        let (first, rest) = word.split_at(1);
        first.to_ascii_uppercase() + &rest.to_ascii_lowercase()
    };
    words.map(capital).collect()
}

/// The first paragraph of a page, which says what was found.
fn summary(page: &str) -> Option<String> {
    let paragraph = page.split("\n\n").nth(1)?;
    Some(paragraph.trim_end().replace('\n', " "))
}

fn descriptor<'a>(rule: &Rule<'a>) -> Descriptor<'a> {
    let page = crate::explain(rule.code);
    Descriptor {
        id: rule.code,
        name: friendly(rule.title),
        short_description: Message { text: rule.title.to_owned() },
        full_description: Message { text: page.and_then(summary).unwrap_or(rule.title.to_owned()) },
        help: Help { text: rule.help, markdown: page },
        default_configuration: Configuration { level: rule.severity.name() },
    }
}

fn in_text(label: &Label) -> Location {
    let start = label.source.position(label.span.start);
    let end = label.source.position(label.span.end);
    let number = |number: usize| u64::try_from(number).ok();
    Location {
        message: None,
        physical_location: PhysicalLocation {
            artifact_location: Artifact { uri: uri(&label.source.name) },
            region: Some(Region {
                start_line: number(start.line),
                start_column: number(start.column),
                end_line: number(end.line),
                end_column: number(end.column),
                ..Region::default()
            }),
        },
        logical_locations: Vec::new(),
    }
}

fn in_binary(place: &diagnostic::Place) -> Location {
    // Readers store offsets as signed 64-bit numbers. No file has a larger offset.
    let signed = |number: Option<u64>| number.and_then(|number| i64::try_from(number).ok());
    let offset = signed(place.offset);
    // Some services show no result without a region. For a whole file, the region is its start.
    let region = Region {
        byte_offset: Some(offset.unwrap_or(0)),
        byte_length: offset.and_then(|_| signed(place.length)),
        ..Region::default()
    };
    let named = [("segment", &place.part), ("section", &place.section), ("symbol", &place.symbol)];
    let logical = named.into_iter().filter_map(|(kind, name)| {
        let name = name.clone()?;
        Some(LogicalLocation { kind, name })
    });
    Location {
        message: None,
        physical_location: PhysicalLocation {
            artifact_location: Artifact { uri: uri(&place.file) },
            region: Some(region),
        },
        logical_locations: logical.collect(),
    }
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
    use serde_json::{Value, json};

    use super::*;
    use crate::diagnostic::Place;

    #[test]
    fn paths_become_uris() {
        assert_eq!(uri("a/b-1.spt"), "a/b-1.spt");
        assert_eq!(uri("/srv/x y"), "file:///srv/x%20y");
        assert_eq!(uri("c:é"), "c%3A%C3%A9");
    }

    /// GitHub's code scanning refuses a rule without a full description.
    #[test]
    fn rules_have_a_name_and_a_full_description() {
        let (title, help) = ("function resolved at start (IFUNC)", "mend");
        let rule = |code| Rule { code, title, help, severity: Severity::Warning };
        let log = opening("tool", &[rule("S113"), rule("X000")]) + &closing(&[]);
        let log: Value = serde_json::from_str(&log).unwrap();
        let rules = &log["runs"][0]["tool"]["driver"]["rules"];
        assert_eq!(rules[0]["name"], "FunctionResolvedAtStartIfunc");
        let full = rules[0]["fullDescription"]["text"].as_str().unwrap();
        let page = crate::explain("S113").unwrap().replace('\n', " ");
        assert!(full.len() > title.len() && page.contains(full), "{full}");
        assert_eq!(rules[1]["fullDescription"]["text"], title, "without a page");
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

    #[test]
    fn a_finding_about_a_whole_file_has_a_region() {
        let place = Place { file: String::from("a.spt"), ..Place::default() };
        let result = result(&Diagnostic::note("S316", "odd").at(place), None);
        let result: Value = serde_json::from_str(&result).unwrap();
        let physical = &result["locations"][0]["physicalLocation"];
        assert_eq!(physical["region"], json!({ "byteOffset": 0 }));
    }

    #[test]
    fn semantic_versions_are_told_from_others() {
        for version in ["0.12.100", "1.0.0-5-gabc123", "1.2.3-rc.1+build.05"] {
            assert!(is_semantic(version), "{version}");
        }
        for version in ["v1.2.3", "1.2", "1.2.3.4", "1.02.3", "1.2.3-01", "1.2.3-", "1.2.3-a..b"] {
            assert!(!is_semantic(version), "{version}");
        }
        let log: Value = serde_json::from_str(&(opening("tool", &[]) + &closing(&[]))).unwrap();
        let driver = &log["runs"][0]["tool"]["driver"];
        assert_eq!(driver["semanticVersion"], driver["version"]);
        assert!(driver["version"].is_string());
    }
}
