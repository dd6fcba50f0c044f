//! A launch while its options are read, and why the value of one is not taken.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};

use solo5_abi::mft1::DeviceType;
use solo5_abi::offer::Features;
use solo5_abi::target::Target;

use super::launch::{Access, Backing, Format, Gdb, Launch};
use super::machine::Runner;
use super::memory::memory_default_mib;
use super::request::Mention;
use super::resolve::{BlockWish, Wishes};

/// Why an option's value is not taken.
pub(super) enum ValueError {
    /// `Invalid option` with usage.
    Invalid,
    /// This reason, then `Invalid option` without usage, and what to write instead.
    Because(String, String),
    /// Not a valid sector size.
    SectorSize,
    /// `Malformed argument to --option`, without usage.
    Malformed,
    /// The same, with what to write instead.
    Advised(String),
}

/// Port for gdb when none is given.
const GDB_PORT_DEFAULT: u16 = 1234;

/// A launch while its options are read.
pub(super) struct Draft {
    pub(super) launch: Launch,
    pub(super) wishes: Wishes,
    pub(super) mentions: Vec<Mention>,
    /// The keys of all labels so far. A set, because there may be thousands.
    pub(super) label_keys: BTreeSet<String>,
    /// All devices attached or declined so far. A set for the same reason.
    pub(super) devices: BTreeSet<(DeviceType, String)>,
    pub(super) gdb: bool,
    pub(super) gdb_at: Gdb,
}

impl Draft {
    /// What a tender of `target` starts with no options.
    pub(super) fn new(kernel: &OsStr, guest: &[OsString], target: Target) -> Draft {
        Draft {
            launch: Launch {
                kernel: kernel.to_owned(),
                arguments: guest.to_vec(),
                memory_mib: memory_default_mib(target),
                exec_heap: false,
                user: None,
                chroot: None,
                nets: Vec::new(),
                blocks: Vec::new(),
                without_nets: Vec::new(),
                without_blocks: Vec::new(),
                policies: Vec::new(),
                require_policy: false,
                labels: Vec::new(),
                explain: false,
                format: Format::Human,
                report: None,
                offer: Features::ALL,
                gdb: None,
                dumpcore: None,
                runner: Runner::default(),
            },
            wishes: Wishes::default(),
            mentions: Vec::new(),
            label_keys: BTreeSet::new(),
            devices: BTreeSet::new(),
            gdb: false,
            gdb_at: Gdb::Port(GDB_PORT_DEFAULT),
        }
    }

    /// Refuses a second attachment, or declining what is attached.
    pub(super) fn once(&mut self, kind: DeviceType, name: &str) -> Result<(), ValueError> {
        if !self.devices.insert((kind, name.to_owned())) {
            return Err(ValueError::Because(
                format!("Device '{name}' is given more than once"),
                "a device has one backing: leave all but one of these options out".to_owned(),
            ));
        }
        Ok(())
    }

    pub(super) fn attach_block(&mut self, name: &str, backing: Backing) -> Result<(), ValueError> {
        self.once(DeviceType::BlockBasic, name)?;
        self.wishes.blocks.push(BlockWish {
            name: name.to_owned(),
            backing,
            sector_size: None,
            access: Access::ReadWrite,
        });
        Ok(())
    }

    /// Finishes what several options ask for together.
    pub(super) fn settle(&mut self) {
        self.wishes.settle();
        self.launch.gdb = self.gdb.then(|| self.gdb_at.clone());
    }
}
