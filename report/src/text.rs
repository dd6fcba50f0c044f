//! Source text that positions refer to, and making hostile text printable.

use std::borrow::Cow;
use std::fmt::Write;

/// A named text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceText {
    /// Its name as given: a path, or `-` for standard input.
    pub name: String,
    /// The text.
    pub text: String,
}

/// A position for people: both count from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

impl SourceText {
    /// The position of a byte offset; one past the end is the end.
    pub fn position(&self, offset: usize) -> Position {
        let before = &self.text[..self.text.floor_char_boundary(offset)];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Position {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }

    /// The positions of several byte offsets, in their order, found in one walk through the text.
    pub fn positions(&self, offsets: impl IntoIterator<Item = usize>) -> Vec<Position> {
        let offsets = offsets.into_iter().enumerate();
        let mut ascending: Vec<(usize, usize)> = offsets.map(|(index, at)| (at, index)).collect();
        ascending.sort_unstable();
        let mut at = Position { line: 1, column: 1 };
        let mut found = vec![at; ascending.len()];
        let mut walked = 0;
        for (offset, index) in ascending {
            let end = self.text.floor_char_boundary(offset);
            for c in self.text[walked..end].chars() {
                at = match c {
                    '\n' => Position { line: at.line + 1, column: 1 },
                    _ => Position { column: at.column + 1, ..at },
                };
            }
            walked = end;
            found[index] = at;
        }
        found
    }
}

/// `text` with control characters, which could drive a terminal, and characters that reorder text
/// replaced by their escapes. Line ends stay.
pub fn printable(text: &str) -> Cow<'_, str> {
    fn is_unsafe(c: char) -> bool {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    }
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_unsafe(c) {
            // Writing to a String cannot fail.
            let _ = write!(out, "{}", c.escape_default());
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// As [`printable`], with line ends escaped too: a name can have one, and what follows would look like
/// a line of ours.
pub fn one_line(text: &str) -> String {
    printable(text).replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_from_one() {
        let source = SourceText { name: "x".into(), text: "aé\nb".into() };
        let at = |offset| source.position(offset);
        assert_eq!(at(0), Position { line: 1, column: 1 });
        assert_eq!(at(3), Position { line: 1, column: 3 });
        assert_eq!(at(2), Position { line: 1, column: 2 }, "inside a character");
        assert_eq!(at(4), Position { line: 2, column: 1 });
        assert_eq!(at(99), Position { line: 2, column: 2 });
        let offsets = [4, 99, 0, 3, 2, 3];
        assert_eq!(source.positions(offsets), offsets.map(at));
    }

    #[test]
    fn control_characters_become_escapes() {
        assert_eq!(printable("plain\n"), "plain\n");
        assert_eq!(one_line("plain\n\x1b"), "plain\\n\\u{1b}");
        assert_eq!(printable("a\x1b[31mb\u{202e}"), "a\\u{1b}[31mb\\u{202e}");
    }
}
