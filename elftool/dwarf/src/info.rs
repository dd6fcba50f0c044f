//! Reads the sections that hold debugging information, and the units and entries in them.

use std::fmt;
use std::sync::Arc;

use gimli::{
    Abbreviation, AttributeValue, DebugInfoOffset, DebuggingInformationEntry, Dwarf, EntriesRaw,
    SectionId, UnitHeader, UnitOffset,
};
use solo5_image::ReadAt;
use solo5_image::elf::SHF_COMPRESSED;
use solo5_image::sections::Sections;

use crate::meter::{Meter, Metered};
use crate::names::{TEXT_MAX, demangled};

/// Limits of the work for one image.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most bytes of debugging information held in memory. A section that does not fit is left out.
    pub bytes: u64,
    /// Most reads of it, a few bytes each. A byte of text that is kept counts as one.
    pub reads: u64,
}

impl Limits {
    /// For one of thousands of images.
    pub const MANY: Limits = Limits { bytes: 32 << 20, reads: 16 << 20 };
    /// For a single image.
    pub const ONE: Limits = Limits { bytes: 512 << 20, reads: 512 << 20 };
}

/// Sections that are read, by the names of ELF.
const SECTIONS: [SectionId; 11] = [
    SectionId::EhFrame,
    SectionId::DebugFrame,
    SectionId::DebugAbbrev,
    SectionId::DebugAddr,
    SectionId::DebugInfo,
    SectionId::DebugLine,
    SectionId::DebugLineStr,
    SectionId::DebugRanges,
    SectionId::DebugRngLists,
    SectionId::DebugStr,
    SectionId::DebugStrOffsets,
];

/// Most reads for the table of abbreviations of one unit, and as many for the header of its line
/// table. gimli keeps both in memory, so this limits memory too.
const TABLE_READS: u64 = 1 << 21;
/// Most attributes of an entry; compilers write about twenty.
const ATTRIBUTES_MAX: usize = 64;
/// Most references followed from an entry to its name or type.
pub(crate) const HOPS_MAX: usize = 8;

pub(crate) type Unit<'a> = gimli::Unit<Metered<'a>>;
pub(crate) type Entry<'a> = DebuggingInformationEntry<Metered<'a>>;
pub(crate) type Value<'a> = AttributeValue<Metered<'a>>;

/// Why part of the debugging information was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gap {
    /// Some of it is compressed.
    Compressed,
    /// Some of it did not fit into this many bytes.
    Large(u64),
    /// The limit of reads was reached.
    Long,
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Gap::Compressed => write!(f, "debugging information is compressed"),
            Gap::Large(bytes) => {
                write!(f, "debugging information has more than {} MiB", bytes >> 20)
            }
            Gap::Long => write!(f, "debugging information takes too long to read"),
        }
    }
}

/// The debugging information of an image.
#[derive(Debug)]
pub struct DebugInfo {
    sections: Arc<[(SectionId, u64, Vec<u8>)]>,
    limits: Limits,
    meter: Meter,
    /// Why a section is missing from `sections`.
    gap: Option<Gap>,
}

impl DebugInfo {
    /// Reads the sections with debugging information.
    pub fn read(reader: &dyn ReadAt, sections: &Sections, limits: Limits) -> DebugInfo {
        let mut left = limits.bytes;
        let mut gap = None;
        let mut found = Vec::new();
        for id in SECTIONS {
            let Some(section) = sections.find(id.name()) else {
                continue;
            };
            if section.has(SHF_COMPRESSED) {
                gap = Some(Gap::Compressed);
                continue;
            }
            if section.header.sh_size > left {
                gap = gap.or(Some(Gap::Large(limits.bytes)));
            }
            let content = sections.content(reader, section, left);
            left = left.saturating_sub(content.len() as u64);
            found.push((id, section.header.sh_addr, content));
        }
        DebugInfo { sections: found.into(), limits, meter: Meter::new(limits.reads), gap }
    }

    /// The same with fresh limits: earlier reads do not count.
    #[must_use]
    pub fn renewed(&self) -> DebugInfo {
        DebugInfo {
            sections: Arc::clone(&self.sections),
            meter: Meter::new(self.limits.reads),
            ..*self
        }
    }

