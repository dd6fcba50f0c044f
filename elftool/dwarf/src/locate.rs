//! Addresses → functions and lines. One pass over the units resolves any number of addresses, so
//! nothing is kept between calls.

use gimli::{AttributeValue, Dwarf, UnitOffset};

use crate::info::{DebugInfo, Entries, Unit, entry_at, name, number, ranges};
use crate::meter::Metered;
use crate::source::{Line, Source, declared};

/// Most frames of one address, inlined functions included.
const FRAMES_MAX: usize = 64;
/// Reads charged for a byte of text in a frame: the frames of all addresses are in memory together, and
/// each is copied several times before it is printed.
const TEXT_READS: u64 = 16;
/// Most ranges of one entry.
const RANGES_MAX: usize = 4096;

/// A function that an address lies in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// Its name.
    pub function: Option<String>,
    /// The line of the address in the innermost function; in the others, the line of the call.
    pub source: Option<Source>,
}

impl Frame {
    /// Bytes of text in it.
    fn text(&self) -> u64 {
        let function = self.function.as_ref().map_or(0, String::len);
        let file = self.source.as_ref().map_or(0, |source| source.file.len());
        (function + file) as u64
    }
}

/// An entry around an address: a function, or a call that was inlined.
struct Around {
    offset: UnitOffset,
    call: Option<Line>,
}

impl DebugInfo {
    /// The functions each address lies in, the innermost first: all but the last are inlined. Empty
    /// for an unknown address.
    pub fn locate(&self, addresses: &[u64]) -> Vec<Vec<Frame>> {
        let mut wanted: Vec<(u64, usize)> = addresses.iter().copied().zip(0..).collect();
        wanted.sort_unstable();
        let (wanted, places): (Vec<u64>, Vec<usize>) = wanted.into_iter().unzip();
        let mut found: Vec<Vec<Frame>> = vec![Vec::new(); wanted.len()];
        let dwarf = self.dwarf();
        let mut headers = dwarf.units();
        while let Ok(Some(header)) = headers.next() {
            if let Some(unit) = self.unit(&dwarf, header) {
                self.locate_in(&dwarf, &unit, &wanted, &mut found);
            }
        }
        let mut found: Vec<_> = places.into_iter().zip(found).collect();
        found.sort_unstable_by_key(|(place, _)| *place);
        found.into_iter().map(|(_, frames)| frames).collect()
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
        // Type units and partial units have no code, but share the line table of a unit that has.
        if !matches!(root.tag(), gimli::DW_TAG_compile_unit | gimli::DW_TAG_skeleton_unit) {
            return None;
        }
        let own = ranges(dwarf, unit, root, RANGES_MAX);
        let elsewhere = |range: &std::ops::Range<u64>| within(wanted, range).is_empty();
        if !own.is_empty() && own.iter().all(elsewhere) {
            return None;
        }
        self.meter().charge(wanted.len() as u64)?;
        let lines = self.lines(unit, wanted);
        let mut around: Vec<Vec<Around>> = Vec::new();
        around.resize_with(wanted.len(), Vec::new);
        while let Some(entry) = entries.next() {
            if !matches!(entry.tag(), gimli::DW_TAG_subprogram | gimli::DW_TAG_inlined_subroutine) {
                continue;
            }
            let of = |name| number(entry, name).unwrap_or(0);
            let call = (entry.tag() == gimli::DW_TAG_inlined_subroutine).then(|| Line {
                file: of(gimli::DW_AT_call_file),
                line: of(gimli::DW_AT_call_line),
                column: of(gimli::DW_AT_call_column),
            });
            for range in ranges(dwarf, unit, entry, RANGES_MAX) {
                let inside = within(wanted, &range);
                self.meter().charge(inside.len() as u64)?;
                for list in around.get_mut(inside).into_iter().flatten() {
                    if list.len() < FRAMES_MAX {
                        list.push(Around { offset: entry.offset(), call });
                    }
                }
            }
        }
        let source = |place: Line| Source::of(dwarf, unit, place);
        for ((frames, around), line) in found.iter_mut().zip(around).zip(lines) {
            if !frames.is_empty() {
                continue;
            }
            let mut keep = |frame: Frame| {
                self.meter().charge(frame.text() * TEXT_READS)?;
                frames.push(frame);
                Some(())
            };
            // Entries come outermost first, but the address's own line belongs to the innermost.
            let mut place = line;
            for around in around.iter().rev() {
                let entry = entry_at(unit, around.offset);
                keep(Frame {
                    function: entry.and_then(|entry| name(self, dwarf, unit, &entry)),
                    source: place.and_then(source),
                })?;
                place = around.call;
            }
            if around.is_empty()
                && let Some(source) = line.and_then(source)
            {
                keep(Frame { function: None, source: Some(source) })?;
            }
        }
        Some(())
    }

