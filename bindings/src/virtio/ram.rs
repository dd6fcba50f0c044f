//! The machine's memory: where it lies, and where the unikernel sees it
//! (`docs/reference/virtio.md#memory`).
//!
//! The heap is one range, but a PC's memory is not: below 4 GiB there is a hole for devices. So the
//! piece with the image, which begins at [`BASE`], is at its own address, and every other piece follows the one before it.
//! Where two pieces meet, both are cut to [`LARGE_PAGE`], so that large pages map them.

use core::ops::Range;

/// Most pieces. Firmware splits memory into a few; what is beyond is not used.
pub const PIECES: usize = 8;
/// The page size of the second level.
pub const LARGE_PAGE: u64 = 2 << 20;
/// The page size of the first level.
pub const PAGE: u64 = 4096;
/// Where usable memory begins, and the image: below it is the firmware's.
pub const BASE: u64 = if cfg!(target_arch = "aarch64") { 0x4020_0000 } else { 1 << 20 };

/// A piece of memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Piece {
    /// Its address for the unikernel.
    pub start: u64,
    /// Its address for devices.
    pub physical: u64,
    /// Its size in bytes.
    pub size: u64,
}

/// All of the memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ram {
    pieces: [Piece; PIECES],
}

impl Ram {
    /// No memory.
    pub const EMPTY: Ram = Ram { pieces: [Piece { start: 0, physical: 0, size: 0 }; PIECES] };

    /// The memory from `base` on of a machine whose usable ranges are `ranges`, in any order. `None` if none
    /// of them has `base` in it. Ranges that overlap an earlier piece are skipped.
    pub fn new(base: u64, ranges: &[Range<u64>]) -> Option<Ram> {
        let low = ranges.iter().find(|range| range.contains(&base))?;
        let mut ram = Ram::EMPTY;
        let mut count = 0;
        let mut end = base;
        let mut next = Some(base..low.end & !(PAGE - 1));
        while let Some(range) = next {
            let size = range.end.saturating_sub(range.start);
            let Some(slot) = ram.pieces.get_mut(count) else { break };
            *slot = Piece { start: end, physical: range.start, size };
            count += 1;
            // The piece that follows this one, cut to large pages.
            next = ranges
                .iter()
                .filter_map(|other| {
                    let start = other.start.checked_next_multiple_of(LARGE_PAGE)?;
                    let most = other.end & !(PAGE - 1);
                    (start >= range.end && most.saturating_sub(start) >= LARGE_PAGE)
                        .then_some(start..most)
                })
                .min_by_key(|other| other.start);
            if next.is_some() {
                // A piece that another one follows ends at a large page.
                slot.size = (end.checked_add(size)? & !(LARGE_PAGE - 1)).checked_sub(end)?;
            }
            end = end.checked_add(slot.size)?;
        }
        Some(ram)
    }

    /// The pieces, by address.
    pub fn pieces(&self) -> impl Iterator<Item = Piece> + '_ {
        self.pieces.iter().copied().filter(|piece| piece.size != 0)
    }

    /// The first address behind the memory, as the unikernel sees it.
    pub fn end(&self) -> u64 {
        self.pieces().map(|piece| piece.start.wrapping_add(piece.size)).max().unwrap_or(0)
    }

    /// The address of `address` for devices, and the number of bytes that follow there without a gap,
    /// that byte included. `None` if the unikernel has no memory there.
    pub fn physical(&self, address: u64) -> Option<(u64, u64)> {
        self.pieces().find_map(|piece| {
            let offset = address.checked_sub(piece.start)?;
            let left = piece.size.checked_sub(offset).filter(|left| *left != 0)?;
            Some((piece.physical.checked_add(offset)?, left))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;

    #[test]
    fn memory_above_the_hole_follows_memory_below_it() {
        // QEMU `pc` with 4 GiB; firmware tables at the end of low memory.
        let ranges = [0..0x9_fc00, MIB..0xbffe_0000, 4 * GIB..5 * GIB];
        let ram = Ram::new(MIB, &ranges).unwrap();
        let low = 0xbfe0_0000;
        let pieces: std::vec::Vec<_> = ram.pieces().collect();
        assert_eq!(
            pieces,
            [
                Piece { start: MIB, physical: MIB, size: low - MIB },
                Piece { start: low, physical: 4 * GIB, size: GIB },
            ]
        );
        assert_eq!(ram.end(), low + GIB);
        assert_eq!(ram.physical(MIB), Some((MIB, low - MIB)));
        assert_eq!(ram.physical(low - 1), Some((low - 1, 1)));
        assert_eq!(ram.physical(low + 5), Some((4 * GIB + 5, GIB - 5)));
        assert_eq!(ram.physical(low + GIB), None);
        assert_eq!(ram.physical(MIB - 1), None);
    }

    #[test]
    fn one_range_is_cut_to_pages_only() {
        let low_and_rest = 0..0x7ff_d123;
        let ram = Ram::new(MIB, std::slice::from_ref(&low_and_rest)).unwrap();
        assert_eq!(ram.end(), 0x7ff_d000);
        assert_eq!(Ram::new(MIB, &[0..MIB, 2 * MIB..3 * MIB]), None);
    }

    #[test]
    fn many_or_foolish_ranges_do_no_harm() {
        let mut ranges = std::vec![MIB..4 * MIB, u64::MAX - 5..u64::MAX, 3 * MIB..9 * MIB, 7..7];
        ranges.extend((1..30).map(|n| n * GIB..n * GIB + 3 * MIB));
        let ram = Ram::new(MIB, &ranges).unwrap();
        let pieces: std::vec::Vec<_> = ram.pieces().collect();
        assert_eq!(pieces.len(), PIECES);
        assert!(pieces.windows(2).all(|two| two[0].start + two[0].size == two[1].start));
        assert!(pieces.windows(2).all(|two| two[0].physical + two[0].size <= two[1].physical));
    }

    proptest::proptest! {
        #[test]
        fn pieces_touch_and_lie_in_the_ranges(list: std::vec::Vec<(u64, u64)>) {
            let mut ranges: std::vec::Vec<_> = list.into_iter().map(|(a, b)| a..b).collect();
            ranges.push(0..64 * MIB);
            let ram = Ram::new(MIB, &ranges).unwrap_or_default();
            let mut end = MIB;
            for piece in ram.pieces() {
                assert_eq!(piece.start, end);
                end += piece.size;
                let last = piece.physical + piece.size;
                assert!(ranges.iter().any(|r| r.start <= piece.physical && last <= r.end));
            }
        }
    }
}
