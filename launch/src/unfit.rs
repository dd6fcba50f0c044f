//! Why what a launch attaches cannot be used, whatever policies say: the tenders refuse it, and
//! `solo5-elftool check` says so before. Each code has its page in `docs/codes`.

use std::fmt;

use solo5_abi::Arch;
use solo5_abi::device::SectorSize;

use super::memory::mebibytes;

/// Why [`Unfit::TapFd`] and [`Unfit::BlockFd`] refuse standard input, output and error.
pub const STANDARD: &str = "it is a standard descriptor, which the tender and its guest write to";
/// Why they refuse a descriptor that another option names.
pub const NAMED_TWICE: &str = "another option names it too";

/// Why a device, or the place for the report, is refused. Sizes are in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are what the texts print")]
pub enum Unfit {
    /// No interface can have this name.
    InterfaceName { interface: String },
    /// An inherited descriptor is not a tap, or its frames carry an extra header.
    TapFd { fd: i32, why: &'static str },
    /// Two devices are one tap.
    NetTwice { names: [String; 2], interface: String },

    /// The disk is neither a regular file nor a block device.
    BlockKind { path: String },
    /// Its size is not a multiple of the sector size.
    Unaligned { name: String, sector_size: SectorSize },
    /// It is smaller than one sector.
    TooSmall { name: String, sector_size: SectorSize },
    /// An inherited descriptor is not open for the access asked for.
    BlockFd { fd: i32, why: &'static str },
    /// Two devices are one disk, and the guest may write to it.
    BlockTwice { names: [String; 2], path: String },
    /// Two devices are one inherited descriptor.
    BlockFdTwice { names: [String; 2], fd: i32 },
    /// The disk is also the image, and the guest could write to it.
    BlockImage { path: String },
    /// The manifest requires a larger block device.
    CapacityMinimum { name: String, have: u64, least: u64 },

    /// No process, or no virtual machine, has so many addresses.
    Memory { bytes: u64, most: u64 },
    /// The machine has no room for so many devices.
    Places { machine: &'static str, count: usize, most: usize },
    /// The machine asked for has another architecture than the image.
    OtherMachine { machine: &'static str, arch: Arch },
    /// The hypervisor asked for cannot run this guest here.
    Hypervisor { why: String },

    /// The place for the report is nothing to write to.
    ReportKind { target: String, what: &'static str },
    /// The place for the report is a file that the launch uses.
    ReportUsed { target: String, what: String },
}

impl Unfit {
    /// bhyve does not exist on Linux.
    pub fn bhyve() -> Unfit {
        let why = "bhyve runs only on FreeBSD; --explain shows its commands".to_owned();
        Unfit::Hypervisor { why }
    }

    /// The stable code; `docs/codes` has its page.
    pub const fn code(&self) -> &'static str {
        match self {
            Unfit::InterfaceName { .. } => "T410",
            Unfit::TapFd { .. } | Unfit::NetTwice { .. } => "T411",
            Unfit::BlockKind { .. } => "T422",
            Unfit::Unaligned { .. } | Unfit::TooSmall { .. } => "T423",
            Unfit::BlockFd { .. } => "T425",
            Unfit::BlockTwice { .. } | Unfit::BlockFdTwice { .. } => "T426",
            Unfit::BlockImage { .. } => "T427",
            Unfit::CapacityMinimum { .. } => "T434",
            Unfit::Memory { .. } => "T436",
            Unfit::Places { .. } => "T464",
            Unfit::OtherMachine { .. } | Unfit::Hypervisor { .. } => "T465",
            Unfit::ReportKind { .. } | Unfit::ReportUsed { .. } => "T443",
        }
    }

    /// What is wrong.
    pub fn text(&self) -> String {
        match self {
            Unfit::InterfaceName { interface } => {
                format!("Could not attach interface: {interface}: no interface can have this name")
            }
            Unfit::TapFd { fd, why } => {
                format!("descriptor {fd} cannot be a network interface: {why}")
            }
            Unfit::NetTwice { names: [one, other], interface } => {
                format!("'{one}' and '{other}' are the same tap, {interface}")
            }
            Unfit::BlockKind { path } => {
                format!("{path} is neither a regular file nor a block device")
            }
            Unfit::Unaligned { name, sector_size } => {
                format!("{name}: Backing storage size must be block aligned ({sector_size} bytes)")
            }
            Unfit::TooSmall { name, sector_size } => format!(
                "{name}: Backing storage must be at least 1 block ({sector_size} bytes) in size"
            ),
            Unfit::BlockFd { fd, why } => {
                format!("descriptor {fd} cannot be a block device: {why}")
            }
            Unfit::BlockTwice { names: [one, other], path } => {
                format!("'{one}' and '{other}' are the same disk, {path}")
            }
            Unfit::BlockFdTwice { names: [one, other], fd } => {
                format!("'{one}' and '{other}' are the same disk, @{fd}")
            }
            Unfit::BlockImage { path } => {
                format!("{path} is also the image, which the guest could change")
            }
            Unfit::CapacityMinimum { name, have, least } => format!(
                "the manifest asks for at least {least} bytes for '{name}', but it has {have}"
            ),
            Unfit::Memory { bytes, most } => format!(
                "guest memory of {} is more than there are addresses for, {}",
                mebibytes(*bytes),
                mebibytes(*most)
            ),
            Unfit::Places { machine, count, most } => {
                format!("a machine {machine} has room for {most} devices, not for {count}")
            }
            Unfit::OtherMachine { machine, arch } => {
                format!("no machine {machine} runs unikernels for {}", arch.name())
            }
            Unfit::Hypervisor { why } => why.clone(),
            Unfit::ReportKind { target, what } => {
                format!("the outcome cannot be written to {target}: it is {what}")
            }
            Unfit::ReportUsed { target, what } => {
                format!("the outcome would be written into {what}: {target} is the same file")
            }
        }
    }

    /// How to mend it; `None` where the text is that of Solo5 0.12 and says enough.
    pub fn advice(&self) -> Option<String> {
        Some(match self {
            Unfit::Unaligned { .. } | Unfit::TooSmall { .. } => return None,
            Unfit::InterfaceName { .. } => {
                "a name has 1 to 15 bytes, and no blank, slash or colon".to_owned()
            }
            Unfit::TapFd { .. } => {
                "pass the descriptor of a tap opened with only IFF_TAP and IFF_NO_PI".to_owned()
            }
            Unfit::NetTwice { .. } => {
                "attach two taps: a frame from one tap reaches only one of the devices".to_owned()
            }
            Unfit::BlockKind { .. } => {
                "a guest's storage must have a size and be readable at any offset".to_owned()
            }
            Unfit::BlockFd { .. } => {
                "pass a descriptor opened for the access the guest gets".to_owned()
            }
            Unfit::BlockTwice { .. } => {
                "attach two disks, or give both devices --block-access:NAME=read-only".to_owned()
            }
            Unfit::BlockFdTwice { .. } => {
                "pass two descriptors: of two disks, or of one if both devices are read-only"
                    .to_owned()
            }
            Unfit::BlockImage { .. } => {
                "attach another file, or give the device --block-access:NAME=read-only".to_owned()
            }
            Unfit::CapacityMinimum { name, .. } => {
                format!("attach a larger file or device with --block:{name}=PATH")
            }
            Unfit::Memory { .. } => "ask for less memory with --mem".to_owned(),
            Unfit::Places { .. } => {
                "use --machine=pc or --machine=q35, or link the unikernel with fewer devices"
                    .to_owned()
            }
            Unfit::OtherMachine { .. } => "leave --machine out".to_owned(),
            Unfit::Hypervisor { .. } => {
                "leave --hypervisor out, or use --hypervisor=qemu".to_owned()
            }
            Unfit::ReportKind { .. } => {
                "name a file, or give an open pipe by its number with --report=NN".to_owned()
            }
            Unfit::ReportUsed { .. } => "give --report a file of its own".to_owned(),
        })
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = [self.text()].into_iter().chain(self.advice()).collect();
        f.write_str(&parts.join("; "))
    }
}

impl std::error::Error for Unfit {}
