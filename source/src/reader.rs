//! Phase 4: tree → values, with every error collected.
//!
//! A [`Reader`] holds the errors. Each of its methods reads a node as one kind of value and reports
//! a node of another kind. [`Fields`] reads the keys of one mapping and at the end reports those that
//! the caller never read. A method that returns `None` has reported why, so callers just go on:
//!
//! ```
//! let (document, mut reader) = solo5_source::read("m.yaml", b"name: x\nsize: 4MiB\n").unwrap();
//! if let Some(mut fields) = reader.fields(&document.root, "the file") {
//!     let name = fields.required("name").and_then(|node| reader.text(node, "`name`"));
//!     let size = fields.optional("size").and_then(|node| reader.size(node, "`size`"));
//!     fields.finish(&mut reader);
//!     assert_eq!((name, size), (Some("x"), Some(4 << 20)));
//! }
//! assert!(reader.finish().is_empty());
//! ```

use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use solo5_report::{Diagnostic, Severity, SourceText};

use crate::node::{Key, Kind, Node, Pair, Scalar, Style};
use crate::{codes, size};

pub use crate::words::{excerpt, list, similar};

/// Most diagnostics that are kept. One more says how many were dropped.
pub const ERRORS_MAX: usize = 50;

/// Collects the errors in one source.
#[derive(Debug)]
pub struct Reader {
    source: Arc<SourceText>,
    diagnostics: Vec<Diagnostic>,
    errors: usize,
    dropped: usize,
}

impl Reader {
    /// A reader of `source` without errors so far. Usually [`crate::read`] makes it.
    pub fn new(source: &Arc<SourceText>) -> Reader {
        Reader { source: Arc::clone(source), diagnostics: Vec::new(), errors: 0, dropped: 0 }
    }

    /// The text of the source.
    pub fn source(&self) -> &Arc<SourceText> {
        &self.source
    }

    /// Adds a diagnostic.
    pub fn report(&mut self, diagnostic: Diagnostic) {
        if diagnostic.severity == Severity::Error {
            self.errors += 1;
        }
        if self.diagnostics.len() < ERRORS_MAX {
            self.diagnostics.push(diagnostic);
        } else {
            self.dropped += 1;
        }
    }

    /// Adds an error at `span`. `label` is shown there and may be empty; `help` says what to do.
    pub fn error(
        &mut self,
        code: &'static str,
        span: Range<usize>,
        message: impl Into<String>,
        label: impl Into<String>,
        help: impl Into<String>,
    ) {
        let diagnostic = Diagnostic::error(code, message).label(&self.source, span, label);
        self.report(diagnostic.with_help(help));
    }

    /// Number of errors so far.
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// Everything found, in order of position.
    pub fn finish(mut self) -> Vec<Diagnostic> {
        let place = |found: &Diagnostic| found.labels.first().map_or(0, |label| label.span.start);
        self.diagnostics.sort_by_key(place);
        if self.dropped > 0 {
            let message = format!("{} more errors in {}", self.dropped, self.source.name);
            self.diagnostics.push(
                Diagnostic::error(codes::MORE_ERRORS, message)
                    .with_help("fix the errors above first; they often cause the others"),
            );
        }
        self.diagnostics
    }

    /// The `value` that was read, if there was no error.
    ///
    /// # Errors
    ///
    /// Everything found, in order of position.
    pub fn checked<T>(self, value: Option<T>) -> Result<T, Vec<Diagnostic>> {
        let errors = self.errors;
        let found = self.finish();
        value.filter(|_| errors == 0).ok_or(found)
    }

    fn wrong_kind(&mut self, node: &Node, what: &str, wanted: &str, help: &str) {
        if let Kind::Scalar(scalar) = &node.kind
            && scalar.is_null()
        {
            let message = format!("{what} has no value");
            let label = format!("expected {wanted}");
            self.error(codes::NO_VALUE, node.span.clone(), message, label, help);
            return;
        }
        let message = format!("{what} must be {wanted}, not {}", node.describe());
        self.error(codes::WRONG_KIND, node.head(), message, "", help);
    }

