//! What drivers get of the machine: memory that devices can reach, windows to a device's registers,
//! interrupt lines, and the list of virtio-mmio transports.

use core::cell::UnsafeCell;
use core::ptr;

use solo5_abi::mft1::Entry;

use super::pages;
use super::ram::{PAGE, Ram};
use super::transports::{self, Transport};
use crate::memory::Heap;

/// A value that only the one thread of the unikernel uses. Interrupt handlers touch none.
pub(crate) struct Global<T>(UnsafeCell<T>);

// SAFETY: there is one thread.
unsafe impl<T> Sync for Global<T> {}

impl<T> Global<T> {
    /// A global with this first value.
    pub(crate) const fn new(value: T) -> Global<T> {
        Global(UnsafeCell::new(value))
    }

    /// The value.
    ///
    /// # Safety
    ///
    /// While the result lives, nobody else calls this.
    #[expect(clippy::mut_from_ref, reason = "the caller promises that there is one at a time")]
    pub(crate) unsafe fn get(&self) -> &mut T {
        // SAFETY: the caller's promise.
        unsafe { &mut *self.0.get() }
    }
}

/// The machine's memory; set at start.
static RAM: Global<Ram> = Global::new(Ram::EMPTY);

/// Sets the machine's memory.
pub(crate) fn set_ram(ram: Ram) {
    // SAFETY: nothing else runs, and the reference ends here.
    *unsafe { RAM.get() } = ram;
}

/// The address of `pointer` for devices, and the number of bytes that follow there without a gap.
/// `None` outside memory: then no device may get it.
pub(crate) fn physical(pointer: *const u8) -> Option<(u64, u64)> {
    // SAFETY: the reference ends here.
    unsafe { RAM.get() }.physical(pointer.addr() as u64)
}

/// Memory that a device can reach: zeros, whole pages, one behind the other also for the device.
#[derive(Clone, Copy)]
pub(crate) struct Pages {
    /// Their address for the unikernel.
    pub(crate) start: *mut u8,
    /// Their address for devices.
    pub(crate) physical: u64,
}

/// The machine while drivers attach.
pub(crate) struct Setup<'a> {
    pub(crate) heap: &'a mut Heap,
    /// The manifest's entries, the reserved one first. Attaching fills them in.
    pub(crate) entries: &'a mut [Entry],
    /// The machine's command line as it came, the options for Solo5 included.
    pub(crate) command_line: &'static [u8],
    /// The descriptor of the manifest's properties, empty if it has none.
    pub(crate) properties: &'static [u8],
    /// The identifier of the disk that the machine was booted from, if the loader says it.
    pub(crate) boot_disk: Option<u32>,
    /// The line that announces virtio-mmio transports.
    pub(crate) announced: &'static [u8],
    /// The transports that the firmware's tables announce.
    pub(crate) described: &'static [Transport],
}

impl Setup<'_> {
    /// Takes `count` pages from the heap for good. `None` if too little memory would be left.
    pub(crate) fn pages(&mut self, count: u64) -> Option<Pages> {
        let size = count.checked_mul(PAGE)?;
        let (_, left) = physical(ptr::with_exposed_provenance(self.heap.start as usize))?;
        if left < size {
            // The rest of this piece is lost, since it is too small.
            self.heap.reserve(left)?;
        }
        let start: *mut u8 = ptr::with_exposed_provenance_mut(self.heap.reserve(size)? as usize);
        let (physical, left) = physical(start)?;
        if left < size {
            return None;
        }
        // SAFETY: these bytes were the heap's, and no one uses them yet.
        unsafe { start.write_bytes(0, size as usize) };
        Some(Pages { start, physical })
    }

    /// A window to `size` bytes of a device's registers at a physical address, not cached. `None` if
    /// the range is empty, is larger than any device's, is memory, is beyond what a window can show,
    /// or no page for tables is left.
    pub(crate) fn registers(&mut self, physical: u64, size: u64) -> Option<*mut u8> {
        /// Tables for a larger window would take too much memory.
        const MOST: u64 = 16 << 20;
        let end = physical.checked_add(size)?;
        // SAFETY: the reference ends here.
        let ram = unsafe { RAM.get() };
        let is_memory = ram.pieces().any(|piece| {
            physical < piece.physical.saturating_add(piece.size) && piece.physical < end
        });
        if is_memory || !(1..=MOST).contains(&size) {
            return None;
        }
        pages::map_registers(ram, self.heap, physical, size)
    }

    /// The virtio-mmio transports that the machine announces.
    pub(crate) fn transports(&self) -> impl Iterator<Item = Transport> + use<> {
        // Machines announce them in one way or the other.
        transports::announced(self.announced).chain(self.described.iter().copied())
    }
}
