//! The diagnostic codes of this crate; each has a page in `docs/codes`.
//!
//! `P2xx` is a file that cannot be taken, `P3xx` a reason for a denial. One code is one cause, so
//! programs may act on them. `solo5-policies` has further ones.

/// A policy cannot be read.
pub const UNREADABLE: &str = "P201";
/// A policy file or its folder can be changed by others.
pub const NOT_TRUSTED: &str = "P202";
/// The file is not a policy.
pub const TYPE: &str = "P203";
/// The version of the policy is not known.
pub const VERSION: &str = "P204";
/// A section with nothing in it.
pub const EMPTY: &str = "P206";
/// A pattern with characters that have no meaning.
pub const PATTERN: &str = "P207";
/// A folder that is not absolute and plain.
pub const DIRECTORY: &str = "P208";
/// A device pattern that is not a name below `/dev`.
pub const DEVICE: &str = "P209";
/// An address pattern that fits no address.
pub const MAC: &str = "P210";
/// A sector size that no device can have.
pub const SECTOR_SIZE: &str = "P211";
/// A rule that wants a file and a device at once.
pub const FILE_AND_DEVICE: &str = "P212";
/// A label key that no option can set.
pub const LABEL_KEY: &str = "P213";
/// A policy's name that cannot be shown on one line.
pub const NAME: &str = "P214";

/// A text that is not a digest.
pub const DIGEST: &str = "P215";
/// A text that is not a public key.
pub const KEY: &str = "P216";
/// A file that is not absolute and plain.
pub const FILE: &str = "P217";
/// A waiver that does not say what it is for.
pub const WAIVER: &str = "P218";
/// A text that is not a day.
pub const DATE: &str = "P219";

/// A policy is required and none applies.
pub const NONE_APPLIES: &str = "P300";
/// The image's target.
pub const IMAGE_TARGET: &str = "P301";
/// The version of the image's manifest.
pub const IMAGE_MANIFEST: &str = "P302";
/// The tender runs as root.
pub const PROCESS_ROOT: &str = "P303";
/// The host cannot confine the tender.
pub const PROCESS_SANDBOX: &str = "P304";
/// Too much memory.
pub const MEMORY_MAXIMUM: &str = "P305";
/// An executable heap.
pub const EXECUTABLE_HEAP: &str = "P306";
/// The command line is too long.
pub const ARGUMENTS_LENGTH: &str = "P307";
/// An argument.
pub const ARGUMENT: &str = "P308";
/// Too many network interfaces.
pub const NET_MAXIMUM: &str = "P310";
/// The tap.
pub const NET_INTERFACE: &str = "P311";
/// The name of a network device.
pub const NET_NAME: &str = "P312";
/// The bridge the tap is on.
pub const NET_BRIDGE: &str = "P313";
/// The Ethernet address.
pub const NET_MAC: &str = "P314";
/// A fact of a network interface cannot be read.
pub const NET_UNREAD: &str = "P315";
/// A network interface that is no descriptor.
pub const NET_DESCRIPTOR: &str = "P316";
/// Too many block devices.
pub const BLOCK_MAXIMUM: &str = "P320";
/// The file behind a block device.
pub const BLOCK_FILE: &str = "P321";
/// The name of a block device.
pub const BLOCK_NAME: &str = "P322";
/// The host's block device behind a block device.
pub const BLOCK_DEVICE: &str = "P323";
/// Access to a block device.
pub const BLOCK_ACCESS: &str = "P324";
/// Capacity of a block device.
pub const BLOCK_CAPACITY: &str = "P325";
/// Sector size of a block device.
pub const BLOCK_SECTOR_SIZE: &str = "P326";
/// A fact of a block device cannot be read.
pub const BLOCK_UNREAD: &str = "P327";
/// A block device that is no descriptor.
pub const BLOCK_DESCRIPTOR: &str = "P328";
/// Debugging with gdb.
pub const GDB: &str = "P330";
/// Core dumps of the guest.
pub const DUMPCORE: &str = "P331";
/// No policy says anything about the image.
pub const SILENT_IMAGE: &str = "P340";
/// No policy says anything about the process.
pub const SILENT_PROCESS: &str = "P341";
/// No policy says anything about memory.
pub const SILENT_MEMORY: &str = "P342";
/// No policy says anything about arguments.
pub const SILENT_ARGUMENTS: &str = "P343";
/// No policy says anything about network interfaces.
pub const SILENT_NET: &str = "P344";
/// No policy says anything about block devices.
pub const SILENT_BLOCK: &str = "P345";
/// No policy says anything about debugging.
pub const SILENT_DEBUG: &str = "P346";

/// The image's digest.
pub const IMAGE_DIGEST: &str = "P350";
/// Who signed the image.
pub const IMAGE_SIGNER: &str = "P351";
/// The image is not among those admitted.
pub const IMAGE_ADMITTED: &str = "P352";
/// What has to be known of the image's content is not.
pub const IMAGE_UNPROVEN: &str = "P353";

/// Every code of this crate.
pub const ALL: &[&str] = &[
    UNREADABLE,
    NOT_TRUSTED,
    TYPE,
    VERSION,
    EMPTY,
    PATTERN,
    DIRECTORY,
    DEVICE,
    MAC,
    SECTOR_SIZE,
    FILE_AND_DEVICE,
    LABEL_KEY,
    NAME,
    DIGEST,
    KEY,
    FILE,
    WAIVER,
    DATE,
    NONE_APPLIES,
    IMAGE_TARGET,
    IMAGE_MANIFEST,
    PROCESS_ROOT,
    PROCESS_SANDBOX,
    MEMORY_MAXIMUM,
    EXECUTABLE_HEAP,
    ARGUMENTS_LENGTH,
    ARGUMENT,
    NET_MAXIMUM,
    NET_INTERFACE,
    NET_NAME,
    NET_BRIDGE,
    NET_MAC,
    NET_UNREAD,
    NET_DESCRIPTOR,
    BLOCK_MAXIMUM,
    BLOCK_FILE,
    BLOCK_NAME,
    BLOCK_DEVICE,
    BLOCK_ACCESS,
    BLOCK_CAPACITY,
    BLOCK_SECTOR_SIZE,
    BLOCK_UNREAD,
    BLOCK_DESCRIPTOR,
    GDB,
    DUMPCORE,
    SILENT_IMAGE,
    SILENT_PROCESS,
    SILENT_MEMORY,
    SILENT_ARGUMENTS,
    SILENT_NET,
    SILENT_BLOCK,
    SILENT_DEBUG,
    IMAGE_DIGEST,
    IMAGE_SIGNER,
    IMAGE_ADMITTED,
    IMAGE_UNPROVEN,
];

#[cfg(test)]
mod tests {
    #[test]
    fn every_code_has_a_page() {
        for code in super::ALL {
            let page = solo5_report::explain(code).unwrap_or_default();
            assert!(page.starts_with(&format!("# {code}: ")), "{code}");
        }
    }
}
