//! What is asked of a tender, as plain values.

use std::ffi::OsString;

use solo5_abi::CMDLINE_SIZE;
use solo5_abi::device::{Mtu, SectorSize};
use solo5_abi::offer::Features;
use solo5_abi::stack::HEAP_MIN;
use solo5_abi::target::Target;

use super::machine::Runner;
use super::memory::{self, TooMuchMemory};
use super::value::Mac;

/// Everything that a command line asks a tender for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// The unikernel's file.
    pub kernel: OsString,
    /// The guest's arguments.
    pub arguments: Vec<OsString>,
    /// Guest memory in MiB.
    pub memory_mib: u64,
    /// Whether heap and stack are to be executable (`--x-exec-heap`).
    pub exec_heap: bool,
    /// The user and group to run the guest as.
    pub user: Option<User>,
    /// Root directory to run the guest with.
    pub chroot: Option<OsString>,
    /// Network interfaces to attach, in argument order.
    pub nets: Vec<Net>,
    /// Block devices to attach, in argument order.
    pub blocks: Vec<Block>,
    /// Names of optional network interfaces declined.
    pub without_nets: Vec<String>,
    /// Names of optional block devices declined.
    pub without_blocks: Vec<String>,
    /// Further policies, in argument order.
    pub policies: Vec<FileOrFd>,
    /// Whether to refuse to start if no policy applies.
    pub require_policy: bool,
    /// Labels for policies to match on, in argument order; no key twice.
    pub labels: Vec<Label>,
    /// Whether to describe the launch instead of starting it (`--explain`).
    pub explain: bool,
    /// The form of the output of `--explain`.
    pub format: Format,
    /// Where to write the report, one line of JSON about the outcome.
    pub report: Option<FileOrFd>,
    /// The features that the guest may be offered; a tender that offers none is like an older one.
    pub offer: Features,
    /// Where to wait for gdb, if `--gdb` is given.
    pub gdb: Option<Gdb>,
    /// Folder for core dumps of the guest.
    pub dumpcore: Option<OsString>,
    /// What runs the machine, for the runner of virtio machines.
    pub runner: Runner,
}

/// Where to wait for a debugger. Neither place can be reached from another host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gdb {
    /// At this port of the loopback interface; 0 means any free one.
    Port(u16),
    /// At a Unix socket, which the tender makes.
    Socket(OsString),
}

/// A user and a group, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    /// The user.
    pub uid: u32,
    /// The group, the only one the guest is in.
    pub gid: u32,
}

/// A network interface to attach, looked up in the manifest. A policy judges this value, and this
/// value is what is attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Net {
    /// The device's index in the manifest, which is the guest's handle.
    pub index: usize,
    /// The device's name in the manifest.
    pub name: String,
    /// What to attach to it.
    pub interface: Interface,
    /// Its address; `None` means a random one.
    pub mac: Option<Mac>,
    /// Least MTU in bytes that the manifest asks for.
    pub mtu_minimum: Option<u32>,
    /// The MTU to announce to the guest, if an option names one.
    pub mtu: Option<Mtu>,
}

/// The host's side of a network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Interface {
    /// The tap of this name.
    Tap(OsString),
    /// An inherited descriptor of a tap.
    Fd(i32),
}

/// A block device to attach, looked up in the manifest. A policy judges this value, and this value is
/// what is attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The device's index in the manifest, which is the guest's handle.
    pub index: usize,
    /// The device's name in the manifest.
    pub name: String,
    /// What to attach to it.
    pub backing: Backing,
    /// The access it gets: the lesser of what the option gives and what the manifest asks for.
    pub access: Access,
    /// The sector size it gets: the option's, else the manifest's, else [`SectorSize::DEFAULT`].
    pub sector_size: SectorSize,
    /// The sector size in bytes that the manifest requires.
    pub sector_size_exact: Option<u32>,
    /// Least capacity in bytes that the manifest asks for.
    pub capacity_minimum: Option<u64>,
    /// Whether the manifest asks for flushing.
    pub flush: bool,
}

/// The host's side of a block device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backing {
    /// The file or device at this path.
    Path(OsString),
    /// An inherited descriptor.
    Fd(i32),
}

/// What a guest may do with a block device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Reading only.
    ReadOnly,
    /// Reading and writing, upstream's only mode.
    ReadWrite,
}

impl Access {
    /// The word for it in options and policies.
    pub const fn name(self) -> &'static str {
        match self {
            Access::ReadOnly => "read-only",
            Access::ReadWrite => "read-write",
        }
    }

    /// The access called `name`.
    pub fn from_name(name: &str) -> Option<Access> {
        [Access::ReadOnly, Access::ReadWrite].into_iter().find(|access| access.name() == name)
    }
}

/// A file by path or by inherited descriptor.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum FileOrFd {
    /// At this path.
    Path(OsString),
    /// Open already.
    Fd(i32),
}

/// A label that the launcher gives a unikernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Key: letters, digits, `.`, `_`, `-` and `/`.
    pub key: String,
    /// Value: any text.
    pub value: String,
}

/// The form of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Human,
    /// For programs.
    Json,
}

/// Whether `key` can be a label's.
pub fn is_label_key(key: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'/');
    !key.is_empty() && key.bytes().all(fits)
}

impl Launch {
    /// Guest memory in bytes that the launch asks for; `u64::MAX` if that does not fit.
    pub fn memory_asked(&self) -> u64 {
        self.memory_mib.saturating_mul(1 << 20)
    }

    /// Guest memory in bytes that a guest of `target` gets.
    ///
    /// # Errors
    ///
    /// If it is more than the target allows.
    pub fn guest_memory(&self, target: Target) -> Result<u64, TooMuchMemory> {
        memory::guest_memory(target, self.memory_asked(), !self.nets.is_empty())
    }

    /// Most memory in bytes that a guest of `target` can get in this launch.
    pub fn most_memory(&self, target: Target) -> u64 {
        target.most_memory(!self.nets.is_empty())
    }

    /// How many MiB to ask for with `--mem` so that a guest of `target` gets `least` bytes; `None` if
    /// no size suffices.
    pub(super) fn enough_memory_mib(&self, target: Target, least: u64) -> Option<u64> {
        memory::enough_memory_mib(target, least, !self.nets.is_empty())
    }

    /// The option to give if an image that ends at `image_end` does not fit into guest memory; `None` if no
    /// size suffices.
    pub fn advice_on_memory(&self, target: Target, image_end: u64) -> Option<String> {
        let least = image_end.checked_add(HEAP_MIN)?;
        let enough = self.enough_memory_mib(target, least)?;
        Some(format!("add --mem={enough}"))
    }

    /// Whether the guest's command line fits into the room that every target has for it.
    pub fn command_line_fits(&self) -> bool {
        self.command_line_length() < CMDLINE_SIZE
    }

    /// Length in bytes of the guest's command line, its terminator not counted.
    pub fn command_line_length(&self) -> usize {
        let spaces = self.arguments.len().saturating_sub(1);
        self.arguments.iter().map(|argument| argument.len()).fold(spaces, usize::saturating_add)
    }
}