    /// The line of each address.
    fn lines(&self, unit: &Unit<'_>, wanted: &[u64]) -> Vec<Option<Line>> {
        let mut lines = vec![None; wanted.len()];
        let Some(program) = unit.line_program.clone() else {
            return lines;
        };
        let mut rows = program.rows();
        let mut last: Option<(u64, Line)> = None;
        while let Ok(Some((_, row))) = rows.next_row() {
            if let Some((address, line)) = last {
                let inside = within(wanted, &(address..row.address()));
                if self.meter().charge(inside.len() as u64).is_none() {
                    break;
                }
                for slot in lines.get_mut(inside).into_iter().flatten() {
                    *slot = slot.or(Some(line));
                }
            }
            let column = match row.column() {
                gimli::ColumnType::LeftEdge => 0,
                gimli::ColumnType::Column(column) => column.get(),
            };
            let line = Line {
                file: row.file_index(),
                line: row.line().map_or(0, std::num::NonZeroU64::get),
                column,
            };
            last = (!row.end_sequence()).then_some((row.address(), line));
        }
        lines
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

#[cfg(test)]
pub(crate) mod tests {
    use gimli::SectionId;

    use super::*;

    /// Units of DWARF 4. Each starts with a unit entry without attributes, and `entries` follow it.
    /// Abbreviation 2 is a function and 3 an inlined one, both with name, address and size.
    pub(crate) fn units(entries: &[Vec<u8>], reads: u64) -> DebugInfo {
        let named = [3, 8, 0x11, 1, 0x12, 6, 0, 0];
        let mut abbreviations = vec![1, 0x11, 1, 0, 0];
        for (code, tag) in [(2, 0x2e), (3, 0x1d)] {
            abbreviations.extend([code, tag, 1]);
            abbreviations.extend(named);
        }
        abbreviations.push(0);
        let mut info = Vec::new();
        for entries in entries {
            let length = 8 + entries.len() as u32;
            info.extend(length.to_le_bytes());
            info.extend([4, 0, 0, 0, 0, 0, 8, 1]);
            info.extend(entries);
        }
        let sections = [(SectionId::DebugAbbrev, abbreviations), (SectionId::DebugInfo, info)];
        DebugInfo::of(&sections, reads)
    }

    /// A function refers to entry 0 of a range list in the 64-bit format. gimli adds the offset it
    /// reads there to the start of the list, and the sum may wrap.
    #[test]
    fn an_offset_of_64_bits_that_wraps_is_refused() {
        let abbreviations = vec![1, 0x11, 1, 0x74, 0x17, 0, 0, 2, 0x2e, 0, 0x55, 0x23, 0, 0, 0];
        let body = |base: u64| {
            let mut body = vec![5, 0, 1, 8, 0, 0, 0, 0, 0, 0, 0, 0, 1];
            body.extend(base.to_le_bytes());
            body.extend([2, 0, 0]);
            body
        };
        let wide = |content: Vec<u8>| {
            let mut unit = vec![0xff; 4];
            unit.extend((content.len() as u64).to_le_bytes());
            unit.extend(content);
            unit
        };
        let found = |offset: u64| {
            let mut lists = vec![5, 0, 8, 0, 1, 0, 0, 0];
            lists.extend(offset.to_le_bytes());
            // Start and end, then the end of the list.
            lists.push(6);
            lists.extend(0x1000u64.to_le_bytes());
            lists.extend(0x1010u64.to_le_bytes());
            lists.push(0);
            let sections = [
                (SectionId::DebugAbbrev, abbreviations.clone()),
                (SectionId::DebugInfo, wide(body(20))),
                (SectionId::DebugRngLists, wide(lists)),
            ];
            let info = DebugInfo::of(&sections, 1 << 20);
            info.locate(&[0x1008]).concat().len()
        };
        assert_eq!(found(8), 1);
        assert_eq!(found(u64::MAX - 7), 0);
    }

    pub(crate) fn entry(code: u8, name: &str, address: u64, size: u32) -> Vec<u8> {
        let mut entry = vec![code];
        entry.extend(name.bytes().chain([0]));
        entry.extend(address.to_le_bytes());
        entry.extend(size.to_le_bytes());
        entry
    }

    #[test]
    fn results_keep_the_order_of_the_addresses() {
        let functions = [entry(2, "one", 10, 5), entry(2, "two", 20, 5)];
        let info = units(&[functions.concat()], 1 << 20);
        let found = info.locate(&[24, 9, 12, 20, 12]);
        let names = found.iter().map(|frames| {
            let frame = frames.first()?;
            frame.function.as_deref()
        });
        let names: Vec<_> = names.collect();
        assert_eq!(names, [Some("two"), None, Some("one"), Some("two"), Some("one")]);
    }

    #[test]
    fn text_of_all_frames_together_is_limited() {
        const READS: u64 = 1 << 20;
        let name = "n".repeat(1000);
        let mut nested = entry(2, &name, 0x1000, 0x1000);
        for _ in 1..FRAMES_MAX {
            nested.extend(entry(3, &name, 0x1000, 0x1000));
        }
        let addresses: Vec<u64> = (0x1000..0x1100).collect();
        // Once all addresses differ, and once all are the same.
        for addresses in [addresses, vec![0x1000; 0x100]] {
            let info = units(&[nested.clone()], READS);
            let found = info.locate(&addresses);
            let names = found.iter().flatten().filter_map(|frame| frame.function.as_ref());
            let text: usize = names.map(String::len).sum();
            assert!(text > 1000 * FRAMES_MAX / 2, "{text}");
            assert!(text as u64 <= READS / TEXT_READS, "{text}");
        }
    }

    #[test]
    fn addresses_are_charged_in_each_unit_that_may_have_them() {
        const READS: u64 = 1 << 30;
        let used = |addresses: u64| {
            let info = units(&vec![vec![0]; 100], READS);
            let addresses: Vec<u64> = (0..addresses).collect();
            info.locate(&addresses);
            READS - info.meter().left()
        };
        assert_eq!(used(1001) - used(1), 100 * 1000);
    }
}
