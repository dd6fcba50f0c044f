//! Devices, and the calls that each of them permits (`docs/reference/guest-api.md#acquire`).
//!
//! The manifest the tender hands over is the table of devices; a handle is an index into it.

use core::sync::atomic::{AtomicU64, Ordering};

use solo5_abi::device::ETHERNET_HEADER;
use solo5_abi::mft1::{Block, DeviceType, ENTRIES_MAX, Entry, Net};
use solo5_abi::offer::Offer;

use crate::api_types::Error;

/// The devices of a guest.
#[derive(Debug)]
pub struct Devices<'a> {
    /// The manifest's entries, the reserved one first.
    entries: &'a [Entry],
    /// Bit N: the device of handle N has been acquired.
    acquired: &'a AtomicU64,
}

impl<'a> Devices<'a> {
    /// The devices of a manifest with `entries`; bits in `acquired` are set as they are acquired.
    pub fn new(entries: &'a [Entry], acquired: &'a AtomicU64) -> Devices<'a> {
        Devices { entries: entries.get(..ENTRIES_MAX).unwrap_or(entries), acquired }
    }

    /// What the tender offers; nothing if it is older than offers.
    pub fn offer(&self) -> Offer {
        self.entries.first().map_or(Offer::default(), Entry::offer)
    }

    /// Acquires the device of this name and type. `Invalid` if there is none or it has been acquired
    /// before, `Unspecified` if the operator has not attached it.
    pub fn acquire(&self, name: &[u8], kind: DeviceType) -> Result<(u64, &'a Entry), Error> {
        let (handle, entry) = (0..)
            .zip(self.entries)
            .find(|(_, entry)| entry.kind_number() == kind.number() && entry.has_name(name))
            .ok_or(Error::Invalid)?;
        if !entry.is_attached() {
            return Err(Error::Unspecified);
        }
        let bit = 1u64.wrapping_shl(handle);
        let acquired = self.acquired.load(Ordering::Relaxed);
        if acquired & bit != 0 {
            return Err(Error::Invalid);
        }
        self.acquired.store(acquired | bit, Ordering::Relaxed);
        Ok((handle.into(), entry))
    }

    /// The attached device with this handle, if it is of this type.
    fn attached(&self, handle: u64, kind: DeviceType) -> Result<&'a Entry, Error> {
        let entry = usize::try_from(handle)
            .ok()
            .and_then(|index| self.entries.get(index))
            .filter(|entry| entry.kind_number() == kind.number())
            .ok_or(Error::Invalid)?;
        if entry.is_attached() { Ok(entry) } else { Err(Error::Unspecified) }
    }

    /// The network interface `handle`.
    pub fn network(&self, handle: u64) -> Option<&'a Entry> {
        self.attached(handle, DeviceType::NetBasic).ok()
    }

    /// The network interface `handle`, if it may send a frame of `size` bytes.
    pub fn net_write(&self, handle: u64, size: usize) -> Result<&'a Entry, Error> {
        let entry = self.attached(handle, DeviceType::NetBasic)?;
        if (ETHERNET_HEADER..=frame_max(&entry.net())).contains(&size) {
            Ok(entry)
        } else {
            Err(Error::Invalid)
        }
    }

    /// The network interface `handle`, if it may receive into a buffer of `size` bytes.
    pub fn net_read(&self, handle: u64, size: usize) -> Result<&'a Entry, Error> {
        let entry = self.attached(handle, DeviceType::NetBasic)?;
        if size >= frame_max(&entry.net()) { Ok(entry) } else { Err(Error::Invalid) }
    }

    /// The block device `handle`, if it has exactly one block of `size` bytes at `offset`.
    pub fn block(&self, handle: u64, offset: u64, size: usize) -> Result<&'a Entry, Error> {
        let entry = self.attached(handle, DeviceType::BlockBasic)?;
        if is_block(&entry.block(), offset, size) { Ok(entry) } else { Err(Error::Invalid) }
    }

    /// The block device `handle`, if it has `size` bytes at `offset` and these are whole blocks, at
    /// least one.
    pub fn blocks(&self, handle: u64, offset: u64, size: usize) -> Result<&'a Entry, Error> {
        let entry = self.attached(handle, DeviceType::BlockBasic)?;
        if are_blocks(&entry.block(), offset, size) { Ok(entry) } else { Err(Error::Invalid) }
    }

    /// The block device `handle`.
    pub fn block_device(&self, handle: u64) -> Result<&'a Entry, Error> {
        self.attached(handle, DeviceType::BlockBasic)
    }

    /// Length in bytes of the longest frame of any attached network interface. `None` if none is
    /// attached: then no input can arrive.
    pub fn longest_frame(&self) -> Option<usize> {
        let interfaces = self.entries.iter().filter(|entry| {
            entry.kind_number() == DeviceType::NetBasic.number() && entry.is_attached()
        });
        interfaces.map(|entry| frame_max(&entry.net())).max()
    }
}

