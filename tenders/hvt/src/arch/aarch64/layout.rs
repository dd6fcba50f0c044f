//! The page tables of an aarch64 guest, as plain values (`docs/reference/hvt.md#aarch64`).
//!
//! Stricter than upstream: only pages of executable segments can be executed at EL1; all others have the
//! bit PXN.

use std::ops::Range;

use solo5_abi::hvt::aarch64::page::{BLOCK, DEVICE, PAGE as ENTRY, PAGE_READ_ONLY, TABLE};
use solo5_abi::hvt::aarch64::{HYPERCALL_BASE, table};
use solo5_abi::hvt::{BOOT_INFO_BASE, GUEST_MIN_BASE, MEMORY_GRANULE};
use solo5_abi::offer::SEED_PAGE;

use crate::layout::Executable;

const PAGE: u64 = 0x1000;
/// Entries in each table.
const ENTRIES: u64 = 512;
/// What an entry of level 1 maps.
const GIB: u64 = 1 << 30;
/// Cannot be executed at EL1.
const NO_EXECUTE: u64 = 1 << 53;
/// First address after the tables that every guest has.
const END: u64 = table::PTE + PAGE;

/// The content of memory from guest address [`table::PGD`] on: page tables for `mapped` bytes of memory,
/// in which the pages of `guard` are not present. With `seed` the seed's page is writable.
///
/// Memory is mapped in blocks of 2 MiB. Where one would hold both code and data, pages are used instead,
/// while there is room for their tables. Without room, the whole block is executable. The guard gets its
/// table first, because without one there would be no guard.
pub fn tables(
    mapped: u64,
    executable: Executable<'_>,
    guard: Option<&Range<u64>>,
    seed: bool,
) -> Vec<u8> {
    let guarded = |pages: &Range<u64>| {
        guard.is_some_and(|guard| guard.start < pages.end && guard.end > pages.start)
    };
    let no_execute = |pages: &Range<u64>| if executable.has(pages) { 0 } else { NO_EXECUTE };
    let granule = |index| index * MEMORY_GRANULE..(index + 1) * MEMORY_GRANULE;
    let all = 0..mapped / MEMORY_GRANULE;
    let first = all.clone().filter(|index| guarded(&granule(*index)));
    let later = all.filter(|index| !guarded(&granule(*index)));
    let mut out = Tables(vec![0; (BOOT_INFO_BASE - table::PGD) as usize]);
    out.set(table::PGD, 0, table::PUD | TABLE);
    for index in 0..mapped.div_ceil(GIB) {
        out.set(table::PUD, index, (table::PMD + index * PAGE) | TABLE);
    }
    out.set(table::PUD, HYPERCALL_BASE / GIB, HYPERCALL_BASE | DEVICE);
    let mut next = END;
    for index in first.chain(later) {
        let pages = granule(index);
        let start = pages.start;
        let small = if index == 0 {
            Some(table::PTE)
        } else if (guarded(&pages) || executable.is_mixed(&pages)) && next < BOOT_INFO_BASE {
            next += PAGE;
            Some(next - PAGE)
        } else {
            None
        };
        // The four tables of level 2 are adjacent, so one index covers them all.
        let Some(small) = small else {
            out.set(table::PMD, index, start | BLOCK | no_execute(&pages));
            continue;
        };
        out.set(table::PMD, index, small | TABLE);
        for page in 0..ENTRIES {
            let at = start + page * PAGE;
            let bits = match at {
                0..BOOT_INFO_BASE => continue,
                _ if guarded(&(at..at + PAGE)) => continue,
                SEED_PAGE if seed => ENTRY,
                BOOT_INFO_BASE..GUEST_MIN_BASE => PAGE_READ_ONLY,
                _ => ENTRY,
            };
            out.set(small, page, at | bits | no_execute(&(at..at + PAGE)));
        }
    }
    out.0
}

/// Memory from [`table::PGD`] on.
struct Tables(Vec<u8>);

