//! What loaders say about the machine: command line and usable memory
//! (`docs/reference/virtio.md#boot`).
//!
//! A loader is trusted, since it could have changed the image. But its numbers are read with care: a
//! faulty one must not make the start loop for ever.

use core::ops::Range;

/// Most usable ranges that are read.
pub const RANGES: usize = 32;

/// Longest command line in bytes, without its end.
pub const LINE_MAX: usize = 8191;

/// The type of usable memory in either protocol's map.
const USABLE: u32 = 1;

/// A little-endian number of `bytes` at `offset`.
fn number(bytes: &[u8], offset: usize, size: usize) -> Option<u64> {
    let bytes = bytes.get(offset..offset.checked_add(size)?)?;
    Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

/// The fields of a Multiboot information structure that are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Multiboot {
    /// Address of the command line, 0 if there is none.
    pub line: u64,
    /// Address and length in bytes of the memory map.
    pub map: u64,
    /// Its length; 0 if there is none.
    pub map_length: usize,
    /// Address of the loader's name, 0 if it has none.
    pub loader: u64,
}

impl Multiboot {
    /// Size in bytes of the part that is read.
    pub const SIZE: usize = 68;

    /// Reads the structure's first [`Multiboot::SIZE`] bytes.
    pub fn read(info: &[u8]) -> Multiboot {
        const HAS_LINE: u64 = 1 << 2;
        const HAS_MAP: u64 = 1 << 6;
        const HAS_LOADER: u64 = 1 << 9;
        /// No map of a real machine is longer.
        const MAP_MAX: u64 = 0x1_0000;
        let field = |offset| number(info, offset, 4).unwrap_or(0);
        let flags = field(0);
        let mut read = Multiboot::default();
        if flags & HAS_LINE != 0 {
            read.line = field(16);
        }
        // Upstream does not look at the flag, and loaders exist that forget it.
        if flags & HAS_MAP != 0 || field(44) != 0 {
            read.map_length = field(44).min(MAP_MAX) as usize;
            read.map = field(48);
        }
        if flags & HAS_LOADER != 0 {
            read.loader = field(64);
        }
        read
    }
}

/// The usable ranges of a Multiboot memory map.
pub fn multiboot_ranges(map: &[u8]) -> impl Iterator<Item = Range<u64>> + '_ {
    /// Least size of a record, not counting the size itself.
    const LEAST: u64 = 20;
    let mut at = 0;
    let records = core::iter::from_fn(move || {
        let record = map.get(at..)?;
        let size = number(record, 0, 4)?;
        if size < LEAST {
            return None;
        }
        at = at.checked_add(4)?.checked_add(size as usize)?;
        Some((number(record, 4, 8)?, number(record, 12, 8)?, number(record, 20, 4)?))
    });
    records.filter_map(|(start, length, kind)| usable(start, length, kind))
}

/// The fields of a PVH start information that are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pvh {
    /// Address of the command line, 0 if there is none.
    pub line: u64,
    /// Address of the ACPI root pointer, 0 if there is none.
    pub rsdp: u64,
    /// Address of the memory map.
    pub map: u64,
    /// Its length in bytes; 0 if there is none.
    pub map_length: usize,
}

impl Pvh {
    /// Size in bytes of the part that is read.
    pub const SIZE: usize = 52;

    /// Reads the structure. `None` if it does not begin as one.
    pub fn read(info: &[u8]) -> Option<Pvh> {
        const MAGIC: u64 = 0x336e_c578;
        const ENTRY: u64 = 24;
        const ENTRIES_MAX: u64 = 1024;
        let field = |offset, size| number(info, offset, size).unwrap_or(0);
        if field(0, 4) != MAGIC {
            return None;
        }
        let mut read = Pvh { line: field(24, 8), rsdp: field(32, 8), ..Pvh::default() };
        // Version 0 has no memory map.
        if field(4, 4) >= 1 {
            read.map = field(40, 8);
            read.map_length = (field(48, 4).min(ENTRIES_MAX) * ENTRY) as usize;
        }
        Some(read)
    }
}

/// The usable ranges of a PVH memory map.
pub fn pvh_ranges(map: &[u8]) -> impl Iterator<Item = Range<u64>> + '_ {
    map.chunks_exact(24).filter_map(|entry| {
        usable(number(entry, 0, 8)?, number(entry, 8, 8)?, number(entry, 16, 4)?)
    })
}

