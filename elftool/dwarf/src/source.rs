//! Lines of source, from the tables of a unit.

use std::fmt;

use gimli::Dwarf;

use crate::info::{DebugInfo, Entry, Unit, Value, follow, number, text};
use crate::meter::Metered;

/// A line of a source file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The file's path as passed to the compiler, without the compiler's working folder.
    pub file: String,
    /// Line, from 1.
    pub line: u64,
    /// Column, from 1; 0 if unknown.
    pub column: u64,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// A line as a unit records it: the file is an index into the unit's table.
#[derive(Clone, Copy)]
pub(crate) struct Line {
    pub(crate) file: u64,
    pub(crate) line: u64,
    pub(crate) column: u64,
}

impl Source {
    pub(crate) fn of<'a>(
        dwarf: &Dwarf<Metered<'a>>,
        unit: &Unit<'a>,
        Line { file, line, column }: Line,
    ) -> Option<Source> {
        let header = unit.line_program.as_ref()?.header();
        let file = header.file(file)?;
        let text = |value: Value<'a>| text(dwarf, unit, value);
        let mut path = text(file.path_name())?;
        // Directory 0 is the folder the compiler worked in.
        if !path.starts_with('/') && file.directory_index() != 0 {
            let directory = file.directory(header).and_then(text);
            path = format!("{}/{path}", directory.unwrap_or_default());
        }
        (line > 0).then_some(Source { file: path, line, column })
    }
}

/// Where an entry was declared.
pub(crate) fn declared<'a>(
    info: &'a DebugInfo,
    dwarf: &Dwarf<Metered<'a>>,
    unit: &Unit<'a>,
    entry: &Entry<'a>,
) -> Option<Source> {
    let own = |unit: &Unit<'a>, entry: &Entry<'a>| {
        let line = Line {
            file: number(entry, gimli::DW_AT_decl_file)?,
            line: number(entry, gimli::DW_AT_decl_line)?,
            column: 0,
        };
        Source::of(dwarf, unit, line)
    };
    follow(info, dwarf, unit, entry, own)
}
