//! Phase 3: events → a tree in which every node has its position.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use solo5_report::{Diagnostic, SourceText};

use crate::events::{self, Collection, Event};
use crate::node::{Comment, Document, Key, Kind, Node, Pair, Scalar, Style};
use crate::reader::Reader;
use crate::words::excerpt;
use crate::{DEPTH_MAX, KEY_MAX, NODES_MAX, codes};

/// Builds the tree. Errors go to `reader`; `None` if the tree would not be complete.
pub(crate) fn build(source: &Arc<SourceText>, reader: &mut Reader) -> Option<Document> {
    let mut builder = Builder {
        source,
        reader,
        frames: Vec::new(),
        root: None,
        comments: Vec::new(),
        documents: 0,
        nodes: 0,
        whole: true,
    };
    for event in events::events(source) {
        let step = match event {
            Ok((event, span)) => builder.event(event, span),
            Err(diagnostic) => Err(diagnostic),
        };
        if let Err(diagnostic) = step {
            builder.reader.report(diagnostic);
            return None;
        }
        if builder.documents > 1 {
            break;
        }
    }
    let Builder { root, comments, whole, .. } = builder;
    match root {
        Some(Node { kind: Kind::Scalar(scalar), .. }) if scalar.is_null() => {}
        Some(root) if whole => {
            return Some(Document { source: Arc::clone(source), root, comments });
        }
        Some(_) => return None,
        None => {}
    }
    let message = format!("{} has no content", source.name);
    reader.report(
        Diagnostic::error(codes::EMPTY, message)
            .label(source, 0..0, "")
            .with_help("start with a line `type: ...`; the documentation has examples"),
    );
    None
}

struct Builder<'b> {
    source: &'b Arc<SourceText>,
    reader: &'b mut Reader,
    frames: Vec<Frame>,
    root: Option<Node>,
    comments: Vec<Comment>,
    documents: usize,
    nodes: usize,
    /// Whether the tree holds everything in the source.
    whole: bool,
}

/// A list or mapping under construction.
struct Frame {
    start: usize,
    /// End of its last finished part.
    end: usize,
    flow: bool,
    body: Body,
}

enum Body {
    Sequence(Vec<Node>),
    Mapping { pairs: Vec<Pair>, keys: HashMap<String, Range<usize>>, pending: Option<Pending> },
}

/// A key that waits for its value.
struct Pending {
    key: Key,
    /// Whether the pair goes into the tree. If not, an error about it was reported.
    keep: bool,
}

