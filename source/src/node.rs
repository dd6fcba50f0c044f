//! The tree: what a text says, with the place of everything in it.

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
    /// Range in bytes in the source, the `#` included and the line end not.
    pub span: Range<usize>,
}

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Range in bytes in the source. Of a block list or mapping it ends with its last value; it is
    /// empty where the source has nothing.
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
    /// Keys with values, in the order of the source; no key is there twice.
    Mapping(Vec<Pair>),
}

/// A text, as the source says it and never retyped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scalar {
    /// The text: escapes are resolved and lines joined, nothing else is done to it.
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
    /// `|` and lines.
    Literal,
    /// `>` and lines.
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
    /// Whether it says that there is no value: nothing at all, `~` or `null`, without quotes.
    pub fn is_null(&self) -> bool {
        self.style == Style::Plain
            && matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }
}

impl Node {
    /// The place to point at: a scalar whole, a list or mapping where it begins.
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

    /// What it is, for messages.
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
