//! Phase 2: text → YAML events with byte positions.
//!
//! Only this file uses the YAML parser. It translates the parser's events and errors into this
//! crate's, so a change of parser changes only this file.

use std::ops::Range;
use std::sync::Arc;

use granit_parser::{ErrorKind, Parser, ScalarStyle, ScanError, Span, StructureStyle};
use solo5_report::{Diagnostic, SourceText};

use crate::node::Style;
use crate::words::excerpt;
use crate::{DEPTH_MAX, codes};

/// One step through a document.
#[derive(Debug)]
pub(crate) enum Event {
    /// A document begins.
    Document,
    /// A scalar. Its span is empty if the source leaves out the value.
    Scalar { text: String, style: Style, tag: Option<Range<usize>> },
    /// A list or mapping begins.
    Start { collection: Collection, flow: bool, tag: Option<Range<usize>> },
    /// The innermost list or mapping ends.
    End,
    /// `&name`, which belongs to the previous event.
    Anchor,
    /// `*name` in place of a node.
    Alias,
    /// `# text`, up to the end of the line.
    Comment,
}

/// The two kinds of collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Collection {
    Sequence,
    Mapping,
}

/// The events of `source` with their spans in bytes. Ends after the first error.
pub(crate) fn events(
    source: &Arc<SourceText>,
) -> impl Iterator<Item = Result<(Event, Range<usize>), Diagnostic>> {
    let options = granit_parser::options! {
        // Libyaml, and so most programs, accept a block text whose last line has no line feed.
        block_scalar_eof_without_line_feed: true,
        disallow_directives: true,
        emit_anchor_events: true,
        emit_comments: true,
        emit_unresolved_aliases: true,
        max_buffered_comment_events: source.text.len(),
        flow_nesting_limit: DEPTH_MAX,
        block_nesting_limit: DEPTH_MAX,
    };
    let mut failed = false;
    Parser::new_from_str_with_options(&source.text, options)
        .map(|next| next.map_err(|error| diagnostic(&error, source)))
        .take_while(move |next| !std::mem::replace(&mut failed, next.is_err()))
        .filter_map(|next| match next {
            Ok((event, span)) => translate(event, span).map(Ok),
            Err(diagnostic) => Some(Err(diagnostic)),
        })
}

fn range(span: Span) -> Range<usize> {
    // A parser over a `str` always gives byte offsets.
    span.byte_range().unwrap_or_default()
}

fn translate(event: granit_parser::Event<'_>, span: Span) -> Option<(Event, Range<usize>)> {
    use granit_parser::Event as Theirs;

    let tag = span.tag_span().map(range);
    let flow = |style| match style {
        StructureStyle::Flow => true,
        StructureStyle::Block => false,
    };
    let ours = match event {
        Theirs::DocumentStart(..) => Event::Document,
        Theirs::Scalar(text, style, ..) => {
            let style = match style {
                ScalarStyle::Plain => Style::Plain,
                ScalarStyle::SingleQuoted => Style::SingleQuoted,
                ScalarStyle::DoubleQuoted => Style::DoubleQuoted,
                ScalarStyle::Literal => Style::Literal,
                ScalarStyle::Folded => Style::Folded,
            };
            // The parser reports a left-out value as `~`.
            let nothing = style == Style::Plain && range(span).is_empty();
            let text = if nothing { String::new() } else { text.into_owned() };
            Event::Scalar { text, style, tag }
        }
        Theirs::SequenceStart(style, ..) => {
            Event::Start { collection: Collection::Sequence, flow: flow(style), tag }
        }
        Theirs::MappingStart(style, ..) => {
            Event::Start { collection: Collection::Mapping, flow: flow(style), tag }
        }
        Theirs::SequenceEnd | Theirs::MappingEnd => Event::End,
        Theirs::Anchor(..) => Event::Anchor,
        Theirs::Alias(_) | Theirs::UnresolvedAlias(_) => Event::Alias,
        Theirs::Comment(..) => Event::Comment,
        _ => return None,
    };
    Some((ours, range(span)))
}

