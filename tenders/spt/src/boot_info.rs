//! The contents of low memory when the guest starts (`docs/reference/spt.md#boot-info`).

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use solo5_abi::mft1::{self, Entry};
use solo5_abi::offer::SEED_PAGE;
use solo5_abi::spt::{BOOT_INFO_BASE, BootInfo, GUEST_MIN_BASE};
use solo5_abi::{CMDLINE_SIZE, mft1::ENTRIES_MAX};
use solo5_tender::offer::{self, Offered};
use zerocopy::IntoBytes;

// Even with the maximum number of entries, everything ends far below the guest's lowest address, and
// below the seed's page.
const _: () = assert!(
    BOOT_INFO_BASE as usize
        + BootInfo::SIZE
        + mft1::size(ENTRIES_MAX)
        + CMDLINE_SIZE
        + offer::SPACE
        < 0x15000
);
const _: () = assert!(0x15000 <= SEED_PAGE && SEED_PAGE < GUEST_MIN_BASE);

/// Numbers that are copied into the boot information.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// End address of guest memory.
    pub memory: u64,
    /// End of the highest segment with content.
    pub kernel_end: u64,
    /// Descriptor of the epoll set.
    pub epollfd: i32,
    /// Descriptor of the timer.
    pub timerfd: i32,
    /// What the guest is offered.
    pub offer: Offered,
}

/// The bytes at [`BOOT_INFO_BASE`]: boot information, manifest, command line, and the record
/// of what is offered.
pub fn encode(facts: Facts, manifest: &[Entry], command_line: &[u8]) -> Vec<u8> {
    let before_command_line = BootInfo::SIZE + mft1::size(manifest.len());
    let mft = BOOT_INFO_BASE + BootInfo::SIZE as u64;
    let cmdline = BOOT_INFO_BASE + before_command_line as u64;
    let info = BootInfo {
        mem_size: facts.memory.into(),
        kernel_end: facts.kernel_end.into(),
        cmdline: cmdline.into(),
        mft: mft.into(),
        epollfd: (facts.epollfd as u32).into(),
        timerfd: (facts.timerfd as u32).into(),
    };
    let mut out = Vec::with_capacity(before_command_line + command_line.len());
    out.extend_from_slice(info.as_bytes());
    out.extend_from_slice(&mft1::header(manifest.len()));
    let manifest_at = out.len();
    out.extend_from_slice(manifest.as_bytes());
    out.extend_from_slice(command_line);
    offer::append(&mut out, BOOT_INFO_BASE, manifest_at, facts.offer);
    out
}

/// Longest name that `ps` shows, in bytes.
const NAME_MAX: usize = 4096;

/// Where the names are: the last pages of low memory that two of the longest fit into. Bytes after
/// the boot information stay 0, as guests know them.
pub const NAMES_BASE: u64 = GUEST_MIN_BASE - 0x3000;

const _: () = assert!(2 * (NAME_MAX + 1) <= 0x3000);

/// The bytes at [`NAMES_BASE`]: what `ps` is to show, the names of `program` and `image`.
pub fn names(program: &OsStr, image: &OsStr) -> Vec<u8> {
    let mut bytes = Vec::new();
    for name in [program, image] {
        bytes.extend(name.as_bytes().iter().take(NAME_MAX));
        bytes.push(0);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use solo5_abi::mft1::{DeviceType, Net};

    use super::*;

    #[test]
    fn boot_information_has_the_published_layout() {
        let mut net = Entry::device("service", DeviceType::NetBasic).unwrap();
        net.attach_net(Net::new([2, 0, 0, 0, 0, 1], 1500), 7);
        let facts = Facts {
            memory: 0x2000_0000,
            kernel_end: 0x10_9000,
            epollfd: 5,
            timerfd: 6,
            offer: Offered::NOTHING,
        };
        let bytes = encode(facts, &[Entry::RESERVED, net], b"hi\0");
        let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        assert_eq!(word(0), 0x2000_0000);
        assert_eq!(word(8), 0x10_9000);
        assert_eq!(word(16), 0x11028 + 8 + 208, "command line");
        assert_eq!(word(24), 0x11028, "manifest");
        assert_eq!(word(32), 5 | 6 << 32);
        assert_eq!(word(40), 1 | 2 << 32, "version and entries");
        let entry = 48 + 104;
        assert_eq!(&bytes[entry..entry + 8], b"service\0");
        assert_eq!(bytes[entry + 72..entry + 80], [2, 0, 0, 0, 0, 1, 0xdc, 5]);
        assert_eq!(bytes[entry + 88], 7, "descriptor");
        assert_eq!(bytes[entry + 96], 1, "attached");
        assert_eq!(&bytes[48 + 208..], b"hi\0");
    }
}
