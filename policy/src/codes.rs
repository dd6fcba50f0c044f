//! The diagnostic codes of this crate; each has a page in `docs/codes`.
//!
//! `P2xx` is an error in a file, `P3xx` a reason for a denial: what was denied, or why. Each code has
//! one cause, so programs may act on it. `solo5-policies` has further codes.

solo5_report::codes! {
    /// A policy cannot be read.
    UNREADABLE = "P201";
    /// A policy file or its folder can be changed by others.
    NOT_TRUSTED = "P202";
    /// The file is not a policy.
    TYPE = "P203";
    /// The version of the policy is not known.
    VERSION = "P204";
    /// A section with nothing in it.
    EMPTY = "P206";
    /// A pattern with characters that have no meaning.
    PATTERN = "P207";
    /// A folder that is not absolute and plain.
    DIRECTORY = "P208";
    /// A device pattern that is not a name below `/dev`.
    DEVICE = "P209";
    /// An address pattern that fits no address.
    MAC = "P210";
    /// A sector size that no device can have.
    SECTOR_SIZE = "P211";
    /// A rule that wants a file and a device at once.
    FILE_AND_DEVICE = "P212";
    /// A label key that no option can set.
    LABEL_KEY = "P213";
    /// A policy's name that cannot be shown on one line.
    NAME = "P214";

    /// A text that is not a digest.
    DIGEST = "P215";
    /// A text that is not a public key.
    KEY = "P216";
    /// A file that is not absolute and plain.
    FILE = "P217";
    /// A waiver that does not say what it is for.
    WAIVER = "P218";
    /// A text that is not a day.
    DATE = "P219";

    /// A policy is required and none applies.
    NONE_APPLIES = "P300";
    /// The image's target.
    IMAGE_TARGET = "P301";
    /// The version of the image's manifest.
    IMAGE_MANIFEST = "P302";
    /// The tender runs as root.
    PROCESS_ROOT = "P303";
    /// The host cannot confine the tender.
    PROCESS_SANDBOX = "P304";
    /// Too much memory.
    MEMORY_MAXIMUM = "P305";
    /// An executable heap.
    EXECUTABLE_HEAP = "P306";
    /// The command line is too long.
    ARGUMENTS_LENGTH = "P307";
    /// An argument.
    ARGUMENT = "P308";
    /// Too many network interfaces.
    NET_MAXIMUM = "P310";
    /// The tap.
    NET_INTERFACE = "P311";
    /// The name of a network device.
    NET_NAME = "P312";
    /// The bridge the tap is on.
    NET_BRIDGE = "P313";
    /// The Ethernet address.
    NET_MAC = "P314";
    /// A fact of a network interface cannot be read.
    NET_UNREAD = "P315";
    /// A network interface that is not given as a descriptor.
    NET_DESCRIPTOR = "P316";
    /// Too many block devices.
    BLOCK_MAXIMUM = "P320";
    /// The file behind a block device.
    BLOCK_FILE = "P321";
    /// The name of a block device.
    BLOCK_NAME = "P322";
    /// The host's block device behind a block device.
    BLOCK_DEVICE = "P323";
    /// Access to a block device.
    BLOCK_ACCESS = "P324";
    /// Capacity of a block device.
    BLOCK_CAPACITY = "P325";
    /// Sector size of a block device.
    BLOCK_SECTOR_SIZE = "P326";
    /// A fact of a block device cannot be read.
    BLOCK_UNREAD = "P327";
    /// A block device that is not given as a descriptor.
    BLOCK_DESCRIPTOR = "P328";
    /// Debugging with gdb.
    GDB = "P330";
    /// Core dumps of the guest.
    DUMPCORE = "P331";
    /// No policy says anything about the image.
    SILENT_IMAGE = "P340";
    /// No policy says anything about the process.
    SILENT_PROCESS = "P341";
    /// No policy says anything about memory.
    SILENT_MEMORY = "P342";
    /// No policy says anything about arguments.
    SILENT_ARGUMENTS = "P343";
    /// No policy says anything about network interfaces.
    SILENT_NET = "P344";
    /// No policy says anything about block devices.
    SILENT_BLOCK = "P345";
    /// No policy says anything about debugging.
    SILENT_DEBUG = "P346";

    /// The image's digest.
    IMAGE_DIGEST = "P350";
    /// Who signed the image.
    IMAGE_SIGNER = "P351";
    /// The image is not among those admitted.
    IMAGE_ADMITTED = "P352";
    /// A required fact about the image's content is not known.
    IMAGE_UNPROVEN = "P353";
}
