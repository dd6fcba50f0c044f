//! Diagnostics as JSON. Field names are stable; fields that do not apply are left out.
//!
//! This file also writes all other JSON of the suite. People read JSON on terminals too, so characters
//! that [`is_unsafe`] names are written as JSON escapes, which a JSON reader undoes.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Value;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter, Serializer};

use crate::diagnostic::{Diagnostic, Label, Place};
use crate::escape::is_unsafe;

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

/// A value as JSON on one line.
pub fn text(value: &impl Serialize) -> String {
    let mut out = Vec::new();
    // Writing to memory cannot fail, and all keys are strings.
    let _ = value.serialize(&mut Serializer::with_formatter(&mut out, Escaping(CompactFormatter)));
    String::from_utf8(out).unwrap_or_default()
}

/// Writes a value as indented JSON with a line end.
///
/// # Errors
///
/// The writer's error.
pub fn write_pretty(out: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    let formatter = Escaping(PrettyFormatter::new());
    value.serialize(&mut Serializer::with_formatter(&mut *out, formatter))?;
    out.write_all(b"\n")
}

/// Like [`write_pretty`], but returns the text.
pub fn pretty(value: &impl Serialize) -> String {
    let mut out = Vec::new();
    // Writing to memory cannot fail.
    let _ = write_pretty(&mut out, value);
    String::from_utf8(out).unwrap_or_default()
}

/// A JSON formatter that writes unsafe characters as escapes such as `\u009b`.
struct Escaping<F>(F);

impl<F: Formatter> Formatter for Escaping<F> {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        out: &mut W,
        text: &str,
    ) -> io::Result<()> {
        let mut rest = text;
        while let Some(at) = rest.find(is_unsafe) {
            let (before, from) = rest.split_at(at);
            out.write_all(before.as_bytes())?;
            let mut chars = from.chars();
            let mut units = [0; 2];
            for unit in chars.next().map(|c| c.encode_utf16(&mut units)).into_iter().flatten() {
                write!(out, "\\u{unit:04x}")?;
            }
            rest = chars.as_str();
        }
        out.write_all(rest.as_bytes())
    }

    fn begin_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.begin_array(out)
    }

    fn end_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_array(out)
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_array_value(out, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_array_value(out)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.begin_object(out)
    }

    fn end_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_object(out)
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(out, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.begin_object_value(out)
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_object_value(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unsafe_character_is_escaped_and_readers_get_it_back() {
        let all: String = ('\0'..=char::MAX).filter(|c| is_unsafe(*c)).collect();
        let value = serde_json::json!({ (all.clone()): [all, "ü\\\"/\u{1f600}", {}, []] });
        for written in [text(&value), pretty(&value)] {
            assert!(!written.contains(|c| c != '\n' && is_unsafe(c)), "{written:?}");
            assert!(written.contains("\\u009b") && written.contains("\\u061c"), "{written}");
            assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), value);
        }
        assert_eq!(
            pretty(&serde_json::json!({ "a": [1, {}] })),
            "{\n  \"a\": [\n    1,\n    {}\n  ]\n}\n"
        );
        assert_eq!(
            text(&serde_json::json!({ "a": [1, 2], "b": null })),
            "{\"a\":[1,2],\"b\":null}"
        );
    }
}
