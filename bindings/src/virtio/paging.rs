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

const PRESENT: u64 = 1;
const WRITABLE: u64 = 1 << 1;
/// Cache disabled, and write-through.
const UNCACHED: u64 = 3 << 3;
const LARGE: u64 = 1 << 7;
const NO_EXECUTE: u64 = 1 << 63;
/// The address in an entry.
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// Entries of a table.
pub const ENTRIES: usize = 512;

/// The window to physical addresses: a device's registers at address N are at [`WINDOW`] + N.
pub const WINDOW: u64 = 0xffff_8000_0000_0000;
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
    /// Whether the CPU knows pages that are not executable.
    pub no_execute: bool,
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
                    memory.write(table, index, new | WRITABLE | PRESENT);
                    new
                } else {
                    entry & ADDRESS
                };
            }
            let kind = if large { LARGE } else { 0 };
            let level = if large { 1 } else { 0 };
            memory.write(table, index(at, level), to | kind | self.bits(rights));
            done = done.wrapping_add(if large { LARGE_PAGE } else { PAGE });
        }
        Some(())
    }

    fn bits(&self, rights: Rights) -> u64 {
        let no_execute = if self.no_execute { NO_EXECUTE } else { 0 };
        PRESENT
            | match rights {
                Rights::Execute => 0,
                Rights::Read => no_execute,
                Rights::Write => WRITABLE | no_execute,
                Rights::Registers => WRITABLE | UNCACHED | no_execute,
            }
    }
}

/// The index of an address in its table of a level; level 0 has the smallest pages.
fn index(address: u64, level: u32) -> usize {
    (address >> (12 + 9 * level)) as usize % ENTRIES
}

#[cfg(test)]
mod tests {
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
            let mut table = root;
            for level in (0..4).rev() {
                let entry = self.read(table, index(address, level));
                if entry & PRESENT == 0 {
                    return None;
                }
                if level == 0 || entry & LARGE != 0 {
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
        (memory, Tables { root, no_execute: true })
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
            let old = Tables { no_execute: false, ..tables };
            old.map(&mut memory, WINDOW, 0xfeb0_0000, PAGE, rights).unwrap();
            let bits = memory.walk(tables.root, WINDOW).unwrap().1;
            assert_eq!(bits, expected & !NO_EXECUTE, "a CPU without it faults on the bit");
        }
    }

    #[test]
    fn memory_for_tables_can_run_out() {
        let (mut memory, tables) = tables(3);
        assert_eq!(tables.map(&mut memory, 0x1000, 0x1000, PAGE, Rights::Read), None);
    }
}
