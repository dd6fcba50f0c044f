//! The permitted sizes of a block device's sectors and of a network interface's frames.

use core::fmt;
use core::ops::RangeInclusive;

/// Length in bytes of an Ethernet header. An MTU does not include it.
pub const ETHERNET_HEADER: usize = 14;

/// The size of a block device's sector, the unit of every transfer. It is a power of two from 512 to
/// 32768 bytes; 32768 is the largest that fits the field in [`crate::mft1::Block`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SectorSize(u16);

impl SectorSize {
    /// The smallest.
    pub const MIN: SectorSize = SectorSize(512);
    /// The sector size if none is given.
    pub const DEFAULT: SectorSize = SectorSize::MIN;
    /// The largest.
    pub const MAX: SectorSize = SectorSize(32768);

    /// The sector size of this many bytes; `None` if the number is not permitted.
    pub fn new(bytes: u64) -> Option<SectorSize> {
        let size = SectorSize(u16::try_from(bytes).ok()?);
        (size.0.is_power_of_two() && (SectorSize::MIN..=SectorSize::MAX).contains(&size))
            .then_some(size)
    }

    /// Every sector size, in ascending order.
    pub fn all() -> impl Iterator<Item = SectorSize> {
        (0..u16::BITS).filter_map(|bit| SectorSize::new(1 << bit))
    }

    /// In bytes.
    pub const fn bytes(self) -> u16 {
        self.0
    }
}

impl fmt::Display for SectorSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The MTU of a network interface: the length in bytes of its longest frame, without the
/// [`ETHERNET_HEADER`]. It is at least 68, the minimum for IPv4, and at most what the field in
/// [`crate::mft1::Net`] can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mtu(u16);

impl Mtu {
    /// The MTU of Ethernet without jumbo frames.
    pub const ETHERNET: Mtu = Mtu(1500);
    /// The permitted MTUs, in bytes.
    pub const RANGE: RangeInclusive<u64> = 68..=u16::MAX as u64;

    /// The MTU of this many bytes; `None` if it is outside [`Mtu::RANGE`].
    pub fn new(bytes: u64) -> Option<Mtu> {
        let mtu = u16::try_from(bytes).ok()?;
        Mtu::RANGE.contains(&bytes).then_some(Mtu(mtu))
    }

    /// In bytes.
    pub const fn bytes(self) -> u16 {
        self.0
    }

    /// Length in bytes of the longest frame, header included.
    pub const fn frame(self) -> usize {
        self.0 as usize + ETHERNET_HEADER
    }
}

impl fmt::Display for Mtu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