    #[cfg(test)]
    pub(crate) fn of(sections: &[(SectionId, Vec<u8>)], reads: u64) -> DebugInfo {
        let sections = sections.iter().cloned();
        DebugInfo {
            sections: sections.map(|(id, content)| (id, 0, content)).collect(),
            limits: Limits { reads, ..Limits::ONE },
            meter: Meter::new(reads),
            gap: None,
        }
    }

    /// Whether there is information about functions and lines.
    pub fn is_empty(&self) -> bool {
        self.section(SectionId::DebugInfo).is_empty()
    }

    /// Why results so far may be incomplete; `None` if they are complete.
    pub fn gap(&self) -> Option<Gap> {
        let long = self.meter.fell_short().then_some(Gap::Long);
        self.gap.or(long)
    }

    /// The content of a section, empty if there is none.
    pub(crate) fn section(&self, id: SectionId) -> &[u8] {
        let found = self.sections.iter().find(|(known, ..)| *known == id);
        found.map_or(&[], |(_, _, content)| content)
    }

    /// Where a section is loaded.
    pub(crate) fn address_of(&self, id: SectionId) -> u64 {
        let found = self.sections.iter().find(|(known, ..)| *known == id);
        found.map_or(0, |(_, address, _)| *address)
    }

    pub(crate) fn meter(&self) -> &Meter {
        &self.meter
    }

    pub(crate) fn reader(&self, id: SectionId) -> Metered<'_> {
        Metered::new(self.section(id), &self.meter)
    }

    pub(crate) fn dwarf(&self) -> Dwarf<Metered<'_>> {
        let load = |id| Ok::<_, std::convert::Infallible>(self.reader(id));
        match Dwarf::load(load) {
            Ok(dwarf) => dwarf,
        }
    }

    /// Opens a unit: reads its abbreviations and the header of its line table.
    pub(crate) fn unit<'a>(
        &'a self,
        dwarf: &Dwarf<Metered<'a>>,
        header: UnitHeader<Metered<'a>>,
    ) -> Option<Unit<'a>> {
        let table = self.meter.within(TABLE_READS, || dwarf.abbreviations(&header));
        let table = table.ok()?;
        // gimli reads the first entry in full, so its size is checked before.
        let mut entries = header.entries_raw(&table, None).ok()?;
        sane(entries.read_abbreviation().ok()??)?;
        let open = || Unit::new_with_abbreviations(dwarf, header, table);
        self.meter.within(TABLE_READS, open).ok()
    }

    /// The unit that holds the entry at `offset`, and the entry's offset in that unit.
    pub(crate) fn elsewhere<'a>(
        &'a self,
        dwarf: &Dwarf<Metered<'a>>,
        offset: DebugInfoOffset,
    ) -> Option<(Unit<'a>, UnitOffset)> {
        let mut headers = dwarf.units();
        while let Some(header) = headers.next().ok()? {
            if let Some(within) = offset.to_unit_offset(&header) {
                return Some((self.unit(dwarf, header)?, within));
            }
        }
        None
    }
}

/// Reads entries in sequence.
pub(crate) struct Entries<'u, 'a> {
    raw: EntriesRaw<'u, Metered<'a>>,
    entry: Entry<'a>,
}

impl<'u, 'a> Entries<'u, 'a> {
    /// From the unit's first entry, or from `offset` on.
    pub(crate) fn new(unit: &'u Unit<'a>, offset: Option<UnitOffset>) -> Option<Entries<'u, 'a>> {
        Some(Entries { raw: unit.entries_raw(offset).ok()?, entry: Entry::null() })
    }

    /// The next entry; `None` at the end, or where it cannot be read.
    pub(crate) fn next(&mut self) -> Option<&Entry<'a>> {
        while !self.raw.is_empty() {
            if let Some(next) = self.raw.clone().read_abbreviation().ok()? {
                sane(next)?;
            }
            if self.raw.read_entry(&mut self.entry).ok()? {
                return Some(&self.entry);
            }
        }
        None
    }
}

/// Refuses an entry with too many attributes. Attributes may take no bytes, so the count of reads
/// does not bound them.
fn sane(abbreviation: &Abbreviation) -> Option<()> {
    (abbreviation.attributes().len() <= ATTRIBUTES_MAX).then_some(())
}

