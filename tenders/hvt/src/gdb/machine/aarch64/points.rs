//! Breakpoints and watchpoints as the CPU's debug registers have them (Arm's manual, D19.3, DBGBCR<n>_EL1 and
//! DBGWCR<n>_EL1).

use gdbstub::target::ext::breakpoints::WatchKind;

use crate::gdb::machine::stop::Hardware;

/// The register is in use, for EL1 and EL0.
const ENABLED: u64 = 0b11 << 1 | 1;

/// DBGBCR of every breakpoint: one on all four bytes of an instruction.
pub(super) const BREAKPOINT: u64 = 0b1111 << 5 | ENABLED;

/// Size of the largest range that DBGWCR can mask.
const RANGE_MAX: u64 = 1 << 31;

/// Bits of an address; the others may be a tag.
const ADDRESS: u64 = (1 << 56) - 1;

/// DBGWVR and DBGWCR for a watchpoint: bytes of one doubleword, or a power of two at a multiple of it. `None` if it is
/// neither.
pub(super) fn watchpoint(address: u64, length: u64, kind: WatchKind) -> Option<(u64, u64)> {
    let offset = address % 8;
    let (address, bytes, mask) = if (1..=8 - offset).contains(&length) {
        (address - offset, ((1 << length) - 1) << offset, 0)
    } else if length.is_power_of_two()
        && (16..=RANGE_MAX).contains(&length)
        && address.is_multiple_of(length)
    {
        (address, 0xff, u64::from(length.trailing_zeros()))
    } else {
        return None;
    };
    let access = match kind {
        WatchKind::Read => 0b01,
        WatchKind::Write => 0b10,
        WatchKind::ReadWrite => 0b11,
    };
    Some((address, mask << 24 | bytes << 5 | access << 3 | ENABLED))
}

/// The watchpoint that an access at `at` has hit. The CPU may name any address of the access, and one access may be of many
/// bytes, so it is the nearest one.
pub(super) fn nearest<'a>(
    watchpoints: impl Iterator<Item = &'a Hardware>,
    at: u64,
) -> Option<&'a Hardware> {
    let at = at & ADDRESS;
    watchpoints.min_by_key(|of| {
        let (first, last) = (of.address, of.address.saturating_add(of.length.saturating_sub(1)));
        first.saturating_sub(at).max(at.saturating_sub(last))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watchpoint_has_the_bytes_of_a_doubleword_or_a_mask() {
        let of = |address, length| watchpoint(address, length, WatchKind::Write);
        let write = 0b10 << 3 | 0b111;
        assert_eq!(of(0x1000, 8), Some((0x1000, 0xff << 5 | write)));
        assert_eq!(of(0x1004, 4), Some((0x1000, 0xf0 << 5 | write)));
        assert_eq!(of(0x1003, 1), Some((0x1000, 0x08 << 5 | write)));
        assert_eq!(of(0x1001, 3), Some((0x1000, 0x0e << 5 | write)));
        assert_eq!(of(0x1000, 16), Some((0x1000, 4 << 24 | 0xff << 5 | write)));
        assert_eq!(of(0x8000_0000, 1 << 31), Some((0x8000_0000, 31 << 24 | 0xff << 5 | write)));
        for (address, length) in [
            (0x1000, 0),
            (0x1006, 4),
            (0x1008, 16),
            (0x1000, 24),
            (0, 1 << 32),
            (u64::MAX, 2),
            (u64::MAX, u64::MAX),
        ] {
            assert_eq!(of(address, length), None, "{address:#x} {length:#x}");
        }
        let access = |kind| watchpoint(0, 1, kind).map(|(_, control)| control >> 3 & 0b11);
        assert_eq!(access(WatchKind::Read), Some(0b01));
        assert_eq!(access(WatchKind::ReadWrite), Some(0b11));
    }

    #[test]
    fn an_access_hits_the_watchpoint_that_is_nearest() {
        let of = |address, length| Hardware { address, length, watch: Some(WatchKind::Write) };
        let all = [of(0x1000, 4), of(0x1010, 8), of(u64::MAX, u64::MAX)];
        let hit = |at| nearest(all.iter().take(2), at).map(|hardware| hardware.address);
        assert_eq!(hit(0x1003), Some(0x1000));
        assert_eq!(hit(0x1017), Some(0x1010));
        assert_eq!(hit(0x100c), Some(0x1010), "a pair of registers from below it");
        assert_eq!(hit(0xab00_0000_0000_1000), Some(0x1000), "a tag");
        assert_eq!(nearest(all.iter(), u64::MAX).map(|found| found.address), Some(0x1010));
        assert_eq!(nearest([].iter(), 0x1000), None);
    }
}
