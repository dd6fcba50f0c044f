//! Diagnostics for machines. Field names are stable; fields that do not apply are left out.

use serde::Serialize;
use serde_json::Value;

use crate::diagnostic::{Diagnostic, Label, Place};

#[derive(Serialize)]
struct JsonDiagnostic<'a> {
    code: &'a str,
    severity: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    locations: Vec<JsonLocation<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<JsonPlace<'a>>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    notes: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<&'a str>,
}

#[derive(Serialize)]
struct JsonLocation<'a> {
    file: &'a str,
    line: usize,
    column: usize,
    end_line: usize,
    end_column: usize,
    #[serde(skip_serializing_if = "str::is_empty")]
    label: &'a str,
}

#[derive(Serialize)]
struct JsonPlace<'a> {
    file: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    length: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    part: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    section: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    symbol: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<JsonSource<'a>>,
}

#[derive(Serialize)]
struct JsonSource<'a> {
    file: &'a str,
    line: u64,
}

fn location(label: &Label) -> JsonLocation<'_> {
    let (start, end) =
        (label.source.position(label.span.start), label.source.position(label.span.end));
    JsonLocation {
        file: &label.source.name,
        line: start.line,
        column: start.column,
        end_line: end.line,
        end_column: end.column,
        label: &label.text,
    }
}

fn place(place: &Place) -> JsonPlace<'_> {
    JsonPlace {
        file: &place.file,
        offset: place.offset,
        length: place.length,
        part: place.part.as_deref(),
        section: place.section.as_deref(),
        symbol: place.symbol.as_deref(),
        origin: place.origin.as_deref(),
        source: place
            .source
            .as_ref()
            .map(|source| JsonSource { file: &source.file, line: source.line }),
    }
}

/// One diagnostic as a JSON object.
pub fn json(diagnostic: &Diagnostic) -> Value {
    serde_json::to_value(JsonDiagnostic {
        code: diagnostic.code,
        severity: diagnostic.severity.name(),
        message: &diagnostic.message,
        locations: diagnostic.labels.iter().map(location).collect(),
        place: diagnostic.place.as_deref().map(place),
        notes: &diagnostic.notes,
        help: diagnostic.help.as_deref(),
    })
    .unwrap_or(Value::Null)
}
