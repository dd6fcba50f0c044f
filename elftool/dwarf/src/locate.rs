//! Addresses → functions and lines. All addresses at once: one pass over the units answers for any
//! number of them, and nothing need be kept for the next question.

use std::fmt;

use gimli::{AttributeValue, Dwarf, UnitOffset};

use crate::info::{
    DebugInfo, Entries, Unit, Value, declared, entry_at, name, number, ranges, text,
};
use crate::meter::Metered;

/// Most functions inlined into each other.
const FRAMES_MAX: usize = 64;
/// Most ranges of one entry.
const RANGES_MAX: usize = 4096;

/// A line of a source file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The file's path as the compiler was given it, without the folder it worked in.
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

impl Source {
    /// File number `file` of a unit, and a line in it.
    pub(crate) fn of<'a>(
        dwarf: &Dwarf<Metered<'a>>,
        unit: &Unit<'a>,
        file: u64,
        line: u64,
        column: u64,
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
        (line > 0).then_some(Source {
            file: path,
            line,
            column,
        })
    }
}

/// A function that an address lies in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// Its name.
    pub function: Option<String>,
    /// The line: of the address in the innermost function, of the call in those around it.
    pub source: Option<Source>,
}

/// An entry around an address: a function, or a call that was inlined.
struct Around {
    offset: UnitOffset,
    call: Option<(u64, u64, u64)>,
}

impl DebugInfo {
    /// The functions each address lies in, the innermost first: all but the last are inlined. Empty
    /// for an address that nothing is known of.
    pub fn locate(&self, addresses: &[u64]) -> Vec<Vec<Frame>> {
        let mut wanted = addresses.to_vec();
        wanted.sort_unstable();
        wanted.dedup();
        let mut found: Vec<Vec<Frame>> = vec![Vec::new(); wanted.len()];
        let dwarf = self.dwarf();
        let mut headers = dwarf.units();
        while let Ok(Some(header)) = headers.next() {
            if let Some(unit) = self.unit(&dwarf, header) {
                self.locate_in(&dwarf, &unit, &wanted, &mut found);
            }
        }
        let of = |address: &u64| {
            let index = wanted.binary_search(address).ok()?;
            found.get(index).cloned()
        };
        addresses
            .iter()
            .map(|address| of(address).unwrap_or_default())
            .collect()
    }

    fn locate_in<'a>(
        &'a self,
        dwarf: &Dwarf<Metered<'a>>,
        unit: &Unit<'a>,
        wanted: &[u64],
        found: &mut [Vec<Frame>],
    ) -> Option<()> {
        let mut entries = Entries::new(unit, None)?;
        let root = entries.next()?;
        let own = ranges(dwarf, unit, root, RANGES_MAX);
        let elsewhere = |range: &std::ops::Range<u64>| within(wanted, range).is_empty();
        if !own.is_empty() && own.iter().all(elsewhere) {
            return None;
        }
        let lines = self.lines(dwarf, unit, wanted);
        let mut around: Vec<Vec<Around>> = Vec::new();
        around.resize_with(wanted.len(), Vec::new);
        while let Some(entry) = entries.next() {
            if !matches!(
                entry.tag(),
                gimli::DW_TAG_subprogram | gimli::DW_TAG_inlined_subroutine
            ) {
                continue;
            }
            for range in ranges(dwarf, unit, entry, RANGES_MAX) {
                let inside = within(wanted, &range);
                self.meter().charge(inside.len() as u64)?;
                let of = |name| number(entry, name).unwrap_or(0);
                for list in around.get_mut(inside).into_iter().flatten() {
                    if list.len() < FRAMES_MAX {
                        list.push(Around {
                            offset: entry.offset(),
                            call: (entry.tag() == gimli::DW_TAG_inlined_subroutine).then(|| {
                                (
                                    of(gimli::DW_AT_call_file),
                                    of(gimli::DW_AT_call_line),
                                    of(gimli::DW_AT_call_column),
                                )
                            }),
                        });
                    }
                }
            }
        }
        for ((frames, around), line) in found.iter_mut().zip(around).zip(lines) {
            if !frames.is_empty() {
                continue;
            }
            // Entries come outermost first; a line belongs to the innermost.
            let mut source = line;
            for around in around.iter().rev() {
                let entry = entry_at(unit, around.offset);
                let function = entry.and_then(|entry| name(self, dwarf, unit, &entry));
                frames.push(Frame {
                    function,
                    source: source.take(),
                });
                if let Some((file, line, column)) = around.call {
                    source = Source::of(dwarf, unit, file, line, column);
                }
            }
            if frames.is_empty() && source.is_some() {
                frames.push(Frame {
                    function: None,
                    source,
                });
            }
        }
        Some(())
    }

    /// The line of each address.
    fn lines<'a>(
        &'a self,
        dwarf: &Dwarf<Metered<'a>>,
        unit: &Unit<'a>,
        wanted: &[u64],
    ) -> Vec<Option<Source>> {
        let mut places: Vec<Option<(u64, u64, u64)>> = vec![None; wanted.len()];
        let Some(program) = unit.line_program.clone() else {
            return vec![None; wanted.len()];
        };
        let mut rows = program.rows();
        let mut last: Option<(u64, (u64, u64, u64))> = None;
        while let Ok(Some((_, row))) = rows.next_row() {
            if let Some((address, place)) = last {
                let inside = within(wanted, &(address..row.address()));
                if self.meter().charge(inside.len() as u64).is_none() {
                    break;
                }
                for slot in places.get_mut(inside).into_iter().flatten() {
                    *slot = slot.or(Some(place));
                }
            }
            let line = row.line().map_or(0, std::num::NonZeroU64::get);
            let column = match row.column() {
                gimli::ColumnType::LeftEdge => 0,
                gimli::ColumnType::Column(column) => column.get(),
            };
            let place = (row.file_index(), line, column);
            last = (!row.end_sequence()).then_some((row.address(), place));
        }
        let source = |place: (u64, u64, u64)| Source::of(dwarf, unit, place.0, place.1, place.2);
        places
            .into_iter()
            .map(|place| place.and_then(source))
            .collect()
    }

    /// Where the variable at `address` is declared.
    pub fn variable(&self, address: u64) -> Option<Source> {
        let dwarf = self.dwarf();
        let mut headers = dwarf.units();
        while let Ok(Some(header)) = headers.next() {
            let Some(unit) = self.unit(&dwarf, header) else {
                continue;
            };
            let Some(mut entries) = Entries::new(&unit, None) else {
                continue;
            };
            while let Some(entry) = entries.next() {
                if entry.tag() != gimli::DW_TAG_variable {
                    continue;
                }
                let location = entry.attr_value(gimli::DW_AT_location);
                let Some(AttributeValue::Exprloc(expression)) = location else {
                    continue;
                };
                let mut operations = expression.operations(unit.encoding());
                let at = match operations.next() {
                    Ok(Some(gimli::Operation::Address { address })) => Some(address),
                    Ok(Some(gimli::Operation::AddressIndex { index })) => {
                        dwarf.address(&unit, index).ok()
                    }
                    _ => None,
                };
                if at == Some(address) {
                    return declared(self, &dwarf, &unit, entry);
                }
            }
        }
        None
    }
}

/// The indices of the addresses in a range.
fn within(wanted: &[u64], range: &std::ops::Range<u64>) -> std::ops::Range<usize> {
    let start = wanted.partition_point(|address| *address < range.start);
    let end = wanted.partition_point(|address| *address < range.end);
    start..end.max(start)
}