/// The entry at `offset`.
pub(crate) fn entry_at<'a>(unit: &Unit<'a>, offset: UnitOffset) -> Option<Entry<'a>> {
    let mut entries = Entries::new(unit, Some(offset))?;
    entries.next()?;
    Some(entries.entry)
}

/// The text that an attribute's value stands for.
pub(crate) fn text<'a>(
    dwarf: &Dwarf<Metered<'a>>,
    unit: &Unit<'a>,
    value: Value<'a>,
) -> Option<String> {
    dwarf.attr_string(unit, value).ok()?.text(TEXT_MAX)
}

/// The name of an entry, or of the one it is an instance of.
pub(crate) fn name<'a>(
    info: &'a DebugInfo,
    dwarf: &Dwarf<Metered<'a>>,
    unit: &Unit<'a>,
    entry: &Entry<'a>,
) -> Option<String> {
    let own = |unit: &Unit<'a>, entry: &Entry<'a>| {
        let linkage = entry.attr_value(gimli::DW_AT_linkage_name);
        let value = linkage.or_else(|| entry.attr_value(gimli::DW_AT_name))?;
        demangled(&text(dwarf, unit, value)?, info.meter())
    };
    follow(info, dwarf, unit, entry, own)
}

/// The first result of `ask` for an entry or for the entries it refers to as its origin or
/// specification.
pub(crate) fn follow<'a, T>(
    info: &'a DebugInfo,
    dwarf: &Dwarf<Metered<'a>>,
    unit: &Unit<'a>,
    entry: &Entry<'a>,
    ask: impl Fn(&Unit<'a>, &Entry<'a>) -> Option<T>,
) -> Option<T> {
    let mut other: Option<Unit<'a>> = None;
    let mut entry = entry.clone();
    for _ in 0..HOPS_MAX {
        let here = other.as_ref().unwrap_or(unit);
        if let Some(answer) = ask(here, &entry) {
            return Some(answer);
        }
        let origin = entry.attr_value(gimli::DW_AT_abstract_origin);
        let next = origin.or_else(|| entry.attr_value(gimli::DW_AT_specification))?;
        match next {
            AttributeValue::UnitRef(offset) => entry = entry_at(here, offset)?,
            AttributeValue::DebugInfoRef(offset) => {
                let (found, offset) = info.elsewhere(dwarf, offset)?;
                entry = entry_at(&found, offset)?;
                other = Some(found);
            }
            _ => return None,
        }
    }
    None
}

pub(crate) fn number(entry: &Entry<'_>, name: gimli::DwAt) -> Option<u64> {
    match entry.attr_value(name)? {
        AttributeValue::FileIndex(number) => Some(number),
        value => value.udata_value(),
    }
}

/// The address ranges of an entry, at most `most`. gimli's own function adds without overflow
/// checks.
pub(crate) fn ranges<'a>(
    dwarf: &Dwarf<Metered<'a>>,
    unit: &Unit<'a>,
    entry: &Entry<'a>,
    most: usize,
) -> Vec<std::ops::Range<u64>> {
    let address = |value| dwarf.attr_address(unit, value).ok().flatten();
    let mut out = Vec::new();
    if let Some(list) = entry.attr_value(gimli::DW_AT_ranges) {
        if let Ok(Some(mut list)) = dwarf.attr_ranges(unit, list) {
            while let (Ok(Some(range)), true) = (list.next(), out.len() < most) {
                out.push(range.begin..range.end);
            }
        }
    } else if let Some(low) = entry.attr_value(gimli::DW_AT_low_pc).and_then(address) {
        let high = match entry.attr_value(gimli::DW_AT_high_pc) {
            Some(AttributeValue::Addr(high)) => Some(high),
            Some(value @ AttributeValue::DebugAddrIndex(_)) => address(value),
            Some(value) => value.udata_value().map(|size| low.saturating_add(size)),
            None => None,
        };
        out.extend(high.map(|high| low..high));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_says_why_and_how_much() {
        let told = [
            (Gap::Compressed, "debugging information is compressed"),
            (Gap::Large(Limits::MANY.bytes), "debugging information has more than 32 MiB"),
            (Gap::Long, "debugging information takes too long to read"),
        ];
        for (gap, text) in told {
            assert_eq!(gap.to_string(), text);
        }
    }
}
