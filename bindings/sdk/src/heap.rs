//! The heap behind `alloc`, in the memory the bindings leave to the program.
//!
//! The allocator is `talc`: it allocates and releases in constant time for all practical purposes,
//! lets allocations grow in place, and needs no operating system.

use core::alloc::{GlobalAlloc, Layout};

use talc::DefaultBinning;
use talc::cell::TalcCell;
use talc::source::Manual;

/// Bytes at the top of the region that stay free for the stack if it lies there and the region is large
/// enough.
const STACK: usize = 1024 * 1024;

/// The heap's share of a region of `size` bytes at `start`: all of it if the stack, with a variable at
/// `stack`, lies elsewhere (docs/reference/guest-api.md#stack). Otherwise the rest, at the top, is the
/// stack's.
pub(crate) fn heap_part(start: usize, size: usize, stack: usize) -> usize {
    if stack.wrapping_sub(start) < size { size - STACK.min(size / 2) } else { size }
}

/// The global allocator of a unikernel, empty until it is given its region.
pub struct Heap(TalcCell<Manual, DefaultBinning>);

// SAFETY: a Solo5 guest has one thread and no interrupt or signal handler that could allocate
// (docs/reference/guest-api.md#rules), so no two borrows of the cell can be alive at once.
unsafe impl Sync for Heap {}

impl Heap {
    /// An allocator without memory.
    #[must_use]
    pub const fn new() -> Heap {
        Heap(TalcCell::new(Manual))
    }

    /// Gives the allocator the region of `size` bytes at `start`.
    ///
    /// # Safety
    ///
    /// The region is readable and writable, lives as long as the allocator, and no other code uses
    /// it. This is called once.
    pub(crate) unsafe fn start(&self, start: *mut u8, size: usize) {
        // A region too small for the allocator's own tables leaves the heap empty: the first
        // allocation fails and says so.
        // SAFETY: the caller vouches for the region.
        let _ = unsafe { self.0.claim(start, size) };
    }
}

impl Default for Heap {
    fn default() -> Heap {
        Heap::new()
    }
}

// SAFETY: every call goes to `talc`'s implementation with the caller's own arguments.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of the same call.
        unsafe { self.0.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of the same call.
        unsafe { self.0.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of the same call.
        unsafe { self.0.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller keeps the contract of the same call.
        unsafe { self.0.realloc(pointer, layout, new_size) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stack_keeps_its_share() {
        for (size, part) in [(32 << 20, 31 << 20), (2 << 20, 1 << 20), (512 << 10, 256 << 10)] {
            assert_eq!(heap_part(0x10_6000, size, 0x10_6000 + size - 8), part);
            // With a guard between them, and without one.
            assert_eq!(heap_part(0x10_6000, size, 0x10_6000 + size + (64 << 10)), size);
            assert_eq!(heap_part(0x10_6000, size, 0x10_6000 + size), size);
        }
        assert_eq!(heap_part(0x10_6000, 0, 0x10_6000), 0);
    }

    #[test]
    fn allocations_lie_in_the_heaps_part_and_do_not_overlap() {
        let mut region = vec![0u8; 4 << 20];
        let range = region.as_mut_ptr_range();
        let heap = Heap::new();
        let layout = Layout::from_size_align(100_000, 64).unwrap();
        // SAFETY: the layout has a size.
        assert!(unsafe { heap.alloc(layout) }.is_null());
        // SAFETY: the vector outlives the heap and nothing else uses it.
        unsafe { heap.start(range.start, region.len() - STACK) };
        let mut blocks = Vec::new();
        loop {
            // SAFETY: the layout has a size.
            let block = unsafe { heap.alloc(layout) };
            if block.is_null() {
                break;
            }
            assert!(block.cast::<[u8; 64]>().is_aligned() && block.addr() % 64 == 0);
            blocks.push(block.addr());
        }
        blocks.sort_unstable();
        assert!(blocks.len() >= 30, "{} blocks", blocks.len());
        assert!(blocks.windows(2).all(|pair| pair[1] - pair[0] >= 100_000));
        assert!(blocks[0] >= range.start.addr());
        assert!(blocks[blocks.len() - 1] + 100_000 <= range.end.addr() - STACK);
    }

    #[test]
    fn a_region_too_small_is_an_empty_heap() {
        let mut region = [0u8; 64];
        let heap = Heap::new();
        // SAFETY: the array outlives the heap and nothing else uses it.
        unsafe { heap.start(region.as_mut_ptr(), region.len()) };
        // SAFETY: the layout has a size.
        assert!(unsafe { heap.alloc(Layout::new::<u64>()) }.is_null());
    }

    #[test]
    fn released_memory_is_used_again_and_contents_move_along() {
        let mut region = vec![0xffu8; 4 << 20];
        let heap = Heap::default();
        // SAFETY: the vector outlives the heap and nothing else uses it.
        unsafe { heap.start(region.as_mut_ptr(), region.len()) };
        let layout = Layout::from_size_align(2 << 20, 16).unwrap();
        for round in 0..3 {
            // SAFETY: the layout has a size.
            let block = unsafe { heap.alloc_zeroed(layout) };
            assert!(!block.is_null(), "round {round}: the heap has room for one such block");
            // SAFETY: the block has this many bytes, and the call above has set them.
            let bytes = unsafe { core::slice::from_raw_parts_mut(block, layout.size()) };
            assert!(bytes.iter().all(|byte| *byte == 0), "round {round}");
            bytes.fill(7);
            // SAFETY: the block comes from this heap, with this layout.
            unsafe { heap.dealloc(block, layout) };
        }
        let small = Layout::from_size_align(100, 16).unwrap();
        // SAFETY: the layout has a size.
        let block = unsafe { heap.alloc(small) };
        // SAFETY: the block has this many bytes.
        unsafe { block.write_bytes(9, 100) };
        // SAFETY: the block comes from this heap, with this layout; the new size is not 0.
        let block = unsafe { heap.realloc(block, small, 1 << 20) };
        // SAFETY: the first 100 bytes are those set above.
        let bytes = unsafe { core::slice::from_raw_parts(block, 100) };
        assert_eq!(bytes, [9; 100]);
    }
}
