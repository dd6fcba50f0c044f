//! Page tables: what the unikernel may do with which address (`docs/reference/virtio.md#pages`).
//!
//! Nothing is both writable and executable, and page 0 is absent.

use super::ram::{LARGE_PAGE, PAGE};

/// What may be done with a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    /// Read and execute.
    Execute,
    /// Read.
    Read,
    /// Read and write.
    Write,
    /// Read and write, without a cache: a device's registers.
    Registers,
}

/// The bits of an architecture's tables. Every table has 512 entries of 8 bytes, and four levels map 48 bits
/// of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Those of x86_64.
    X86_64 {
        /// Whether the CPU knows pages that are not executable.
        no_execute: bool,
    },
    /// Those of aarch64, of 4 KiB, for `MAIR_EL1` as `arch/aarch64/boot.rs` sets it.
    Aarch64,
}

/// The bit of each format that says that there is something.
const PRESENT: u64 = 1;
/// The address in an entry.
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// Bits of x86_64.
mod x86_64 {
    pub(super) const WRITABLE: u64 = 1 << 1;
    /// Cache disabled, and write-through.
    pub(super) const UNCACHED: u64 = 3 << 3;
    pub(super) const LARGE: u64 = 1 << 7;
    pub(super) const NO_EXECUTE: u64 = 1 << 63;
}

/// Bits of aarch64.
mod aarch64 {
    /// A table, or on the last level a page.
    pub(super) const TABLE: u64 = 1 << 1;
    /// A device's registers.
    pub(super) const REGISTERS: u64 = 1 << 2;
    pub(super) const READ_ONLY: u64 = 1 << 7;
    /// Inner shareable.
    pub(super) const SHARED: u64 = 3 << 8;
    pub(super) const ACCESSED: u64 = 1 << 10;
    /// Not executable, for us and without privileges.
    pub(super) const NO_EXECUTE: u64 = 1 << 53 | 1 << 54;
    pub(super) const NO_EXECUTE_UNPRIVILEGED: u64 = 1 << 54;
}

impl Format {
    /// The bits of an entry that leads to a table.
    fn table(self) -> u64 {
        match self {
            Format::X86_64 { .. } => x86_64::WRITABLE | PRESENT,
            Format::Aarch64 => aarch64::TABLE | PRESENT,
        }
    }

    /// The bits of an entry that maps a page, or a large one.
    fn page(self, large: bool, rights: Rights) -> u64 {
        PRESENT
            | match self {
                Format::X86_64 { no_execute } => {
                    let no_execute = if no_execute { x86_64::NO_EXECUTE } else { 0 };
                    let kind = if large { x86_64::LARGE } else { 0 };
                    kind | match rights {
                        Rights::Execute => 0,
                        Rights::Read => no_execute,
                        Rights::Write => x86_64::WRITABLE | no_execute,
                        Rights::Registers => x86_64::WRITABLE | x86_64::UNCACHED | no_execute,
                    }
                }
                Format::Aarch64 => {
                    use aarch64::*;
                    let kind = if large { 0 } else { TABLE };
                    kind | ACCESSED
                        | match rights {
                            Rights::Execute => SHARED | READ_ONLY | NO_EXECUTE_UNPRIVILEGED,
                            Rights::Read => SHARED | READ_ONLY | NO_EXECUTE,
                            Rights::Write => SHARED | NO_EXECUTE,
                            Rights::Registers => REGISTERS | NO_EXECUTE,
                        }
                }
            }
    }
}

/// Entries of a table.
pub const ENTRIES: usize = 512;

/// The window to physical addresses: a device's registers at address N are at [`WINDOW`] + N. It is the upper
/// half of what the tables map, whose addresses x86_64 extends by their sign.
pub const WINDOW: u64 =
    if cfg!(target_arch = "x86_64") { 0xffff_8000_0000_0000 } else { 0x8000_0000_0000 };
/// Size in bytes of the window.
pub const WINDOW_SIZE: u64 = 1 << 46;

/// Memory for tables.
pub trait Memory {
    /// A new table of zeros; its address. `None` if there is no memory left.
    fn table(&mut self) -> Option<u64>;
    /// An entry of a table.
    fn read(&self, table: u64, index: usize) -> u64;
    /// Sets an entry of a table.
    fn write(&mut self, table: u64, index: usize, entry: u64);
}

/// Page tables.
#[derive(Clone, Copy, Debug)]
pub struct Tables {
    /// The table of the fourth level.
    pub root: u64,
    /// The bits of their entries.
    pub format: Format,
}

impl Tables {
    /// Maps whole pages from `start` on to those from `physical` on. `None` if there is no memory for
    /// tables.
    pub fn map(
        &self,
        memory: &mut impl Memory,
        start: u64,
        physical: u64,
        size: u64,
        rights: Rights,
    ) -> Option<()> {
        let mut done = 0;
        while done < size {
            let at = start.wrapping_add(done);
            let to = physical.wrapping_add(done);
            let left = size.wrapping_sub(done);
            // Windows to registers are small, and a large page there could not be split.
            let large = rights != Rights::Registers
                && (at | to).is_multiple_of(LARGE_PAGE)
                && left >= LARGE_PAGE;
            let mut table = self.root;
            for level in if large { 2..4 } else { 1..4 }.rev() {
                let index = index(at, level);
                let entry = memory.read(table, index);
                table = if entry & PRESENT == 0 {
                    let new = memory.table()?;
                    memory.write(table, index, new | self.format.table());
                    new
                } else {
                    entry & ADDRESS
                };
            }
            let level = if large { 1 } else { 0 };
            memory.write(table, index(at, level), to | self.format.page(large, rights));
            done = done.wrapping_add(if large { LARGE_PAGE } else { PAGE });
        }
        Some(())
    }
}