    /// The keys of a mapping. `what` names the node in messages, as in all methods here: `the
    /// manifest`, `` `memory` ``.
    pub fn fields<'t>(&mut self, node: &'t Node, what: impl Into<String>) -> Option<Fields<'t>> {
        let what = what.into();
        match &node.kind {
            Kind::Mapping(pairs) => {
                let head = node.head();
                Some(Fields { what, head, pairs, asked: Vec::new(), missing: Vec::new() })
            }
            _ => {
                self.wrong_kind(node, &what, "a mapping", "write keys with values: `key: value`");
                None
            }
        }
    }

    /// The items of a list.
    pub fn items<'t>(&mut self, node: &'t Node, what: &str) -> Option<&'t [Node]> {
        match &node.kind {
            Kind::Sequence(items) => Some(items),
            _ => {
                let help = "write a list: `[ a, b ]`, or lines that start with `- `";
                self.wrong_kind(node, what, "a list", help);
                None
            }
        }
    }

    fn scalar<'t>(
        &mut self,
        node: &'t Node,
        what: &str,
        wanted: &str,
        help: &str,
    ) -> Option<&'t Scalar> {
        match &node.kind {
            Kind::Scalar(scalar) if !scalar.is_null() => Some(scalar),
            _ => {
                self.wrong_kind(node, what, wanted, help);
                None
            }
        }
    }

    /// A text, exactly as written; it may be empty if it is quoted.
    pub fn text<'t>(&mut self, node: &'t Node, what: &str) -> Option<&'t str> {
        let help = "write the text; put it in double quotes if it is `null`";
        self.scalar(node, what, "a text", help).map(|scalar| scalar.text.as_str())
    }

    /// Reads a value that must not be quoted, such as a number.
    fn bare<'t>(
        &mut self,
        node: &'t Node,
        what: &str,
        wanted: &str,
        code: &'static str,
    ) -> Option<&'t str> {
        let scalar = self.scalar(node, what, wanted, &format!("write {wanted}"))?;
        if scalar.style != Style::Plain {
            let message = format!("{what} must be {wanted}, not a quoted text");
            self.error(code, node.span.clone(), message, "", "remove the quotes");
            return None;
        }
        Some(&scalar.text)
    }

    /// `true` or `false`; no other word is accepted.
    pub fn boolean(&mut self, node: &Node, what: &str) -> Option<bool> {
        let wanted = "`true` or `false`";
        match self.bare(node, what, wanted, codes::NOT_BOOLEAN)? {
            "true" => Some(true),
            "false" => Some(false),
            other => {
                let message = format!("{what} must be {wanted}, not `{}`", excerpt(other));
                let help = match other.to_ascii_lowercase().as_str() {
                    "yes" | "y" | "on" | "true" => "write `true`",
                    "no" | "n" | "off" | "false" => "write `false`",
                    _ => "write `true` or `false`",
                };
                self.error(codes::NOT_BOOLEAN, node.span.clone(), message, "", help);
                None
            }
        }
    }

    /// A whole decimal number in `range`.
    pub fn integer(&mut self, node: &Node, what: &str, range: RangeInclusive<u64>) -> Option<u64> {
        let text = self.bare(node, what, "a whole number", codes::NOT_INTEGER)?;
        let digits = text.strip_prefix('-').unwrap_or(text);
        let whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        if !whole || (digits.len() > 1 && digits.starts_with('0')) {
            let message = format!("{what} must be a whole number, not `{}`", excerpt(text));
            let help = "write only decimal digits, without sign, point or leading zero";
            self.error(codes::NOT_INTEGER, node.span.clone(), message, "", help);
            return None;
        }
        match text.parse() {
            Ok(number) if range.contains(&number) => Some(number),
            _ => {
                let message = format!("{what} is {}, which is out of range", excerpt(text));
                let help = if range.start() == range.end() {
                    format!("the only value is {}", range.start())
                } else if *range.end() == u64::MAX {
                    format!("the least is {}", range.start())
                } else {
                    format!("it can be {} to {}", range.start(), range.end())
                };
                self.error(codes::NOT_INTEGER, node.span.clone(), message, "", help);
                None
            }
        }
    }

    /// A size in bytes, written with a unit. It may be in double quotes, because JSON has no other
    /// way to write it.
    pub fn size(&mut self, node: &Node, what: &str) -> Option<u64> {
        let wanted = "a size such as `32MiB`";
        let text = match &node.kind {
            Kind::Scalar(Scalar { text, style: Style::DoubleQuoted }) => text,
            _ => self.bare(node, what, wanted, codes::NOT_SIZE)?,
        };
        let fault = match size::parse(text) {
            Ok(bytes) => return Some(bytes),
            Err(fault) => fault,
        };
        let (message, help) = match fault {
            size::Error::NoUnit => (format!("{what} has no unit"), with_unit(text)),
            size::Error::Unit(unit) => (
                format!("{what} has the unknown unit `{}`", excerpt(unit.trim_start())),
                match unit.trim_start().chars().next().map(|c| c.to_ascii_uppercase()) {
                    Some(c @ ('K' | 'M' | 'G')) => format!("units count in 1024s: write `{c}iB`"),
                    _ => "the units are KiB, MiB and GiB".to_owned(),
                },
            ),
            size::Error::Number => (
                format!("{what} is not a size"),
                "write a whole number and a unit, such as `32MiB`".to_owned(),
            ),
            size::Error::TooLarge => (
                format!("{what} is larger than 64 bits can count"),
                "write a smaller size".to_owned(),
            ),
        };
        self.error(codes::NOT_SIZE, node.span.clone(), message, "", help);
        None
    }

    /// One of several words, each paired with its value.
    pub fn choice<T: Copy>(
        &mut self,
        node: &Node,
        what: &str,
        choices: &[(&'static str, T)],
    ) -> Option<T> {
        let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
        let wanted = list(&words, "or");
        let text = self.scalar(node, what, "a word", &format!("write {wanted}"))?.text.as_str();
        if let Some((_, value)) = choices.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let message = format!("{what} cannot be `{}`", excerpt(text));
        let help = match similar(text, &words) {
            Some(word) => format!("did you mean `{word}`?"),
            None => format!("write {wanted}"),
        };
        self.error(codes::NOT_CHOICE, node.span.clone(), message, "", help);
        None
    }
}

/// Help for a size without a unit.
fn with_unit(number: &str) -> String {
    let bytes = number.parse::<u64>().ok();
    if bytes == Some(0) {
        return "write a size such as `32MiB`; the units are KiB, MiB and GiB".to_owned();
    }
    // Few people write a multiple of 1024 for anything but bytes.
    match bytes.and_then(size::format) {
        Some(size) => format!("write `{size}` if these are bytes; the units are KiB, MiB and GiB"),
        None => {
            format!("write `{}MiB`, or whichever of KiB, MiB and GiB is meant", excerpt(number))
        }
    }
}

/// The keys of one mapping, read one by one. [`Fields::finish`] reports missing and unknown keys.
#[derive(Debug)]
#[must_use = "`finish` reports missing and unknown keys"]
pub struct Fields<'t> {
    what: String,
    head: Range<usize>,
    pairs: &'t [Pair],
    asked: Vec<&'static str>,
    missing: Vec<&'static str>,
}