impl Builder<'_> {
    fn event(&mut self, event: Event, span: Range<usize>) -> Result<(), Diagnostic> {
        match event {
            Event::Document => {
                self.documents += 1;
                if self.documents > 1 {
                    self.reader.report(
                        Diagnostic::error(codes::DOCUMENTS, "a second document begins here")
                            .label(self.source, span, "")
                            .with_help("a file is one document; put the other in its own file"),
                    );
                }
            }
            Event::Comment => self.comments.push(Comment { span }),
            Event::Anchor => self.reader.report(events::anchor(self.source, span)),
            Event::Alias => {
                let written = self.source.text.get(span.clone()).unwrap_or("*");
                let refusal = events::alias(self.source, span.clone(), written);
                self.reader.report(refusal);
                self.whole = false;
                let scalar = Scalar { text: String::new(), style: Style::DoubleQuoted };
                self.node(Node { span, kind: Kind::Scalar(scalar) })?;
            }
            Event::Scalar { text, style, tag } => {
                self.tag(tag);
                if text.contains('\0') {
                    self.reader.report(
                        Diagnostic::error(codes::CHARACTER, "a text contains the character U+0000")
                            .label(self.source, span.clone(), "")
                            .with_help("remove it; other readers take it for the end of the text"),
                    );
                }
                if style == Style::Plain {
                    self.comment_inside(&span);
                }
                if style == Style::Plain && self.frames.last().is_some_and(|frame| frame.flow) {
                    self.missing_comma(&span);
                    self.question_mark(&text, &span);
                }
                self.node(Node { span, kind: Kind::Scalar(Scalar { text, style }) })?;
            }
            Event::Start { collection, flow, tag } => {
                self.tag(tag);
                if self.frames.len() >= DEPTH_MAX {
                    let message = format!("nested deeper than {DEPTH_MAX} levels");
                    return Err(Diagnostic::error(codes::TOO_DEEP, message)
                        .label(self.source, span, "")
                        .with_help(
                            "no manifest or policy nests like this; is this the right file?",
                        ));
                }
                let body = match collection {
                    Collection::Sequence => Body::Sequence(Vec::new()),
                    Collection::Mapping => {
                        Body::Mapping { pairs: Vec::new(), keys: HashMap::new(), pending: None }
                    }
                };
                let start = if collection == Collection::Sequence && !flow {
                    self.dash(span.start)
                } else {
                    span.start
                };
                self.frames.push(Frame { start, end: span.end, flow, body });
            }
            Event::End => {
                if let Some(frame) = self.frames.pop() {
                    let node = self.finish(frame, span);
                    self.node(node)?;
                }
            }
        }
        Ok(())
    }

    fn tag(&mut self, tag: Option<Range<usize>>) {
        if let Some(span) = tag {
            self.reader.report(events::tag(self.source, span));
        }
    }

    /// Reports a comment inside a plain text. A comment ends the text in other parsers; this parser
    /// continues the text after a comment that is indented with a tab.
    fn comment_inside(&mut self, span: &Range<usize>) {
        let text = self.source.text.get(span.clone()).unwrap_or_default();
        let blank = |index: usize| text[..index].ends_with([' ', '\t', '\n', '\r']);
        let Some((index, _)) = text.match_indices('#').find(|(index, _)| blank(*index)) else {
            return;
        };
        let at = span.start + index;
        self.reader.report(
            Diagnostic::error(codes::SYNTAX, "a comment in the middle of a text")
                .label(self.source, at..at + 1, "")
                .with_help("put the comment after the text, or the text in double quotes"),
        );
    }

    /// Reports a missing comma. YAML reads `1 "b": 2` in `{"a": 1 "b": 2}` as one plain text, which
    /// is never intended.
    fn missing_comma(&mut self, span: &Range<usize>) {
        let text = self.source.text.get(span.clone()).unwrap_or_default();
        let Some(quote) = text.find('"').filter(|_| text.contains("\":")) else {
            return;
        };
        let at = span.start + quote;
        self.reader.report(
            Diagnostic::error(codes::COMMA, "a comma is missing before this")
                .label(self.source, at..at + 1, "")
                .with_help("put a `,` between two entries of a `{ }` or `[ ]`"),
        );
        self.whole = false;
    }

    /// Reports a text in brackets that starts with `?`. YAML 1.1 and 1.2 disagree whether it is a key
    /// or a text.
    fn question_mark(&mut self, text: &str, span: &Range<usize>) {
        if text.starts_with('?') {
            self.reader.report(
                Diagnostic::error(codes::SYNTAX, "`?` cannot start a value")
                    .label(self.source, span.clone(), "")
                    .with_help("put the value in double quotes"),
            );
        }
    }

    /// Closes a collection whose end event has `span`.
    fn finish(&mut self, frame: Frame, span: Range<usize>) -> Node {
        let Frame { start, end, flow, body } = frame;
        let closed = flow && !span.is_empty();
        if closed && let Some(at) = self.find_between(b',', end, span.start) {
            self.reader.report(
                Diagnostic::error(codes::COMMA, "a comma after the last entry")
                    .label(self.source, at..at + 1, "")
                    .with_help("remove the comma, or write the entry that is missing"),
            );
        }
        let kind = match body {
            Body::Sequence(items) => Kind::Sequence(items),
            Body::Mapping { pairs, .. } => Kind::Mapping(pairs),
        };
        let end = if closed { span.end } else { end };
        Node { span: start..end.max(start), kind }
    }

    /// Where a block list really starts. If the list is not indented more than its key, the parser's
    /// `start` is not the first dash but what follows it.
    fn dash(&self, start: usize) -> usize {
        let key = match self.frames.last() {
            Some(Frame { body: Body::Mapping { pending: Some(pending), .. }, .. }) => {
                pending.key.span.end
            }
            _ => return start,
        };
        self.find_between(b'-', key, start).unwrap_or(start)
    }

    /// The first `wanted` outside comments in a range that has only blanks, punctuation and
    /// comments.
    fn find_between(&self, wanted: u8, start: usize, end: usize) -> Option<usize> {
        let text = self.source.text.get(start..end)?;
        let mut in_comment = false;
        for (at, byte) in text.bytes().enumerate() {
            match byte {
                b'\n' | b'\r' => in_comment = false,
                b'#' => in_comment = true,
                _ if byte == wanted && !in_comment => return Some(start + at),
                _ => {}
            }
        }
        None
    }

    /// Puts a finished node where it belongs.
    fn node(&mut self, mut node: Node) -> Result<(), Diagnostic> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            let message = format!("more than {NODES_MAX} values");
            return Err(Diagnostic::error(codes::TOO_MANY_NODES, message)
                .label(self.source, node.head(), "")
                .with_help("no manifest or policy is this long; is this the right file?"));
        }
        let Some(frame) = self.frames.last_mut() else {
            self.root.get_or_insert(node);
            return Ok(());
        };
        match &mut frame.body {
            Body::Sequence(items) => {
                frame.end = frame.end.max(node.span.end);
                items.push(node);
            }
            Body::Mapping { pairs, pending, .. } => match pending.take() {
                Some(Pending { key, keep }) => {
                    if node.span.is_empty() && matches!(node.kind, Kind::Scalar(_)) {
                        // The value is left out: point after the key, not at the next node.
                        node.span = key.span.end..key.span.end;
                    }
                    frame.end = frame.end.max(node.span.end);
                    if keep {
                        pairs.push(Pair { key, value: node });
                    }
                }
                None => {
                    frame.end = frame.end.max(node.span.end);
                    self.key(node);
                }
            },
        }
        Ok(())
    }

    /// Takes `node` as the next key of the innermost mapping.
    fn key(&mut self, node: Node) {
        let span = node.head();
        let (text, refusal) = match node.kind {
            Kind::Scalar(scalar) if scalar.style == Style::Plain && scalar.text == "<<" => {
                let refusal = Diagnostic::error(codes::MERGE_KEY, "merge keys are not supported")
                    .with_help("write the keys out");
                (scalar.text, Some(refusal))
            }
            Kind::Scalar(scalar) if scalar.text.chars().count() > KEY_MAX => {
                let message = format!("a key of more than {KEY_MAX} characters");
                let refusal = Diagnostic::error(codes::KEY, message)
                    .with_help("no known key is that long; is a quote or a colon missing?");
                (String::new(), Some(refusal))
            }
            Kind::Scalar(scalar) if !scalar.text.is_empty() && !scalar.text.contains('\n') => {
                (scalar.text, None)
            }
            _ => {
                let refusal = Diagnostic::error(codes::KEY, "a key must be one line of text")
                    .with_help("write `key: value`");
                (String::new(), Some(refusal))
            }
        };
        let Some(Frame { body: Body::Mapping { keys, pending, .. }, .. }) = self.frames.last_mut()
        else {
            return;
        };
        let mut keep = refusal.is_none();
        if let Some(refusal) = refusal {
            self.reader.report(refusal.label(self.source, span.clone(), ""));
        } else if let Some(first) = keys.get(&text) {
            let message = format!("the key `{}` occurs twice", excerpt(&text));
            self.reader.report(
                Diagnostic::error(codes::DUPLICATE_KEY, message)
                    .label(self.source, span.clone(), "again here")
                    .label(self.source, first.clone(), "first here")
                    .with_help("remove one of the two"),
            );
            keep = false;
        } else {
            keys.insert(text.clone(), span.clone());
        }
        *pending = Some(Pending { key: Key { text, span }, keep });
    }
}