impl Tables {
    fn set(&mut self, table: u64, index: u64, value: u64) {
        let at = (table - table::PGD + index * 8) as usize;
        // Every table lies below the boot information.
        if let Some(place) = self.0.get_mut(at..at + 8) {
            place.copy_from_slice(&value.to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIB: u64 = 1 << 20;

    fn word(tables: &[u8], at: u64) -> u64 {
        let at = (at - table::PGD) as usize;
        u64::from_le_bytes(tables[at..at + 8].try_into().unwrap())
    }

    #[test]
    fn tables_hold_the_published_values() {
        let tables = tables(32 * MIB, Executable::All, None, false);
        assert_eq!(word(&tables, 0x1000), 0x2003);
        assert_eq!(word(&tables, 0x2000), 0x3003);
        assert_eq!(word(&tables, 0x2008), 0, "the second GiB");
        assert_eq!(word(&tables, 0x2020), 0x0060_0001_0000_0705, "the calls' block");
        assert_eq!(word(&tables, 0x3000), 0x7003);
        for index in 1..16 {
            assert_eq!(word(&tables, 0x3000 + index * 8), (index << 21) | 0x0040_0000_0000_0711);
        }
        assert_eq!(word(&tables, 0x3000 + 16 * 8), 0, "past the end of memory");
        for index in 0..512 {
            // Low memory has PXN, which the published read-only page has too.
            let expected = match index {
                0..16 => 0,
                16..256 => (index << 12) | 0x0060_0000_0000_0793,
                _ => (index << 12) | 0x0040_0000_0000_0713,
            };
            assert_eq!(word(&tables, 0x7000 + index * 8), expected, "{index}");
        }
        assert!(tables[0x7000..].iter().all(|byte| *byte == 0), "not used");
    }

    #[test]
    fn four_gibibytes_fill_all_tables_of_level_2() {
        let tables = tables(4096 * MIB, Executable::All, None, false);
        assert_eq!(word(&tables, 0x6ff8), 0x0040_0000_ffe0_0711);
        assert_eq!(word(&tables, 0x2018), 0x6003);
        assert_eq!(word(&tables, 0x7000), 0, "the first page is not present");
    }

    /// The entry that maps `address`, found as a CPU walks the tables.
    fn walk(tables: &[u8], address: u64) -> u64 {
        let mut entry = word(tables, table::PGD);
        for shift in [30, 21, 12] {
            if entry & TABLE != TABLE {
                return entry;
            }
            let next = entry & 0x0000_ffff_ffff_f000;
            entry = word(tables, next + (address >> shift) % 512 * 8);
        }
        entry
    }

    proptest! {
        /// In a CPU's walk, every page maps to itself, exactly the code pages are executable, and exactly
        /// guest memory and the seed's page are writable.
        #[test]
        fn exactly_code_is_executable(
            bounds in prop::collection::btree_set(0x100u64..0x1000, 0..5),
            probes in prop::collection::vec(0u64..0x2000, 64),
            seed: bool,
        ) {
            const READ_ONLY: u64 = 1 << 7;
            let bounds: Vec<u64> = bounds.into_iter().collect();
            let ranges: Vec<Range<u64>> =
                bounds.chunks_exact(2).map(|pair| pair[0] * PAGE..pair[1] * PAGE).collect();
            let guard = 14 * MIB..14 * MIB + 0x1_0000;
            let only = Executable::Only(&ranges);
            let tables = tables(16 * MIB, only, Some(&guard), seed);
            let pages = probes.into_iter().chain(bounds).chain([SEED_PAGE / PAGE]);
            for page in pages.flat_map(|page| [page, page + 1]) {
                let address = page * PAGE;
                let entry = walk(&tables, address);
                if !(BOOT_INFO_BASE..16 * MIB).contains(&address) || guard.contains(&address) {
                    prop_assert_eq!(entry, 0, "{:#x}", address);
                    continue;
                }
                let block = entry & 2 == 0;
                let mask = if block { 0xffff_ffe0_0000 } else { 0xffff_ffff_f000 };
                prop_assert_eq!(entry & mask, address & mask);
                let code = ranges.iter().any(|range| range.contains(&address));
                prop_assert_eq!(entry & NO_EXECUTE == 0, code, "{:#x}", address);
                let writable = address >= GUEST_MIN_BASE || seed && address == SEED_PAGE;
                prop_assert_eq!(entry & READ_ONLY == 0, writable, "{:#x}", address);
            }
        }
    }
}
