//! The tree: the values of a document, each with its position.

use std::ops::Range;
use std::sync::Arc;

use solo5_report::SourceText;

/// A document that was read.
#[derive(Clone, Debug)]
pub struct Document {
    /// The text, which every span refers to.
    pub source: Arc<SourceText>,
    /// The one value of the document.
    pub root: Node,
    /// Every comment, in order.
    pub comments: Vec<Comment>,
}

/// A comment, `#` to the end of its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment {
    /// Range in bytes in the source, with the `#` and without the line end.
    pub span: Range<usize>,
}

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Range in bytes in the source. A block list or mapping ends with its last value. The range is
    /// empty if the source leaves out the value.
    pub span: Range<usize>,
    /// What it is.
    pub kind: Kind,
}

/// The three kinds of value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Scalar(Scalar),
    /// A list.
    Sequence(Vec<Node>),
    /// Keys with values, in the order of the source, without duplicates.
    Mapping(Vec<Pair>),
}

/// A text as in the source, never converted to a number or another type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scalar {
    /// The text, with escapes resolved and lines joined.
    pub text: String,
    /// How it was written.
    pub style: Style,
}

/// How a scalar was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Without quotes.
    Plain,
    /// `'text'`
    SingleQuoted,
    /// `"text"`
    DoubleQuoted,
    /// A `|` block.
    Literal,
    /// A `>` block.
    Folded,
}

/// A key and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The key.
    pub key: Key,
    /// The value.
    pub value: Node,
}

/// A key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its text.
    pub text: String,
    /// Range in bytes in the source, quotes included.
    pub span: Range<usize>,
}

impl Scalar {
    /// Whether it stands for no value: left out, `~` or `null`, without quotes.
    pub fn is_null(&self) -> bool {
        self.style == Style::Plain
            && matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }
}

impl Node {
    /// The range that a message points at: a whole scalar, or the start of a list or mapping.
    pub fn head(&self) -> Range<usize> {
        match &self.kind {
            Kind::Scalar(_) => self.span.clone(),
            Kind::Mapping(pairs) => match pairs.first() {
                // A block mapping begins with its first key, a flow mapping with its brace.
                Some(pair) if pair.key.span.start == self.span.start => pair.key.span.clone(),
                _ => self.span.start..(self.span.start + 1).min(self.span.end),
            },
            Kind::Sequence(_) => self.span.start..(self.span.start + 1).min(self.span.end),
        }
    }

    /// The kind of value, in words for a message.
    pub fn describe(&self) -> &'static str {
        match &self.kind {
            Kind::Scalar(scalar) if scalar.is_null() => "nothing",
            Kind::Scalar(Scalar { style: Style::Plain, .. }) => "a plain text",
            Kind::Scalar(_) => "a quoted text",
            Kind::Sequence(_) => "a list",
            Kind::Mapping(_) => "a mapping",
        }
    }
}
