//! The standard layout of a source file, which `fmt` writes.
//!
//! The author's order, comments, quotes, and choice between `{ }` and lines stay; a character of a comment
//! that is invisible or reorders text is written as an escape. Indentation,
//! spacing, blank lines and the breaking of long lines are normalised. JSON stays JSON. Formatting
//! again changes nothing, and the result has the same tree as the source.

use std::fmt::Write;

use crate::node::{Document, Key, Kind, Node, Pair, Scalar, Style};

/// Longest line in characters for a `{ }` or `[ ]`.
const WIDTH: usize = 100;
/// Spaces per level.
const STEP: usize = 2;

/// The text of `document` in the standard layout.
pub fn format(document: &Document) -> String {
    let text = document.source.text.as_str();
    if document.comments.is_empty() && is_json(text, &document.root) {
        let mut out = json(&document.root, 0, true);
        out.push('\n');
        return out;
    }
    let mut writer = Writer { document, text, next_comment: 0, last: 0, out: String::new() };
    match &document.root.kind {
        Kind::Mapping(pairs) if !pairs.is_empty() => writer.mapping(pairs, 0),
        Kind::Sequence(items) if !items.is_empty() => writer.sequence(items, 0),
        _ => {
            writer.comments_before(document.root.span.start, 0, true);
            writer.out.push_str(&inline(&document.root));
            writer.end_line(document.root.span.end);
        }
    }
    writer.comments_before(text.len() + 1, 0, writer.out.is_empty());
    writer.out
}

/// `text` as a YAML scalar that reads back as exactly this text. It is quoted unless every reader
/// takes the plain form for the same text.
pub fn quote(text: &str) -> String {
    let number = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eExX_".contains(&byte));
    let word = matches!(
        text.to_ascii_lowercase().as_str(),
        "" | "~" | "null" | "true" | "false" | "yes" | "no" | "on" | "off" | "y" | "n"
    );
    if !number && !word && is_plain(text) { text.to_owned() } else { double_quoted(text) }
}

/// Whether `text` reads back as itself without quotes, in lines and in `{ }`; `false` when in doubt.
fn is_plain(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || " ./_+-=@%^~$();<>?!|*&'".contains(c);
    let colon_ok =
        |at: usize| text[at + 1..].starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/');
    text.starts_with(|c: char| c.is_ascii_alphanumeric() || "./_".contains(c))
        && text != "..."
        && !text.starts_with("... ")
        && !text.ends_with(' ')
        && text.char_indices().all(|(at, c)| inner(c) || (c == ':' && colon_ok(at)))
}

/// Appends `c`, or an escape in its place if it is invisible, breaks lines or reorders text.
fn push(out: &mut String, c: char) {
    if !solo5_report::escape::is_unsafe(c) && !matches!(c, '\u{fffe}' | '\u{ffff}') {
        out.push(c);
        return;
    }
    // Writing to a String cannot fail.
    let _ = match u32::from(c) {
        code @ 0x10000.. => write!(out, "\\U{code:08x}"),
        code => write!(out, "\\u{code:04x}"),
    };
}

fn double_quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c => push(&mut out, c),
        }
    }
    out.push('"');
    out
}

fn scalar(scalar: &Scalar) -> String {
    if scalar.is_null() {
        "null".to_owned()
    } else if scalar.style == Style::Plain && is_plain(&scalar.text) {
        scalar.text.clone()
    } else {
        double_quoted(&scalar.text)
    }
}

fn key(key: &Key) -> String {
    if is_plain(&key.text) { key.text.clone() } else { double_quoted(&key.text) }
}

/// The header and lines of a `|` scalar; `None` if the text cannot be written as one.
fn literal(scalar: &Scalar) -> Option<(&'static str, Vec<&str>)> {
    if !matches!(scalar.style, Style::Literal | Style::Folded) {
        return None;
    }
    let (header, body) = match scalar.text.strip_suffix('\n') {
        Some(body) => ("|", body),
        None => ("|-", scalar.text.as_str()),
    };
    let lines: Vec<_> = body.split('\n').collect();
    let seen = |c: char| !solo5_report::escape::is_unsafe(c);
    let starts_well = !body.starts_with([' ', '\n']) && !body.is_empty();
    let lines_well = lines.iter().all(|line| line.chars().all(seen) && !line.ends_with(' '));
    (starts_well && lines_well && !body.ends_with('\n')).then_some((header, lines))
}