/// Longest frame in bytes, its header included.
fn frame_max(net: &Net) -> usize {
    usize::from(net.mtu.get()) + ETHERNET_HEADER
}

/// Whether `size` bytes at `offset` are one whole block of the device.
fn is_block(block: &Block, offset: u64, size: usize) -> bool {
    let block_size = u64::from(block.block_size.get());
    let last = block.capacity.get().checked_sub(block_size);
    size as u64 == block_size
        && offset.checked_rem(block_size) == Some(0)
        && last.is_some_and(|last| offset <= last)
}

/// Whether `size` bytes at `offset` are whole blocks of the device, at least one.
fn are_blocks(block: &Block, offset: u64, size: usize) -> bool {
    let block_size = u64::from(block.block_size.get());
    let end = offset.checked_add(size as u64);
    size != 0
        && (size as u64).checked_rem(block_size) == Some(0)
        && offset.checked_rem(block_size) == Some(0)
        && end.is_some_and(|end| end <= block.capacity.get())
}

/// Most bytes in one transfer, whole blocks: as many as the tender `offers`, else one block.
pub fn transfer_most(block_size: usize, offers: Option<u64>) -> usize {
    let most = offers.map_or(0, |most| usize::try_from(most).unwrap_or(usize::MAX));
    let odd = most.checked_rem(block_size).unwrap_or(0);
    most.saturating_sub(odd).max(block_size)
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use super::*;

    const NET: DeviceType = DeviceType::NetBasic;
    const BLOCK: DeviceType = DeviceType::BlockBasic;

    /// Handle 1: block `a`; 2: net `a`; 3: net `b`, not attached; 4: block `big`.
    fn entries() -> Vec<Entry> {
        let mut block = Entry::device("a", BLOCK).unwrap();
        block.attach_block(Block::new(4096, 512), 5);
        let mut net = Entry::device("a", NET).unwrap();
        net.attach_net(Net::new([2; 6], 1500), 6);
        let declined = Entry::device("b", NET).unwrap();
        let mut big = Entry::device("big", BLOCK).unwrap();
        big.attach_block(Block::new(u64::MAX - 4095, 4096), 7);
        vec![Entry::RESERVED, block, net, declined, big]
    }

    fn with<T>(test: impl FnOnce(&Devices<'_>) -> T) -> T {
        let (entries, acquired) = (entries(), AtomicU64::new(0));
        test(&Devices::new(&entries, &acquired))
    }

    #[test]
    fn names_are_found_by_type() {
        with(|devices| {
            assert_eq!(devices.acquire(b"a", NET).map(|(handle, _)| handle), Ok(2));
            assert_eq!(devices.acquire(b"a", BLOCK).map(|(handle, _)| handle), Ok(1));
            for name in [&b""[..], b"aa", b"A", b"big\0", &[b'x'; 68]] {
                assert_eq!(devices.acquire(name, NET).err(), Some(Error::Invalid));
            }
        });
    }

    #[test]
    fn a_device_is_acquired_once() {
        with(|devices| {
            assert!(devices.acquire(b"a", NET).is_ok());
            assert_eq!(devices.acquire(b"a", NET).err(), Some(Error::Invalid));
            assert!(devices.acquire(b"big", BLOCK).is_ok());
        });
    }

    #[test]
    fn an_unattached_device_gives_errors() {
        with(|devices| {
            assert_eq!(devices.acquire(b"b", NET).err(), Some(Error::Unspecified));
            assert_eq!(devices.net_read(3, 1514).err(), Some(Error::Unspecified));
            assert_eq!(devices.net_write(3, 60).err(), Some(Error::Unspecified));
        });
    }

    #[test]
    fn handles_have_64_bits_and_a_type() {
        with(|devices| {
            assert!(devices.net_read(2, 1514).is_ok());
            for handle in [0, 1, 4, 5, 63, 64, u64::MAX, 2 + (1 << 32), 2 | 1 << 63] {
                assert_eq!(devices.net_read(handle, 1514).err(), Some(Error::Invalid));
                assert_eq!(devices.net_write(handle, 60).err(), Some(Error::Invalid));
            }
            assert_eq!(devices.block(2, 0, 512).err(), Some(Error::Invalid));
            assert_eq!(devices.block(1 + (1 << 32), 0, 512).err(), Some(Error::Invalid));
        });
    }

    #[test]
    fn a_network_interface_is_found_only_by_its_handle() {
        with(|devices| {
            assert_eq!(devices.network(2).map(Entry::name_bytes), Some(&b"a"[..]));
            for handle in [0, 1, 3, 5, 2 + (1 << 32), u64::MAX] {
                assert!(devices.network(handle).is_none(), "{handle}");
            }
        });
    }

    #[test]
    fn frames_fit_the_mtu() {
        with(|devices| {
            for (size, ok) in [(0, false), (13, false), (14, true), (1514, true), (1515, false)] {
                assert_eq!(devices.net_write(2, size).is_ok(), ok, "write {size}");
            }
            for (size, ok) in [(0, false), (1513, false), (1514, true), (usize::MAX, true)] {
                assert_eq!(devices.net_read(2, size).is_ok(), ok, "read {size}");
            }
        });
    }

    #[test]
    fn transfers_are_one_whole_block() {
        with(|devices| {
            let cases = [
                (0, 512, true),
                (3584, 512, true),
                (4096, 512, false),
                (4095, 512, false),
                (511, 512, false),
                (u64::MAX, 512, false),
                (u64::MAX - 511, 512, false),
                (0, 511, false),
                (0, 513, false),
                (0, 1024, false),
                (0, 0, false),
                (0, 512 + (1 << 32), false),
            ];
            for (offset, size, ok) in cases {
                assert_eq!(devices.block(1, offset, size).is_ok(), ok, "{offset} {size}");
            }
            assert!(devices.block(4, u64::MAX - 4095 - 4096, 4096).is_ok());
            assert!(devices.block(4, u64::MAX - 4095, 4096).is_err());
        });
    }

    #[test]
    fn several_blocks_are_whole_and_on_the_device() {
        with(|devices| {
            let cases = [
                (0, 512, true),
                (0, 4096, true),
                (512, 3584, true),
                (3584, 512, true),
                (512, 4096, false),
                (0, 4608, false),
                (0, 0, false),
                (4096, 0, false),
                (4096, 512, false),
                (0, 511, false),
                (0, 1025, false),
                (1, 1024, false),
                (256, 1024, false),
                (u64::MAX - 511, 512, false),
                (u64::MAX - 511, 1024, false),
                (512, usize::MAX - 511, false),
                (0, 512 + (1 << 32), false),
            ];
            for (offset, size, ok) in cases {
                assert_eq!(devices.blocks(1, offset, size).is_ok(), ok, "{offset} {size}");
            }
            assert!(devices.blocks(4, u64::MAX - 4095 - 8192, 8192).is_ok());
            assert!(devices.blocks(4, u64::MAX - 4095 - 4096, 8192).is_err());
            assert_eq!(devices.blocks(2, 0, 512).err(), Some(Error::Invalid));
        });
    }

    #[test]
    fn a_transfer_has_at_least_one_block_and_only_whole_ones() {
        assert_eq!(transfer_most(512, None), 512);
        assert_eq!(transfer_most(512, Some(1 << 20)), 1 << 20);
        assert_eq!(transfer_most(4096, Some(4097)), 4096);
        assert_eq!(transfer_most(4096, Some(512)), 4096);
        assert_eq!(transfer_most(512, Some(u64::MAX)), usize::MAX - 511);
        assert_eq!(transfer_most(0, Some(4096)), 4096, "no device has it");
    }

    #[test]
    fn a_device_without_properties_permits_nothing() {
        let mut entry = Entry::device("z", BLOCK).unwrap();
        entry.attach_block(Block::new(0, 0), 3);
        let (entries, acquired) = ([Entry::RESERVED, entry], AtomicU64::new(0));
        let devices = Devices::new(&entries, &acquired);
        assert!(devices.block(1, 0, 0).is_err());
        assert!(devices.blocks(1, 0, 0).is_err());
        assert_eq!(devices.longest_frame(), None);
    }

    #[test]
    fn the_longest_frame_is_that_of_an_attached_interface() {
        let net = |name, mtu| {
            let mut entry = Entry::device(name, NET).unwrap();
            entry.attach_net(Net::new([2; 6], mtu), 6);
            entry
        };
        let acquired = AtomicU64::new(0);
        let longest = |entries: &[Entry]| Devices::new(entries, &acquired).longest_frame();
        assert_eq!(with(|devices| devices.longest_frame()), Some(1514));
        let declined = Entry::device("b", NET).unwrap();
        assert_eq!(longest(&[Entry::RESERVED, declined]), None);
        let entries = [Entry::RESERVED, net("a", 1500), declined, net("c", 9000)];
        assert_eq!(longest(&entries), Some(9014));
        assert_eq!(longest(&[Entry::RESERVED, net("a", u16::MAX)]), Some(65549));
    }
}
