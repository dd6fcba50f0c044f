//! The contents of low memory when the guest starts (`docs/reference/hvt.md#boot-info`).

use solo5_abi::CMDLINE_SIZE;
use solo5_abi::hvt::{BOOT_INFO_BASE, BootInfo, FEATURE_RING_IO, GUEST_MIN_BASE};
use solo5_abi::mft1::{self, ENTRIES_MAX, Entry};
use solo5_abi::offer::SEED_PAGE;
use solo5_tender::offer::{self, Offered};
use zerocopy::IntoBytes;

// Even with the maximum number of entries, everything ends far below the seed's page.
const _: () = assert!(
    BOOT_INFO_BASE as usize
        + BootInfo::SIZE
        + mft1::size(ENTRIES_MAX)
        + CMDLINE_SIZE
        + offer::SPACE
        < SEED_PAGE as usize
);
const _: () = assert!(SEED_PAGE < GUEST_MIN_BASE);

/// Numbers that are copied into the boot information.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Guest memory in bytes.
    pub memory: u64,
    /// End of the highest segment with content.
    pub kernel_end: u64,
    /// Frequency of the CPU's counter in Hz.
    pub frequency: u64,
    /// Address of the network ring, if the guest is offered one.
    pub ring: Option<u64>,
    /// What the guest is offered.
    pub offer: Offered,
}

/// The boot information for a manifest with `entries` entries.
pub fn info(facts: Facts, entries: usize) -> BootInfo {
    let mft = BOOT_INFO_BASE + BootInfo::SIZE as u64;
    let features = if facts.ring.is_some() { FEATURE_RING_IO } else { 0 };
    BootInfo {
        mem_size: facts.memory.into(),
        kernel_end: facts.kernel_end.into(),
        cpu_cycle_freq: facts.frequency.into(),
        cmdline: (mft + mft1::size(entries) as u64).into(),
        mft: mft.into(),
        host_features: features.into(),
        guest_features: 0.into(),
        net_ring: facts.ring.unwrap_or(0).into(),
    }
}

/// The bytes at [`BOOT_INFO_BASE`]: boot information, manifest, command line, and the record
/// of what is offered.
///
/// The caller has cleared the descriptors in `manifest`, because the guest has no use for them
/// (`docs/reference/manifest.md#entry`).
pub fn encode(facts: Facts, manifest: &[Entry], command_line: &[u8]) -> Vec<u8> {
    let info = info(facts, manifest.len());
    let mut out = Vec::with_capacity(info.cmdline.get() as usize + command_line.len());
    out.extend_from_slice(info.as_bytes());
    out.extend_from_slice(&mft1::header(manifest.len()));
    let manifest_at = out.len();
    out.extend_from_slice(manifest.as_bytes());
    out.extend_from_slice(command_line);
    offer::append(&mut out, BOOT_INFO_BASE, manifest_at, facts.offer);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use solo5_abi::mft1::{DeviceType, Net};

    use super::*;

    const FACTS: Facts = Facts {
        memory: 0x200_0000,
        kernel_end: 0x10_9000,
        frequency: 2_596_100_000,
        ring: Some(0x200_0000),
        offer: Offered::NOTHING,
    };

    #[test]
    fn boot_information_has_the_published_layout() {
        let mut net = Entry::device("service", DeviceType::NetBasic).unwrap();
        net.attach_net(Net::new([2, 0, 0, 0, 0, 1], 1500), -1);
        let bytes = encode(FACTS, &[Entry::RESERVED, net], b"hi\0");
        let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        assert_eq!(word(0), 0x200_0000);
        assert_eq!(word(8), 0x10_9000);
        assert_eq!(word(16), 2_596_100_000);
        assert_eq!(word(24), 0x1_0038 + 8 + 208, "command line");
        assert_eq!(word(32), 0x1_0038, "manifest");
        assert_eq!(word(40), 1, "features");
        assert_eq!(word(48), 0x200_0000, "ring");
        assert_eq!(word(56), 1 | 2 << 32, "version and entries");
        assert_eq!(word(64), 0, "the first name is empty, for bindings of other releases");
        let entry = 64 + 104;
        assert_eq!(&bytes[entry..entry + 8], b"service\0");
        assert_eq!(bytes[entry + 72..entry + 80], [2, 0, 0, 0, 0, 1, 0xdc, 5]);
        assert_eq!(bytes[entry + 96], 1, "attached");
        assert_eq!(&bytes[64 + 208..], b"hi\0");
    }

    proptest! {
        /// For any manifest and command line, the pointers lead to these two, and both lie below
        /// the image.
        #[test]
        fn pointers_lead_to_manifest_and_command_line(
            devices in 0usize..ENTRIES_MAX,
            line in prop::collection::vec(1u8.., 0..CMDLINE_SIZE - 1),
        ) {
            let names = (0..devices).map(|index| format!("d{index}"));
            let devices = names.map(|name| Entry::device(&name, DeviceType::BlockBasic).unwrap());
            let manifest: Vec<Entry> = [Entry::RESERVED].into_iter().chain(devices).collect();
            let line = [line.as_slice(), b"\0"].concat();
            let bytes = encode(FACTS, &manifest, &line);
            let info = info(FACTS, manifest.len());
            let place = |address: u64| (address - BOOT_INFO_BASE) as usize;
            let mft = place(info.mft.get());
            let count = u32::from_le_bytes(bytes[mft + 4..mft + 8].try_into().unwrap());
            prop_assert_eq!(count as usize, manifest.len());
            prop_assert_eq!(&bytes[mft + 8..mft + mft1::size(manifest.len())], manifest.as_bytes());
            prop_assert_eq!(&bytes[place(info.cmdline.get())..], &line);
            prop_assert!(BOOT_INFO_BASE + (bytes.len() as u64) < GUEST_MIN_BASE);
        }
    }

    #[test]
    fn without_a_ring_our_bindings_find_none() {
        let offered = |facts| info(facts, 2).ring_offered(BOOT_INFO_BASE);
        assert_eq!(offered(FACTS), Some(0x200_0000));
        let without = Facts { ring: None, ..FACTS };
        assert_eq!(offered(without), None);
        assert_eq!(info(without, 2).host_features.get(), 0);
    }
}