/// `node` on one line.
fn inline(node: &Node) -> String {
    match &node.kind {
        Kind::Scalar(text) => scalar(text),
        Kind::Sequence(items) if items.is_empty() => "[]".to_owned(),
        Kind::Mapping(pairs) if pairs.is_empty() => "{}".to_owned(),
        Kind::Sequence(items) => {
            let items: Vec<_> = items.iter().map(inline).collect();
            let items = items.join(", ");
            let loose = items.starts_with(['{', '[']);
            if loose { format!("[ {items} ]") } else { format!("[{items}]") }
        }
        Kind::Mapping(pairs) => {
            let pairs: Vec<_> = pairs
                .iter()
                .map(|pair| format!("{}: {}", key(&pair.key), inline(&pair.value)))
                .collect();
            format!("{{ {} }}", pairs.join(", "))
        }
    }
}

struct Writer<'d> {
    document: &'d Document,
    text: &'d str,
    next_comment: usize,
    /// End, in the source, of the item written last.
    last: usize,
    out: String,
}

impl Writer<'_> {
    fn column(&self) -> usize {
        self.out.chars().rev().take_while(|c| *c != '\n').count()
    }

    fn indent(&mut self, indent: usize) {
        self.out.extend(std::iter::repeat_n(' ', indent));
    }

    /// Starts the line of the item at `start` in the source. Keeps one blank line if the source has
    /// any before it.
    fn start_line(&mut self, start: usize, indent: usize, first: bool) {
        let between = self.text.get(self.last..start).unwrap_or_default();
        if !first && has_blank_line(between) {
            self.out.push('\n');
        }
        self.indent(indent);
    }

    /// Ends the line of an item that ends at `end` in the source. A comment on the same line of the
    /// source stays there.
    fn end_line(&mut self, end: usize) {
        // The span of a block scalar includes its last line end.
        let end = self.text.get(..end).map_or(end, |before| before.trim_end().len());
        self.last = self.last.max(end);
        if let Some(comment) = self.document.comments.get(self.next_comment) {
            let between = self.text.get(end..comment.span.start);
            if between.is_some_and(|between| !between.contains(['\n', '\r'])) {
                self.out.push(' ');
                self.comment();
            }
        }
        self.out.push('\n');
    }

    fn comment(&mut self) {
        if let Some(comment) = self.document.comments.get(self.next_comment) {
            let text = self.text.get(comment.span.clone()).unwrap_or_default();
            for c in text.trim_end().chars() {
                match c {
                    '\t' => self.out.push(c),
                    // In a comment it is text for people, who would not see it.
                    c => push(&mut self.out, c),
                }
            }
            self.last = comment.span.end;
            self.next_comment += 1;
        }
    }

    /// Writes the comments before `offset` in the source. Returns `first`, or `false` if it wrote a
    /// comment.
    fn comments_before(&mut self, offset: usize, indent: usize, mut first: bool) -> bool {
        while let Some(comment) = self.document.comments.get(self.next_comment)
            && comment.span.start < offset
        {
            self.start_line(comment.span.start, indent, first);
            self.comment();
            self.out.push('\n');
            first = false;
        }
        first
    }

    /// Writes the comments at the end of `node`: those in its brackets, or those below it that are
    /// indented at least as far as it is and further than its `key`.
    fn comments_at_end(&mut self, node: &Node, indent: usize, key: Option<&Key>) {
        self.comments_before(node.span.end, indent, false);
        if self.is_flow(node) {
            return;
        }
        let beside = key.map(|key| self.source_column(key.span.start) + 1);
        let column = self.source_column(node.span.start).max(beside.unwrap_or(0));
        while let Some(comment) = self.document.comments.get(self.next_comment)
            && let start = comment.span.start
            && let between = self.text.get(self.last..start)
            && between.is_some_and(|between| between.trim().is_empty())
            && self.source_column(start) >= column
        {
            self.comments_before(start + 1, indent, false);
        }
    }

    /// The column of `offset` in the source.
    fn source_column(&self, offset: usize) -> usize {
        let before = self.text.get(..offset).unwrap_or_default();
        let line = before.rsplit(['\n', '\r']).next().unwrap_or_default();
        line.chars().count()
    }

    fn has_comment_in(&self, node: &Node) -> bool {
        self.document
            .comments
            .get(self.next_comment..)
            .unwrap_or_default()
            .iter()
            .take_while(|comment| comment.span.start < node.span.end)
            .any(|comment| comment.span.start > node.span.start)
    }

    /// Whether the author wrote `node` in brackets.
    fn is_flow(&self, node: &Node) -> bool {
        self.text.get(node.span.start..).is_some_and(|text| text.starts_with(['{', '[']))
    }

    /// Whether the author wrote `node` in brackets, without comments, and it fits on a line from
    /// `column` on.
    fn stays_inline(&self, node: &Node, column: usize) -> bool {
        self.is_flow(node)
            && !self.has_comment_in(node)
            && column + inline(node).chars().count() <= WIDTH
    }

    fn mapping(&mut self, pairs: &[Pair], indent: usize) {
        for (index, pair) in pairs.iter().enumerate() {
            let first = self.comments_before(pair.key.span.start, indent, index == 0);
            self.start_line(pair.key.span.start, indent, first);
            self.pair(pair, indent);
        }
    }

    /// Writes a pair at the current column.
    fn pair(&mut self, pair: &Pair, indent: usize) {
        self.out.push_str(&key(&pair.key));
        self.out.push(':');
        self.last = pair.key.span.end;
        self.nested(&pair.value, indent, Some(&pair.key));
    }

    fn sequence(&mut self, items: &[Node], indent: usize) {
        for (index, item) in items.iter().enumerate() {
            let start = item.span.start;
            // A comment between a dash and its item moves above the dash.
            let first = self.comments_before(first_leaf(item), indent, index == 0);
            self.start_line(start, indent, first);
            self.out.push('-');
            match &item.kind {
                Kind::Mapping(pairs)
                    if !pairs.is_empty() && !self.stays_inline(item, indent + STEP) =>
                {
                    self.out.push(' ');
                    let inner = indent + STEP;
                    for (index, pair) in pairs.iter().enumerate() {
                        if index > 0 {
                            self.comments_before(pair.key.span.start, inner, false);
                            self.start_line(pair.key.span.start, inner, false);
                        }
                        self.pair(pair, inner);
                    }
                    self.comments_at_end(item, inner, None);
                }
                _ => {
                    self.last = self.last.max(start);
                    self.nested(item, indent, None);
                }
            }
        }
    }

    /// Writes a value after its key, or after a dash.
    fn nested(&mut self, node: &Node, indent: usize, key: Option<&Key>) {
        let inner = indent + STEP;
        let head = key.map_or(node.span.start, |key| key.span.end);
        let end_head = |writer: &mut Self| match key {
            Some(_) => writer.end_line(head),
            None => writer.out.push('\n'),
        };
        match &node.kind {
            Kind::Mapping(pairs)
                if !pairs.is_empty() && !self.stays_inline(node, self.column() + 1) =>
            {
                end_head(self);
                self.mapping(pairs, inner);
                self.comments_at_end(node, inner, key);
            }
            Kind::Sequence(items)
                if !items.is_empty() && !self.stays_inline(node, self.column() + 1) =>
            {
                end_head(self);
                self.sequence(items, inner);
                self.comments_at_end(node, inner, key);
            }
            Kind::Scalar(text) if literal(text).is_some() => self.literal(text, node, inner, head),
            _ => {
                self.out.push(' ');
                self.out.push_str(&inline(node));
                self.end_line(node.span.end.max(head));
            }
        }
    }

    fn literal(&mut self, text: &Scalar, node: &Node, inner: usize, head: usize) {
        let Some((header, lines)) = literal(text) else {
            return;
        };
        self.out.push(' ');
        self.out.push_str(header);
        self.end_line(head);
        for line in lines {
            if !line.is_empty() {
                self.indent(inner);
                self.out.push_str(line);
            }
            self.out.push('\n');
        }
        let end =
            self.text.get(..node.span.end).map_or(node.span.end, |text| text.trim_end().len());
        self.last = self.last.max(end);
    }
}