/// The diagnostic for an error of the parser. It depends on the error's kind and on the character
/// where the error is.
fn diagnostic(error: &ScanError, source: &Arc<SourceText>) -> Diagnostic {
    let text = source.text.as_str();
    let at = text.floor_char_boundary(error.marker().byte_offset().unwrap_or(text.len()));
    let rest = &text[at..];
    let found = rest.chars().next();
    let end = at + found.map_or(0, char::len_utf8);
    let after_blanks = rest.trim_start().chars().next();
    let make = |code, message: &str, label: &str, help: &str| {
        Diagnostic::error(code, message).label(source, at..end, label).with_help(help)
    };
    let between = "put a `,` between two entries of a `{ }` or `[ ]`, and a `:` after a key";
    match error.kind() {
        ErrorKind::InvalidTrailingDoubleQuotedScalar
        | ErrorKind::InvalidTrailingSingleQuotedScalar => {
            make(codes::COMMA, "a comma or a colon is missing before this", "", between)
        }
        ErrorKind::ExpectedFlowMappingSeparator | ErrorKind::ExpectedFlowSequenceSeparator if matches!(after_blanks, Some(c) if !matches!(c, ',' | ']' | '}' | ':')) => {
            make(codes::COMMA, "a comma is missing before this", "", between)
        }
        ErrorKind::ExpectedFlowMappingSeparator
        | ErrorKind::ExpectedFlowSequenceSeparator
        | ErrorKind::FlowMappingValueAdjacentCollection
        | ErrorKind::InvalidColonPlacement
            if found.is_some() =>
        {
            let message = "a second `:` in one entry: a comma is missing before its key";
            make(codes::COMMA, message, "", between)
        }
        ErrorKind::UnexpectedEofFlowSequence
        | ErrorKind::UnexpectedEofFlowMapping
        | ErrorKind::UnexpectedEofImplicitFlowMapping
        | ErrorKind::ExpectedNodeContent
            if found == Some(',') =>
        {
            make(
                codes::COMMA,
                "a comma with no value before it",
                "",
                "remove the comma, or write the value that is missing",
            )
        }
        ErrorKind::UnclosedFlowCollection { .. }
        | ErrorKind::UnexpectedEofFlowSequence
        | ErrorKind::UnexpectedEofFlowMapping
        | ErrorKind::UnexpectedEofImplicitFlowMapping => make(
            codes::UNCLOSED,
            "this is never closed",
            "opened here",
            "close a `{` with `}`, and a `[` with `]`",
        ),
        ErrorKind::UnclosedQuotedScalar => make(
            codes::UNCLOSED,
            "this quoted string never ends",
            "starts here",
            "end the string with the same kind of quote",
        ),
        ErrorKind::MismatchedFlowCollectionEnd { open, close } => {
            let message = format!("`{open}` is closed with `{close}`");
            let closing = if *open == '{' { '}' } else { ']' };
            make(codes::UNCLOSED, &message, "", &format!("close it with `{closing}`"))
        }
        ErrorKind::MisplacedFlowCollectionEnd => make(
            codes::UNCLOSED,
            "this closes nothing",
            "",
            "remove it, or write what should open before it",
        ),
        ErrorKind::ExpectedDocumentStart | ErrorKind::InvalidDocumentEnd => make(
            codes::TRAILING,
            "text follows the end of the document",
            "not part of it",
            "remove it; a file is one mapping and nothing else",
        ),
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabInPlainScalar
        | ErrorKind::TabAtBlockScalarStart => make(
            codes::TAB,
            "a tab is used for indentation",
            "",
            "indent with spaces; YAML does not permit tabs",
        ),
        ErrorKind::RecursionLimitExceeded => make(
            codes::TOO_DEEP,
            &format!("nested deeper than {DEPTH_MAX} levels"),
            "",
            "no manifest or policy nests like this; is this the right file?",
        ),
        ErrorKind::DirectiveDisallowed => make(
            codes::DIRECTIVE,
            "directives are not supported",
            "",
            "remove the line; quote a text that starts with `%`",
        ),
        ErrorKind::MissingAnchorOrAliasName if found == Some('*') => alias(source, at..end, "*"),
        ErrorKind::MissingAnchorOrAliasName => anchor(source, at..end),
        ErrorKind::UnknownQuotedScalarEscape
        | ErrorKind::InvalidQuotedScalarHexEscape
        | ErrorKind::InvalidLowSurrogateHexEscape
        | ErrorKind::InvalidLowSurrogate
        | ErrorKind::MissingLowSurrogate
        | ErrorKind::UnpairedLowSurrogate
        | ErrorKind::InvalidUnicodeEscape => make(
            codes::ESCAPE,
            "this quoted string has an escape that does not exist",
            "the string starts here",
            "a backslash stands before n, t, \", /, another backslash, or u and four digits",
        ),
        ErrorKind::UndeclaredTagHandle => tag(source, at..end),
        ErrorKind::UnexpectedCharacter { character } => make(
            codes::SYNTAX,
            &format!("{character} cannot start a value"),
            "",
            "put the value in double quotes",
        ),
        ErrorKind::PlainScalarStartsWithDashFlowIndicator => make(
            codes::SYNTAX,
            "`-` is not a value here",
            "",
            "write the value, or put it in double quotes",
        ),
        ErrorKind::MappingValueNotAllowed => make(
            codes::SYNTAX,
            "a second `:` on this line, or a wrong indentation",
            "",
            "put text that has `: ` in it in double quotes; indent keys of one mapping alike",
        ),
        ErrorKind::SimpleKeyExpected | ErrorKind::InvalidSimpleKey => make(
            codes::SYNTAX,
            "this should be a key with a `:` after it",
            "",
            "write `key: value`, or check the indentation",
        ),
        kind => make(
            codes::SYNTAX,
            &format!("this is not YAML: {kind}"),
            "",
            "check indentation, quotes and brackets around here",
        ),
    }
}

/// The error for a tag.
pub(crate) fn tag(source: &Arc<SourceText>, span: Range<usize>) -> Diagnostic {
    Diagnostic::error(codes::TAG, "tags are not supported")
        .label(source, span, "")
        .with_help("remove the tag; put a text that starts with `!` in double quotes")
}

/// The error for an anchor.
pub(crate) fn anchor(source: &Arc<SourceText>, span: Range<usize>) -> Diagnostic {
    Diagnostic::error(codes::ANCHOR, "anchors are not supported")
        .label(source, span, "")
        .with_help("remove the anchor; put a text that starts with `&` in double quotes")
}

/// The error for the alias `written`.
pub(crate) fn alias(source: &Arc<SourceText>, span: Range<usize>, written: &str) -> Diagnostic {
    Diagnostic::error(codes::ALIAS, "`*` starts an alias, and aliases are not supported")
        .label(source, span, "")
        .with_help(format!("to mean the text, write `\"{}\"`", excerpt(written)))
}
