//! The guest's memory map (`docs/reference/hvt.md#memory`). The tables that map it, and the CPU's state
//! at entry, are in [`crate::arch`].
//!
//! ```text
//! 0x1000   .. 0x10000    page tables and what belongs to them: not mapped for the guest
//! 0x10000  .. 0x100000   boot information, manifest, command line: read-only
//! 0x1f000  .. 0x20000    in between, the seed's page: writable if a seed is offered
//! 0x100000 .. guest      the guest's segments, heap and stack
//! guest    .. mapped     the network ring, if any
//! ```
//!
//! `guest` and `mapped` are the fields of [`Size`]. A guard below the stack is not mapped for the guest.

use std::ops::Range;

/// The size of guest memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// The size that the guest is told; also the address of the ring, if there is one.
    pub guest: u64,
    /// The size that is mapped, which includes the ring.
    pub mapped: u64,
}

/// The pages that the guest can execute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Executable<'r> {
    /// All pages: the CPU lacks the no-execute bit, or the launch asked for an executable heap.
    All,
    /// Only these, in ascending order and aligned to pages.
    Only(&'r [Range<u64>]),
}

impl Executable<'_> {
    /// Whether anything in `pages` is executable.
    pub fn has(&self, pages: &Range<u64>) -> bool {
        match self {
            Executable::All => true,
            Executable::Only(ranges) => {
                ranges.iter().any(|range| range.start < pages.end && range.end > pages.start)
            }
        }
    }

    /// Whether `pages` has both executable and other pages.
    pub fn is_mixed(&self, pages: &Range<u64>) -> bool {
        let whole = |range: &Range<u64>| range.start <= pages.start && range.end >= pages.end;
        match self {
            Executable::All => false,
            Executable::Only(ranges) => self.has(pages) && !ranges.iter().any(whole),
        }
    }
}
