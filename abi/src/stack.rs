//! Where the stack of a guest lies, and the guard below it (`docs/reference/guest-api.md#stack`).
//!
//! ```text
//! image_end .. guard.start   heap
//! guard                      no access; only if the tender offers it
//! guard.end .. memory        stack
//! ```

use core::ops::Range;

/// Least bytes for the heap, or for heap and stack together if the image asks for no stack. With
/// less a guest does not start.
pub const HEAP_MIN: u64 = 0x8_0000;

/// Bytes of the guard, and what the sizes of stacks are multiples of. No architecture has larger
/// pages.
pub const GUARD: u64 = 64 << 10;

/// Whether a stack can have this size in bytes.
pub const fn is_size(size: u64) -> bool {
    size != 0 && size.is_multiple_of(GUARD)
}

/// The guard below a stack of `stack` bytes at the end of `memory` bytes, for an image that ends at
/// `image_end`. `None` if memory is smaller than [`least_memory`].
pub fn guard(image_end: u64, stack: u64, memory: u64) -> Option<Range<u64>> {
    let end = memory.checked_sub(stack)?;
    let start = end.checked_sub(GUARD)?;
    let heap = start.checked_sub(image_end)?;
    (heap >= HEAP_MIN).then_some(start..end)
}

/// Least memory in bytes that holds an image that ends at `image_end`, the least heap, the guard and
/// a stack of `stack` bytes. `None` if the number has more than 64 bits.
pub fn least_memory(image_end: u64, stack: u64) -> Option<u64> {
    image_end.checked_add(HEAP_MIN)?.checked_add(GUARD)?.checked_add(stack)
}

/// Whether a refused access to `address` means that a stack has grown into `guard`, if the stack
/// pointer was `stack`. An overrun of the heap hits the same guard from below, but with a stack
/// pointer that lies in the stack.
pub fn is_overflow(guard: &Range<u64>, address: u64, stack: u64) -> bool {
    /// What hits the guard may still have the start of its frame in the stack.
    const FRAME: u64 = 0x1000;
    guard.contains(&address) && stack < guard.end.saturating_add(FRAME)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overflow_is_told_from_an_overrun_of_the_heap() {
        let guard = 0x1e_0000..0x1f_0000;
        let is = |address, stack| is_overflow(&guard, address, stack);
        assert!(is(0x1e_fff8, 0x1f_0000), "a call at the end of the stack");
        assert!(is(0x1e_f000, 0x1e_f000), "a probe of a large frame");
        assert!(is(0x1e_f000, 0x1d_0000), "a large frame without probes");
        assert!(!is(0x1e_0000, 0x1f_f000), "a heap that is overrun");
        assert!(!is(0x1d_fff8, 0x1d_fff8) && !is(0x1f_0000, 0x1f_0000), "elsewhere");
    }

    const MIB: u64 = 1 << 20;

    #[test]
    fn the_guard_lies_below_the_stack() {
        let guard = guard(0x10_6000, 4 * GUARD, 8 * MIB);
        assert_eq!(guard, Some(8 * MIB - 5 * GUARD..8 * MIB - 4 * GUARD));
    }

    #[test]
    fn there_is_a_guard_exactly_if_memory_suffices() {
        let edges = [0, 1, GUARD, HEAP_MIN, MIB, 1 << 32, 1 << 63, u64::MAX - GUARD, u64::MAX];
        for image_end in edges {
            for stack in edges {
                let least = least_memory(image_end, stack);
                for memory in edges.into_iter().chain(least.and_then(|least| least.checked_sub(1)))
                {
                    let enough = least.is_some_and(|least| memory >= least);
                    let guard = guard(image_end, stack, memory);
                    assert_eq!(guard.is_some(), enough, "{image_end:#x} {stack:#x} {memory:#x}");
                }
                let Some(least) = least else { continue };
                let guard = guard(image_end, stack, least);
                assert_eq!(guard, Some(image_end + HEAP_MIN..least - stack));
            }
        }
    }
}