/// The index of an address in its table of a level; level 0 has the smallest pages.
fn index(address: u64, level: u32) -> usize {
    (address >> (12 + 9 * level)) as usize % ENTRIES
}

#[cfg(test)]
mod tests {
    use super::x86_64::{LARGE, NO_EXECUTE};
    use super::*;
    use std::collections::BTreeMap;

    /// Tables at addresses 0x1000, 0x2000, …, at most `left` of them.
    #[derive(Default)]
    struct Fake {
        entries: BTreeMap<(u64, usize), u64>,
        count: u64,
        left: u64,
    }

    impl Memory for Fake {
        fn table(&mut self) -> Option<u64> {
            self.left = self.left.checked_sub(1)?;
            self.count += 1;
            Some(self.count << 12)
        }

        fn read(&self, table: u64, index: usize) -> u64 {
            self.entries.get(&(table, index)).copied().unwrap_or(0)
        }

        fn write(&mut self, table: u64, index: usize, entry: u64) {
            self.entries.insert((table, index), entry);
        }
    }

    impl Fake {
        /// As a CPU walks them: the physical address and the last entry's other bits.
        fn walk(&self, root: u64, address: u64) -> Option<(u64, u64)> {
            self.walk_as(root, address, |entry| entry & LARGE != 0)
        }

        fn walk_as(
            &self,
            root: u64,
            address: u64,
            is_large: impl Fn(u64) -> bool,
        ) -> Option<(u64, u64)> {
            let mut table = root;
            for level in (0..4).rev() {
                let entry = self.read(table, index(address, level));
                if entry & PRESENT == 0 {
                    return None;
                }
                if level == 0 || is_large(entry) {
                    let page = if level == 0 { PAGE } else { LARGE_PAGE };
                    return Some(((entry & ADDRESS) + address % page, entry & !ADDRESS));
                }
                table = entry & ADDRESS;
            }
            None
        }
    }

    fn tables(left: u64) -> (Fake, Tables) {
        let mut memory = Fake { left, ..Fake::default() };
        let root = memory.table().unwrap();
        (memory, Tables { root, format: Format::X86_64 { no_execute: true } })
    }

    #[test]
    fn small_pages_lead_to_large_ones_and_back() {
        let (mut memory, tables) = tables(99);
        let (start, size) = (0x1f_f000, 0x40_2000);
        tables.map(&mut memory, start, start, size, Rights::Write).unwrap();
        // The root, one of the third level, one directory, two of small pages.
        assert_eq!(memory.count, 5);
        for address in [start, 0x20_0000, 0x3f_ffff, 0x5f_ffff, 0x60_0fff] {
            let (physical, bits) = memory.walk(tables.root, address).unwrap();
            assert_eq!(physical, address);
            let large = (0x20_0000..0x60_0000).contains(&address);
            assert_eq!(bits, NO_EXECUTE | 3 | if large { LARGE } else { 0 }, "{address:#x}");
        }
        for address in [0, start - 1, 0x60_1000] {
            assert_eq!(memory.walk(tables.root, address), None, "{address:#x}");
        }
    }

    #[test]
    fn rights() {
        let (mut memory, tables) = tables(99);
        let all = [Rights::Execute, Rights::Read, Rights::Write, Rights::Registers];
        for (rights, expected) in
            all.into_iter().zip([0x1, NO_EXECUTE | 1, NO_EXECUTE | 3, NO_EXECUTE | 0x1b])
        {
            tables.map(&mut memory, WINDOW, 0xfeb0_0000, PAGE, rights).unwrap();
            assert_eq!(memory.walk(tables.root, WINDOW + 5), Some((0xfeb0_0005, expected)));
            let format = Format::X86_64 { no_execute: false };
            let old = Tables { format, ..tables };
            old.map(&mut memory, WINDOW, 0xfeb0_0000, PAGE, rights).unwrap();
            let bits = memory.walk(tables.root, WINDOW).unwrap().1;
            assert_eq!(bits, expected & !NO_EXECUTE, "a CPU without it faults on the bit");
        }
    }

    #[test]
    fn rights_on_aarch64() {
        let (mut memory, tables) = tables(99);
        let tables = Tables { format: Format::Aarch64, ..tables };
        let walk =
            |memory: &Fake, address| memory.walk_as(tables.root, address, |entry| entry & 2 == 0);
        // As the Arm manual has them: XN, PXN, AF, SH, AP, AttrIndx, page, valid.
        let all = [
            (Rights::Execute, 1 << 54 | 0x400 | 0x300 | 0x80 | 3),
            (Rights::Read, 3 << 53 | 0x400 | 0x300 | 0x80 | 3),
            (Rights::Write, 3 << 53 | 0x400 | 0x300 | 3),
            (Rights::Registers, 3 << 53 | 0x400 | 4 | 3),
        ];
        for (rights, expected) in all {
            tables.map(&mut memory, 0x5000, 0x4020_5000, PAGE, rights).unwrap();
            assert_eq!(walk(&memory, 0x5005), Some((0x4020_5005, expected)), "{rights:?}");
            assert!(expected & 0x80 != 0 || expected & 1 << 53 != 0, "writable and executable");
        }
        tables.map(&mut memory, 0x4000_0000, 0x8000_0000, LARGE_PAGE, Rights::Write).unwrap();
        let (physical, bits) = walk(&memory, 0x4000_1234).unwrap();
        assert_eq!((physical, bits), (0x8000_1234, 3 << 53 | 0x400 | 0x300 | 1));
    }

    #[test]
    fn memory_for_tables_can_run_out() {
        let (mut memory, tables) = tables(3);
        assert_eq!(tables.map(&mut memory, 0x1000, 0x1000, PAGE, Rights::Read), None);
    }
}