/// Where the first key or scalar in `node` starts.
fn first_leaf(node: &Node) -> usize {
    match &node.kind {
        Kind::Sequence(items) => items.first().map_or(node.span.start, first_leaf),
        Kind::Mapping(pairs) => pairs.first().map_or(node.span.start, |pair| pair.key.span.start),
        Kind::Scalar(_) => node.span.start,
    }
}

/// Whether `between` has an empty line that is neither its first nor its last.
fn has_blank_line(between: &str) -> bool {
    let mut lines = between.split('\n').skip(1).peekable();
    while let Some(line) = lines.next() {
        if lines.peek().is_some() && line.trim().is_empty() {
            return true;
        }
    }
    false
}

/// Whether the source is JSON: every key and text is in double quotes, every collection in brackets.
fn is_json(text: &str, node: &Node) -> bool {
    let starts = |at: usize, with: char| text.get(at..).is_some_and(|text| text.starts_with(with));
    match &node.kind {
        Kind::Scalar(scalar) => match scalar.style {
            Style::DoubleQuoted => true,
            Style::Plain => {
                let text = scalar.text.as_str();
                let digits = text.strip_prefix('-').unwrap_or(text);
                let integer = !digits.is_empty()
                    && digits.bytes().all(|byte| byte.is_ascii_digit())
                    && (digits.len() == 1 || !digits.starts_with('0'));
                integer || matches!(text, "true" | "false" | "null")
            }
            _ => false,
        },
        Kind::Sequence(items) => {
            starts(node.span.start, '[') && items.iter().all(|item| is_json(text, item))
        }
        Kind::Mapping(pairs) => {
            starts(node.span.start, '{')
                && pairs
                    .iter()
                    .all(|pair| starts(pair.key.span.start, '"') && is_json(text, &pair.value))
        }
    }
}

