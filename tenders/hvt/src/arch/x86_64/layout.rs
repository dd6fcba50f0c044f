//! The memory map of an x86_64 guest and its CPU state at entry, as plain values
//! (`docs/reference/hvt.md#tables`).
//!
//! Stricter than upstream: only pages of executable segments can be executed; all others have the
//! no-execute bit (`docs/reference/hvt.md#tables`). The bit is in EFER and in table entries that no
//! guest reads, so old guests run as before. Read-only pages are protected in the host's mapping,
//! where a guest cannot change the protection.

use std::ops::Range;

use kvm_bindings::{kvm_dtable, kvm_regs, kvm_segment, kvm_sregs};
use solo5_abi::hvt::x86_64::page::{LARGE, NO_EXECUTE, PRESENT, WRITABLE};
use solo5_abi::hvt::x86_64::{self as x86, table};
use solo5_abi::hvt::{BOOT_INFO_BASE, GUEST_MIN_BASE, MEMORY_GRANULE};
use solo5_abi::offer::SEED_PAGE;

use crate::layout::Executable;

const PAGE: u64 = 0x1000;

/// The content of memory from guest address [`table::GDT`] on: the GDT and page tables for `mapped`
/// bytes of memory, in which the pages of `guard` are not present. With `seed` the seed's page is
/// writable.
///
/// Memory is mapped in pages of 2 MiB. Where one would hold both code and data, small pages are
/// used instead, while there is room for their tables. Without room, the whole large page is
/// executable; no known linker script comes close to this limit. The guard gets its table first,
/// because without one there would be no guard.
pub fn tables(
    mapped: u64,
    executable: Executable<'_>,
    guard: Option<&Range<u64>>,
    seed: bool,
) -> Vec<u8> {
    let guarded = |pages: &Range<u64>| {
        guard.is_some_and(|guard| guard.start < pages.end && guard.end > pages.start)
    };
    let granule = |index| index * MEMORY_GRANULE..(index + 1) * MEMORY_GRANULE;
    let all = 0..mapped / MEMORY_GRANULE;
    let first = all.clone().filter(|index| guarded(&granule(*index)));
    let later = all.filter(|index| !guarded(&granule(*index)));
    let mut out = Tables(vec![0; (BOOT_INFO_BASE - table::GDT) as usize]);
    for (index, descriptor) in (0..).zip(x86::GDT) {
        out.set(table::GDT, index, descriptor);
    }
    let link = PRESENT | WRITABLE;
    out.set(table::PML4, 0, table::PDPT | link);
    for index in 0..table::DIRECTORIES as u64 {
        let directory = table::DIRECTORY + index * PAGE;
        out.set(table::PDPT, index, directory | link);
    }
    let mut next = table::END;
    for index in first.chain(later) {
        let pages = granule(index);
        let start = pages.start;
        let small = if index == 0 {
            Some(table::PAGES)
        } else if (guarded(&pages) || executable.is_mixed(&pages)) && next < BOOT_INFO_BASE {
            next += PAGE;
            Some(next - PAGE)
        } else {
            None
        };
        // The four directories are adjacent, so one index covers them all.
        let Some(small) = small else {
            let entry = start | PRESENT | WRITABLE | LARGE | no_execute(executable, &pages);
            out.set(table::DIRECTORY, index, entry);
            continue;
        };
        out.set(table::DIRECTORY, index, small | link);
        for page in 0..table::ENTRIES as u64 {
            let at = start + page * PAGE;
            let rights = match at {
                0..BOOT_INFO_BASE => continue,
                _ if guarded(&(at..at + PAGE)) => continue,
                SEED_PAGE if seed => PRESENT | WRITABLE,
                BOOT_INFO_BASE..GUEST_MIN_BASE => PRESENT,
                _ => PRESENT | WRITABLE,
            };
            let entry = at | rights | no_execute(executable, &(at..at + PAGE));
            out.set(small, page, entry);
        }
    }
    out.0
}

/// The no-execute bit, or 0 if anything in `pages` is executable.
fn no_execute(executable: Executable<'_>, pages: &Range<u64>) -> u64 {
    if executable.has(pages) { 0 } else { NO_EXECUTE }
}

/// Memory from [`table::GDT`] on.
struct Tables(Vec<u8>);

impl Tables {
    fn set(&mut self, table: u64, index: u64, value: u64) {
        let at = (table - table::GDT + index * 8) as usize;
        // Every table lies below the boot information.
        if let Some(place) = self.0.get_mut(at..at + 8) {
            place.copy_from_slice(&value.to_le_bytes());
        }
    }
}

/// The general registers at entry. `guest` is the size of guest memory in bytes.
pub fn registers(entry: u64, guest: u64) -> kvm_regs {
    kvm_regs {
        rip: entry,
        rsp: guest - x86::STACK_OFFSET,
        rdi: BOOT_INFO_BASE,
        rflags: x86::RFLAGS,
        ..kvm_regs::default()
    }
}

