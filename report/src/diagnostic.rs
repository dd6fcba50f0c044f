//! The model of a finding: what is wrong, where, and what to do.

use std::ops::Range;
use std::sync::Arc;

use crate::text::SourceText;

/// How serious a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// A fact; nothing is wrong.
    Note,
    /// Probably a mistake.
    Warning,
    /// The work cannot be done, or the input is refused.
    Error,
}

impl Severity {
    /// The severity's name in output.
    pub const fn name(self) -> &'static str {
        match self {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Stable code, such as `M101`; [`crate::explain`] has its page.
    pub code: &'static str,
    /// How serious it is.
    pub severity: Severity,
    /// One sentence, lower case, no full stop.
    pub message: String,
    /// Places in text; the first is the main one.
    pub labels: Vec<Label>,
    /// Place in a binary file.
    pub place: Option<Box<Place>>,
    /// Further facts, one sentence each.
    pub notes: Vec<String>,
    /// What to do about it.
    pub help: Option<String>,
}

/// A place in text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The text it is in.
    pub source: Arc<SourceText>,
    /// Range in bytes.
    pub span: Range<usize>,
    /// Text to show there; may be empty.
    pub text: String,
}

/// A place in a binary file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The file's name, as given by the user.
    pub file: String,
    /// Offset in bytes in the file.
    pub offset: Option<u64>,
    /// Length in bytes from there.
    pub length: Option<u64>,
    /// The part of the format, such as `phdr[2]`.
    pub part: Option<String>,
    /// Section that contains it.
    pub section: Option<String>,
    /// Symbol that contains it.
    pub symbol: Option<String>,
    /// Input sections it was linked from, each with its object: `.data.jit (jit.o)`.
    pub origin: Option<String>,
    /// Line of source it was compiled from.
    pub source: Option<Box<SourceLine>>,
}

/// A line of source that an image was compiled from. The source file may be missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceLine {
    /// Path, as given to the compiler.
    pub file: String,
    /// Line, from 1.
    pub line: u64,
}

impl Diagnostic {
    /// An error: the work cannot be done, or the input is refused.
    pub fn error(code: &'static str, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Severity::Error, code, message)
    }

    /// A warning: probably a mistake.
    pub fn warning(code: &'static str, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Severity::Warning, code, message)
    }

    /// A note: a fact.
    pub fn note(code: &'static str, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Severity::Note, code, message)
    }

    /// A finding of any severity.
    pub fn new(severity: Severity, code: &'static str, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            code,
            severity,
            message: message.into(),
            labels: Vec::new(),
            place: None,
            notes: Vec::new(),
            help: None,
        }
    }

    /// Adds a place in text; the first one added is the main one.
    #[must_use]
    pub fn label(
        mut self,
        source: &Arc<SourceText>,
        span: Range<usize>,
        text: impl Into<String>,
    ) -> Diagnostic {
        self.labels.push(Label { source: Arc::clone(source), span, text: text.into() });
        self
    }

    /// Sets the place in a binary file.
    #[must_use]
    pub fn at(mut self, place: Place) -> Diagnostic {
        self.place = Some(Box::new(place));
        self
    }

    /// Adds a further fact.
    #[must_use]
    pub fn with_note(mut self, note: impl Into<String>) -> Diagnostic {
        self.notes.push(note.into());
        self
    }

    /// Says what to do about it.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Diagnostic {
        self.help = Some(help.into());
        self
    }
}

/// The highest severity among `diagnostics`.
pub fn worst(diagnostics: &[Diagnostic]) -> Option<Severity> {
    diagnostics.iter().map(|diagnostic| diagnostic.severity).max()
}
