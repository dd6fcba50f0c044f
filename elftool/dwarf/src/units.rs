//! The units an image was compiled from, with their compilers and functions.

use std::ops::Range;

use gimli::{AttributeValue, Dwarf};

use crate::info::{
    self, DebugInfo, Entries, Entry, HOPS_MAX, entry_at, follow, name, ranges, text,
};
use crate::meter::Metered;
use crate::source::{Source, declared};

/// Most functions kept of one unit.
const FUNCTIONS_MAX: usize = 16 * 1024;

/// A unit: what a compiler made of one source file.
#[derive(Clone, Debug, Default)]
pub struct Unit {
    /// The source file.
    pub name: String,
    /// The compiler, with its options if it recorded them.
    pub producer: String,
    /// Whether the language is C or C++, which do not check array accesses.
    pub unchecked: bool,
    /// The functions with code of their own.
    pub functions: Vec<Function>,
}

/// A function.
#[derive(Clone, Debug)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// Its addresses.
    pub range: Range<u64>,
    /// Where it is declared.
    pub source: Option<Source>,
    /// Whether a variable on its stack is an array.
    pub has_array: bool,
}

impl DebugInfo {
    /// Visits the units with code, in the order they were linked.
    pub fn visit_units(&self, mut visit: impl FnMut(Unit)) {
        let dwarf = self.dwarf();
        let mut headers = dwarf.units();
        while let Ok(Some(header)) = headers.next() {
            let unit = self.unit(&dwarf, header);
            if let Some(unit) = unit.and_then(|unit| self.facts(&dwarf, &unit)) {
                visit(unit);
            }
        }
    }

    fn facts<'a>(&'a self, dwarf: &Dwarf<Metered<'a>>, unit: &info::Unit<'a>) -> Option<Unit> {
        let mut entries = Entries::new(unit, None)?;
        let root = entries.next()?;
        let own = |name| text(dwarf, unit, root.attr_value(name)?);
        let language = match root.attr_value(gimli::DW_AT_language) {
            Some(AttributeValue::Language(language)) => Some(language),
            _ => None,
        };
        let mut facts = Unit {
            name: own(gimli::DW_AT_name).unwrap_or_default(),
            producer: producer(dwarf, unit, root).unwrap_or_default(),
            unchecked: language.is_some_and(is_unchecked),
            functions: Vec::new(),
        };
        // Depth of the function whose entries are being read.
        let mut inside: Option<isize> = None;
        while let Some(entry) = entries.next() {
            if inside.is_some_and(|function| entry.depth() <= function) {
                inside = None;
            }
            match entry.tag() {
                gimli::DW_TAG_subprogram => {
                    let range = ranges(dwarf, unit, entry, 1).into_iter().next();
                    let Some(range) = range.filter(|range| range.start != 0) else {
                        continue;
                    };
                    if facts.functions.len() >= FUNCTIONS_MAX {
                        self.meter().fall_short();
                        break;
                    }
                    inside = Some(entry.depth());
                    facts.functions.push(Function {
                        name: name(self, dwarf, unit, entry).unwrap_or_default(),
                        range,
                        source: declared(self, dwarf, unit, entry),
                        has_array: false,
                    });
                }
                gimli::DW_TAG_variable if inside.is_some() => {
                    if on_stack(entry)
                        && self.is_array(dwarf, unit, entry)
                        && let Some(function) = facts.functions.last_mut()
                    {
                        function.has_array = true;
                    }
                }
                _ => {}
            }
        }
        (!facts.functions.is_empty()).then_some(facts)
    }

    /// Whether a variable's type is an array, seen through typedefs and qualifiers.
    fn is_array<'a>(
        &'a self,
        dwarf: &Dwarf<Metered<'a>>,
        unit: &info::Unit<'a>,
        variable: &Entry<'a>,
    ) -> bool {
        let array = |unit: &info::Unit<'a>, entry: &Entry<'a>| {
            let mut reference = entry.attr_value(gimli::DW_AT_type)?;
            for _ in 0..HOPS_MAX {
                let AttributeValue::UnitRef(offset) = reference else {
                    break;
                };
                let kind = entry_at(unit, offset)?;
                match kind.tag() {
                    gimli::DW_TAG_array_type => return Some(true),
                    gimli::DW_TAG_typedef
                    | gimli::DW_TAG_const_type
                    | gimli::DW_TAG_volatile_type => {
                        reference = kind.attr_value(gimli::DW_AT_type)?;
                    }
                    _ => break,
                }
            }
            Some(false)
        };
        follow(self, dwarf, unit, variable, array).unwrap_or(false)
    }
}

/// The compiler and its command line, which may be longer than a name.
fn producer<'a>(
    dwarf: &Dwarf<Metered<'a>>,
    unit: &info::Unit<'a>,
    root: &Entry<'a>,
) -> Option<String> {
    const PRODUCER_MAX: usize = 16 * 1024;
    let value = root.attr_value(gimli::DW_AT_producer)?;
    dwarf.attr_string(unit, value).ok()?.text(PRODUCER_MAX)
}

fn is_unchecked(language: gimli::DwLang) -> bool {
    matches!(
        language,
        gimli::DW_LANG_C
            | gimli::DW_LANG_C89
            | gimli::DW_LANG_C99
            | gimli::DW_LANG_C11
            | gimli::DW_LANG_C17
            | gimli::DW_LANG_C_plus_plus
            | gimli::DW_LANG_C_plus_plus_03
            | gimli::DW_LANG_C_plus_plus_11
            | gimli::DW_LANG_C_plus_plus_14
            | gimli::DW_LANG_C_plus_plus_17
            | gimli::DW_LANG_C_plus_plus_20
    )
}

/// Whether a variable is at a fixed place of its function's stack.
fn on_stack(variable: &Entry<'_>) -> bool {
    match variable.attr_value(gimli::DW_AT_location) {
        Some(AttributeValue::Exprloc(expression)) => {
            expression.0.bytes().first() == Some(&gimli::DW_OP_fbreg.0)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Gap;
    use crate::locate::tests::{entry, units};

    #[test]
    fn functions_that_are_not_kept_are_a_gap() {
        for (count, gap) in [(FUNCTIONS_MAX, None), (FUNCTIONS_MAX + 1, Some(Gap::Long))] {
            let info = units(&[entry(2, "f", 0x1000, 1).repeat(count)], 1 << 24);
            let mut kept = 0;
            info.visit_units(|unit| kept += unit.functions.len());
            assert_eq!((kept, info.gap()), (FUNCTIONS_MAX, gap));
        }
    }
}
