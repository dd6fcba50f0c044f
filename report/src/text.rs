//! Source text that positions refer to.

/// A named text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceText {
    /// Its name, as given by the user: a path, or `-` for standard input.
    pub name: String,
    /// The text.
    pub text: String,
}

/// A position for people. Line and column count from 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

impl SourceText {
    /// The position of a byte offset. An offset past the end counts as the end.
    pub fn position(&self, offset: usize) -> Position {
        let before = &self.text[..self.text.floor_char_boundary(offset)];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Position {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }

    /// The positions of several byte offsets, in the given order, found in one pass over the text.
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
}