impl<'t> Fields<'t> {
    /// The value of `key`; `None` if it is absent.
    pub fn optional(&mut self, key: &'static str) -> Option<&'t Node> {
        self.pair(key).map(|(_, value)| value)
    }

    /// Whether `key` is present. Unlike the other methods, this does not make it a known key.
    pub fn has(&self, key: &str) -> bool {
        self.pairs.iter().any(|pair| pair.key.text == key)
    }

    /// Key and value of `key`; `None` if it is absent.
    pub fn pair(&mut self, key: &'static str) -> Option<(&'t Key, &'t Node)> {
        if !self.asked.contains(&key) {
            self.asked.push(key);
        }
        let pair = self.pairs.iter().find(|pair| pair.key.text == key)?;
        Some((&pair.key, &pair.value))
    }

    /// The entries of the mapping at `key`, whose keys the author of the file chooses; none if it is
    /// absent. Any other kind of value is reported.
    pub fn entries(&mut self, key: &'static str, reader: &mut Reader) -> &'t [Pair] {
        let Some(node) = self.optional(key) else {
            return &[];
        };
        match &node.kind {
            Kind::Mapping(pairs) => pairs,
            _ => {
                // This reports that the value is not a mapping.
                if let Some(fields) = reader.fields(node, format!("`{key}`")) {
                    fields.finish(reader);
                }
                &[]
            }
        }
    }

    /// The value of `key`; [`Fields::finish`] reports that it is missing.
    pub fn required(&mut self, key: &'static str) -> Option<&'t Node> {
        let value = self.optional(key);
        if value.is_none() {
            self.missing.push(key);
        }
        value
    }

    /// The range that a message about the whole mapping points at.
    pub fn head(&self) -> Range<usize> {
        self.head.clone()
    }

    /// Reports every required key that is missing and every key that the caller never read. A misspelt
    /// key causes both, and is reported once.
    pub fn finish(self, reader: &mut Reader) {
        self.finish_with(reader, |_| None, |_| None);
    }

    /// [`Fields::finish`], with better help for some keys: `elsewhere` says where an unknown key
    /// belongs, `missing` what to write for a missing one.
    pub fn finish_with(
        self,
        reader: &mut Reader,
        elsewhere: impl Fn(&str) -> Option<String>,
        missing: impl Fn(&str) -> Option<String>,
    ) {
        let absent: Vec<_> = (self.asked.iter().copied())
            .filter(|asked| self.pairs.iter().all(|pair| pair.key.text != *asked))
            .collect();
        let mut meant = Vec::new();
        for pair in self.pairs {
            let key = &pair.key;
            if self.asked.contains(&key.text.as_str()) {
                continue;
            }
            let message = format!("{} cannot have the key `{}`", self.what, excerpt(&key.text));
            // YAML reads all of `key:"value"` as a key.
            let glued = key.text.split_once(':').map(|(start, _)| start);
            let similar = similar(&key.text, &absent);
            let help = match (elsewhere(&key.text), similar, glued) {
                (Some(place), _, _) => place,
                (None, Some(known), _) => {
                    meant.push(known);
                    format!("did you mean `{known}`?")
                }
                (None, None, Some(start)) => {
                    meant.extend(absent.iter().copied().filter(|known| *known == start));
                    "put a space after the `:`".to_owned()
                }
                (None, None, None) => format!("the keys are {}", list(&self.asked, "and")),
            };
            reader.error(codes::UNKNOWN_KEY, key.span.clone(), message, "", help);
        }
        for key in self.missing {
            if !meant.contains(&key) {
                let message = format!("{} has no `{key}`", self.what);
                let help = missing(key).unwrap_or_else(|| format!("add `{key}: ...`"));
                reader.error(codes::MISSING_KEY, self.head.clone(), message, "", help);
            }
        }
    }
}
