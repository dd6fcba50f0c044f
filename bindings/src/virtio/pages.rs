//! The page tables of this machine: what [`paging`](super::paging) does, with memory of the heap
//! (`docs/reference/virtio.md#pages`).

use core::ops::Range;
use core::ptr;
use core::sync::atomic::{
    AtomicU64,
    Ordering::{Relaxed, Release},
    fence,
};

use super::paging::{Format, Memory, Rights, Tables, WINDOW, WINDOW_SIZE};
use super::ram::{PAGE, Ram};
use crate::arch::control;
use crate::arch::symbol;
use crate::memory::Heap;

/// The table of the fourth level; 0 before there is one.
static ROOT: AtomicU64 = AtomicU64::new(0);

/// Tables in pages of the heap's first piece, whose addresses are physical ones too.
struct Pages<'a> {
    heap: &'a mut Heap,
    ram: &'a Ram,
}

impl Memory for Pages<'_> {
    fn table(&mut self) -> Option<u64> {
        let table = self.heap.reserve(PAGE)?;
        if self.ram.physical(table)?.0 != table {
            return None;
        }
        let page = ptr::with_exposed_provenance_mut::<u8>(table as usize);
        // SAFETY: the page was the heap's, and no one uses it yet.
        unsafe { page.write_bytes(0, PAGE as usize) };
        // On aarch64 the CPU's own walk has to see the zeros before the entry that leads to them.
        fence(Release);
        Some(table)
    }

    fn read(&self, table: u64, index: usize) -> u64 {
        // SAFETY: a table of this type's, and an index in it.
        unsafe { entry(table, index).read_volatile() }
    }

    fn write(&mut self, table: u64, index: usize, value: u64) {
        // SAFETY: as above.
        unsafe { entry(table, index).write_volatile(value) };
    }
}

fn entry(table: u64, index: usize) -> *mut u64 {
    ptr::with_exposed_provenance_mut::<u64>(table as usize).wrapping_add(index)
}

fn tables() -> Tables {
    let format = if cfg!(target_arch = "x86_64") {
        Format::X86_64 { no_execute: control::has_no_execute() }
    } else {
        Format::Aarch64
    };
    Tables { root: ROOT.load(Relaxed), format }
}

/// Maps the image, the machine's memory, except `guard`, and the page of registers at each of `registers`, and
/// uses these tables from now on. `None` if memory does not suffice.
pub(crate) fn map_memory(
    ram: &Ram,
    heap: &mut Heap,
    guard: Option<Range<u64>>,
    registers: &[u64],
) -> Option<()> {
    let image_end = symbol!("_end").next_multiple_of(PAGE);
    let initial_end = symbol!("_edata").next_multiple_of(PAGE);
    let mut pages = Pages { heap, ram };
    ROOT.store(pages.table()?, Relaxed);
    let tables = tables();
    let parts = [
        (symbol!("_stext"), symbol!("_etext"), Rights::Execute),
        (symbol!("_etext"), symbol!("_erodata"), Rights::Read),
        (symbol!("_erodata"), symbol!("_stdata"), Rights::Write),
        // The initial values of thread-local storage.
        (symbol!("_stdata"), initial_end, Rights::Read),
        (initial_end, image_end, Rights::Write),
    ];
    for (start, end, rights) in parts {
        tables.map(&mut pages, start, start, end.saturating_sub(start), rights)?;
    }
    let guard = guard.unwrap_or(0..0);
    for piece in ram.pieces() {
        let piece_end = piece.start.checked_add(piece.size)?;
        for (from, to) in
            [(image_end, guard.start.max(image_end)), (guard.end.max(image_end), piece_end)]
        {
            // Without a guard its two ends are 0, and the second part is the whole.
            let (from, to) = (from.max(piece.start), to.min(piece_end));
            let Some(size) = to.checked_sub(from) else { continue };
            let physical = piece.physical.checked_add(from.wrapping_sub(piece.start))?;
            tables.map(&mut pages, from, physical, size, Rights::Write)?;
        }
    }
    for address in registers {
        map_registers(ram, heap, *address, 1)?;
    }
    // SAFETY: the image with its stack and data, and all other memory, are where they were.
    unsafe { control::set_tables(tables.root) };
    Some(())
}

/// Maps a window to registers. `None` if memory for tables does not suffice.
pub(crate) fn map_registers(
    ram: &Ram,
    heap: &mut Heap,
    physical: u64,
    size: u64,
) -> Option<*mut u8> {
    let end = physical.checked_add(size).filter(|end| *end <= WINDOW_SIZE)?;
    let first = physical & !(PAGE - 1);
    let length = end.checked_next_multiple_of(PAGE)?.checked_sub(first)?;
    let start = WINDOW.checked_add(first)?;
    tables().map(&mut Pages { heap, ram }, start, first, length, Rights::Registers)?;
    for page in (0..length).step_by(PAGE as usize) {
        control::forget(start.wrapping_add(page));
    }
    Some(ptr::with_exposed_provenance_mut(WINDOW.checked_add(physical)? as usize))
}