/// `node` as JSON. It is on one line if `open` is false, it holds only scalars, and it fits.
fn json(node: &Node, indent: usize, open: bool) -> String {
    let (start, end, parts): (_, _, Vec<_>) = match &node.kind {
        Kind::Scalar(text) if text.style == Style::DoubleQuoted => {
            return double_quoted(&text.text);
        }
        Kind::Scalar(text) => return text.text.clone(),
        Kind::Sequence(items) if items.is_empty() => return "[]".to_owned(),
        Kind::Mapping(pairs) if pairs.is_empty() => return "{}".to_owned(),
        Kind::Sequence(items) => {
            ('[', ']', items.iter().map(|item| (String::new(), item)).collect())
        }
        Kind::Mapping(pairs) => {
            let name = |pair: &Pair| format!("{}: ", double_quoted(&pair.key.text));
            ('{', '}', pairs.iter().map(|pair| (name(pair), &pair.value)).collect())
        }
    };
    let only_scalars = parts.iter().all(|(_, part)| matches!(part.kind, Kind::Scalar(_)));
    if !open && only_scalars {
        let parts: Vec<_> =
            parts.iter().map(|(name, part)| format!("{name}{}", json(part, 0, false))).collect();
        let line = format!("{start} {} {end}", parts.join(", "));
        if indent + line.chars().count() <= WIDTH {
            return line;
        }
    }
    let inner = indent + STEP;
    let parts: Vec<_> = parts
        .iter()
        .map(|(name, part)| format!("{:inner$}{name}{}", "", json(part, inner, false)))
        .collect();
    format!("{start}\n{}\n{:indent$}{end}", parts.join(",\n"), "")
}