fn usable(start: u64, length: u64, kind: u64) -> Option<Range<u64>> {
    (kind == u64::from(USABLE)).then(|| start..start.saturating_add(length))
}

/// The command line behind the name that Multiboot loaders put before it: what follows the first
/// space (`docs/reference/virtio.md#line`).
pub fn behind_name(line: &[u8]) -> &[u8] {
    match line.iter().position(|byte| *byte == b' ') {
        Some(space) => line.get(space + 1..).unwrap_or_default(),
        None => b"",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn record(size: u32, start: u64, length: u64, kind: u32) -> Vec<u8> {
        let mut bytes = size.to_le_bytes().to_vec();
        bytes.extend(start.to_le_bytes());
        bytes.extend(length.to_le_bytes());
        bytes.extend(kind.to_le_bytes());
        bytes
    }

    #[test]
    fn multiboot_maps() {
        let mut map = record(20, 0, 0x9_fc00, 1);
        map.extend(record(20, 0x9_fc00, 0x400, 2));
        map.extend(record(24, 0x10_0000, 0x7ee_0000, 1));
        map.extend([0; 4]);
        map.extend(record(20, 1 << 32, u64::MAX, 1));
        let ranges: Vec<_> = multiboot_ranges(&map).collect();
        assert_eq!(ranges, [0..0x9_fc00, 0x10_0000..0x7fe_0000, 1 << 32..u64::MAX]);
        let endless = record(0, 0, 0, 1);
        assert_eq!(multiboot_ranges(&endless).count(), 0);
        assert_eq!(multiboot_ranges(map.get(..30).unwrap()).count(), 1);
    }

    #[test]
    fn multiboot_information() {
        let mut info = std::vec![0; Multiboot::SIZE];
        info[0] = 0x44;
        info[16] = 7;
        info[44] = 24;
        info[49] = 0x60;
        let expected = Multiboot { line: 7, map: 0x6000, map_length: 24, loader: 0 };
        assert_eq!(Multiboot::read(&info), expected);
        info[0] = 0;
        info[46] = 0xff;
        let expected = Multiboot { line: 0, map: 0x6000, map_length: 0x1_0000, loader: 0 };
        assert_eq!(Multiboot::read(&info), expected);
        info[1] = 2;
        info[65] = 0x80;
        assert_eq!(Multiboot::read(&info), Multiboot { loader: 0x8000, ..expected });
        assert_eq!(Multiboot::read(&[]), Multiboot::default());
    }

    #[test]
    fn pvh_information() {
        let mut info = std::vec![0; Pvh::SIZE];
        assert_eq!(Pvh::read(&info), None);
        info[..4].copy_from_slice(&0x336e_c578u32.to_le_bytes());
        info[24] = 9;
        info[48] = 2;
        assert_eq!(Pvh::read(&info), Some(Pvh { line: 9, ..Pvh::default() }));
        info[4] = 1;
        info[40] = 8;
        let expected = Pvh { line: 9, rsdp: 0, map: 8, map_length: 48 };
        assert_eq!(Pvh::read(&info), Some(expected));
    }

    #[test]
    fn pvh_maps() {
        let mut map = Vec::new();
        for (start, length, kind) in
            [(0u64, 0x9_f000u64, 1u64), (0xf_0000, 0x1_0000, 2), (1 << 20, 5, 1)]
        {
            map.extend([start, length, kind].into_iter().flat_map(u64::to_le_bytes));
        }
        let ranges: Vec<_> = pvh_ranges(&map).collect();
        assert_eq!(ranges, [0..0x9_f000, 0x10_0000..0x10_0005]);
    }

    #[test]
    fn the_loaders_name_is_dropped() {
        assert_eq!(behind_name(b"kernel --solo5:quiet  a "), b"--solo5:quiet  a ");
        assert_eq!(behind_name(b"kernel"), b"");
        assert_eq!(behind_name(b" a"), b"a");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_end(bytes: Vec<u8>) {
            assert!(multiboot_ranges(&bytes).count() <= bytes.len());
            assert!(pvh_ranges(&bytes).count() <= bytes.len());
            Multiboot::read(&bytes);
            Pvh::read(&bytes);
        }
    }
}