/// The special registers at entry.
pub fn special_registers(executable: Executable<'_>) -> kvm_sregs {
    let segment = |selector, kind, long| kvm_segment {
        base: 0,
        limit: u32::MAX,
        selector,
        type_: kind,
        present: 1,
        dpl: 0,
        db: 1 - long,
        s: 1,
        l: long,
        g: 1,
        ..kvm_segment::default()
    };
    let data = segment(x86::SELECTOR_DATA, 3, 0);
    let no_execute = match executable {
        Executable::All => 0,
        Executable::Only(_) => x86::EFER_NXE,
    };
    kvm_sregs {
        cs: segment(x86::SELECTOR_CODE, 9, 1),
        ds: data,
        es: data,
        fs: data,
        gs: data,
        ss: data,
        tr: kvm_segment { type_: 11, present: 1, ..kvm_segment::default() },
        ldt: kvm_segment { unusable: 1, ..kvm_segment::default() },
        gdt: kvm_dtable {
            base: table::GDT,
            limit: size_of_val(&x86::GDT) as u16 - 1,
            ..kvm_dtable::default()
        },
        cr0: x86::CR0,
        cr3: table::PML4,
        cr4: x86::CR4,
        efer: x86::EFER | no_execute,
        ..kvm_sregs::default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use solo5_abi::stack;

    use super::*;

    const MIB: u64 = 1 << 20;

    fn word(tables: &[u8], at: u64) -> u64 {
        let at = (at - table::GDT) as usize;
        u64::from_le_bytes(tables[at..at + 8].try_into().unwrap())
    }

    #[test]
    fn tables_hold_the_published_values() {
        let tables = tables(32 * MIB, Executable::All, None, false);
        assert_eq!(tables.len(), 0xf000);
        assert_eq!(word(&tables, 0x1000), 0);
        assert_eq!(word(&tables, 0x1008), 0x00af_9900_0000_ffff);
        assert_eq!(word(&tables, 0x1010), 0x00cf_9300_0000_ffff);
        assert_eq!(word(&tables, 0x2000), 0x3003);
        for index in 0..4 {
            assert_eq!(word(&tables, 0x3000 + index * 8), 0x4003 + index * 0x1000);
        }
        assert_eq!(word(&tables, 0x4000), 0x8003);
        for index in 1..16 {
            assert_eq!(word(&tables, 0x4000 + index * 8), (index << 21) | 0x83);
        }
        assert_eq!(word(&tables, 0x4000 + 16 * 8), 0, "past the end of memory");
        for index in 0..512 {
            let expected = match index {
                0..16 => 0,
                16..256 => (index << 12) | 1,
                _ => (index << 12) | 3,
            };
            assert_eq!(word(&tables, 0x8000 + index * 8), expected, "{index}");
        }
        assert!(tables[0x8000..].iter().all(|byte| *byte == 0), "not used");
    }

    #[test]
    fn four_gibibytes_fill_all_directories() {
        let tables = tables(4096 * MIB, Executable::All, None, false);
        assert_eq!(word(&tables, 0x7ff8), 0xffe0_0083);
        assert_eq!(word(&tables, 0x8000), 0, "the first page is not present");
    }

    /// The page table entry that maps `address`, found as a CPU walks the tables.
    fn walk(tables: &[u8], address: u64) -> u64 {
        let mut entry = word(tables, table::PML4);
        for shift in [30, 21, 12] {
            if entry & PRESENT == 0 {
                return 0;
            }
            let table = entry & 0x000f_ffff_ffff_f000;
            entry = word(tables, table + (address >> shift) % 512 * 8);
            if shift == 21 && entry & LARGE != 0 {
                return entry;
            }
        }
        entry
    }

    proptest! {
        /// In a CPU's page walk, every page maps to itself, exactly the code pages are executable,
        /// and exactly guest memory and the seed's page are writable.
        #[test]
        fn exactly_code_is_executable(
            bounds in prop::collection::btree_set(0x100u64..0x1000, 0..5),
            probes in prop::collection::vec(0u64..0x2000, 64),
            seed: bool,
        ) {
            let bounds: Vec<u64> = bounds.into_iter().collect();
            let ranges: Vec<Range<u64>> =
                bounds.chunks_exact(2).map(|pair| pair[0] * PAGE..pair[1] * PAGE).collect();
            let tables = tables(16 * MIB, Executable::Only(&ranges), None, seed);
            let pages = probes.into_iter().chain(bounds).chain([SEED_PAGE / PAGE - 1, SEED_PAGE / PAGE]);
            for page in pages.flat_map(|page| [page, page + 1]) {
                let address = page * PAGE;
                let entry = walk(&tables, address);
                if !(BOOT_INFO_BASE..16 * MIB).contains(&address) {
                    prop_assert_eq!(entry, 0, "{:#x}", address);
                    continue;
                }
                let mask = if entry & LARGE != 0 { !(MEMORY_GRANULE - 1) } else { !(PAGE - 1) };
                prop_assert_eq!(entry & mask & !NO_EXECUTE, address & mask);
                let code = ranges.iter().any(|range| range.contains(&address));
                prop_assert_eq!(entry & NO_EXECUTE == 0, code, "{:#x}", address);
                let writable = address >= GUEST_MIN_BASE || seed && address == SEED_PAGE;
                prop_assert_eq!(entry & WRITABLE != 0, writable, "{:#x}", address);
            }
        }
    }

    #[test]
    fn mixed_pages_beyond_the_table_room_stay_executable() {
        let ranges: Vec<Range<u64>> =
            (1..12).map(|index| index * MEMORY_GRANULE..index * MEMORY_GRANULE + PAGE).collect();
        let tables = tables(32 * MIB, Executable::Only(&ranges), None, false);
        assert_ne!(walk(&tables, 7 * MEMORY_GRANULE + PAGE) & NO_EXECUTE, 0);
        assert_eq!(walk(&tables, 8 * MEMORY_GRANULE + PAGE) & NO_EXECUTE, 0);
        assert_ne!(walk(&tables, 12 * MEMORY_GRANULE) & NO_EXECUTE, 0);
    }

    proptest! {
        /// The guard's pages are not present; every other page is as without a guard, as long as there
        /// is room for tables.
        #[test]
        fn a_guard_is_not_mapped(mib in 1u64..64, stack in 1u64..16, code in any::<bool>()) {
            let (size, stack) = (2 * mib * MIB, stack * stack::GUARD);
            let guard = size - stack - stack::GUARD..size - stack;
            let page = GUEST_MIN_BASE..GUEST_MIN_BASE + PAGE;
            let code = if code { std::slice::from_ref(&page) } else { &[] };
            let with = tables(size, Executable::Only(code), Some(&guard), false);
            let without = tables(size, Executable::Only(code), None, false);
            for at in (0..size).step_by(PAGE as usize) {
                let (new, old) = (walk(&with, at), walk(&without, at));
                if guard.contains(&at) {
                    prop_assert_eq!(new, 0, "{:#x}", at);
                    continue;
                }
                // The same page and rights, in a small page or a large one.
                let page = |entry: u64| {
                    let large = entry & LARGE != 0;
                    let base = if large { at & !(MEMORY_GRANULE - 1) } else { at };
                    (entry.wrapping_sub(base)) & !LARGE
                };
                prop_assert_eq!(page(new), page(old), "{:#x}", at);
            }
        }
    }

    #[test]
    fn a_guard_has_its_table_before_code_does() {
        let ranges: Vec<Range<u64>> =
            (1..12).map(|index| index * MEMORY_GRANULE..index * MEMORY_GRANULE + PAGE).collect();
        let guard = 31 * MIB..31 * MIB + stack::GUARD;
        let tables = tables(32 * MIB, Executable::Only(&ranges), Some(&guard), false);
        assert_eq!(walk(&tables, guard.start), 0);
        assert_eq!(walk(&tables, guard.end - PAGE), 0);
        assert_ne!(walk(&tables, guard.start - PAGE), 0);
        assert_ne!(walk(&tables, guard.end), 0);
        // Code has one table less.
        assert_ne!(walk(&tables, 6 * MEMORY_GRANULE + PAGE) & NO_EXECUTE, 0);
        assert_eq!(walk(&tables, 7 * MEMORY_GRANULE + PAGE) & NO_EXECUTE, 0);
    }

    #[test]
    fn registers_hold_the_published_values() {
        let regs = registers(0x10_0018, 32 * MIB);
        assert_eq!((regs.rip, regs.rsp, regs.rdi), (0x10_0018, 0x1ff_fff8, 0x1_0000));
        assert_eq!(regs.rflags, 2);
        assert_eq!((regs.rax, regs.rsi, regs.rbp, regs.r15), (0, 0, 0, 0));

        let special = special_registers(Executable::All);
        assert_eq!(special.cr0, 0x8001_0021);
        assert_eq!((special.cr3, special.cr4, special.efer), (0x2000, 0x620, 0x500));
        assert_eq!((special.cr2, special.cr8, special.apic_base), (0, 0, 0));
        assert_eq!((special.gdt.base, special.gdt.limit), (0x1000, 23));
        assert_eq!((special.idt.base, special.idt.limit), (0, 0));
        let cs = special.cs;
        assert_eq!((cs.selector, cs.base, cs.limit, cs.type_), (8, 0, u32::MAX, 9));
        assert_eq!((cs.s, cs.dpl, cs.present, cs.l, cs.db, cs.g), (1, 0, 1, 1, 0, 1));
        for data in [special.ss, special.ds, special.es, special.fs, special.gs] {
            assert_eq!((data.selector, data.base, data.limit, data.type_), (0x10, 0, u32::MAX, 3));
            assert_eq!((data.s, data.present, data.l, data.db, data.g), (1, 1, 0, 1, 1));
        }
        let tr = special.tr;
        assert_eq!((tr.selector, tr.limit, tr.type_, tr.present, tr.s), (0, 0, 11, 1, 0));
        assert_eq!(special.ldt.unusable, 1);
        assert_eq!(special_registers(Executable::Only(&[])).efer, 0xd00);
    }
}
