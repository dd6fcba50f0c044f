//! Launch options: the command line of a tender as a plain value.
//!
//! A tender and `solo5-elftool check` read the same command line with the same code, so what was
//! checked is what will be started.
//!
//! Upstream walks the arguments twice (`docs/reference/downstream.md#options`). These steps report
//! errors in the same order as upstream:
//!
//! 1. [`read`] finds help, version and KERNEL, and reads every option. A wrong option does not stop
//!    it, because an error in the kernel file is reported before one in an option. The [`Request`]
//!    remembers the first wrong option.
//! 2. The caller opens KERNEL and reads its notes.
//! 3. [`Request::check`] compares the devices named with those declared and reports the first error
//!    in argument order.
//!
//! Adversary: arguments of any content. They are only compared and copied; nothing is opened.
//!
//! Some input that upstream accepts by accident is refused: numbers with signs, junk or overflow,
//! addresses with trailing text, a device attached twice.

#![forbid(unsafe_code)]

pub mod completion;
mod machine;
mod memory;
mod needs;
mod offer;
mod options;
mod resolve;
mod usage;
mod value;

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;

use solo5_abi::CMDLINE_SIZE;
use solo5_abi::device::{Mtu, SectorSize};
use solo5_abi::mft1::{DeviceType, Entry, Mft1};
use solo5_abi::mft2::Mft2;
use solo5_abi::offer::Features;
use solo5_abi::target::Target;
use solo5_report::os_text;
use solo5_source::reader::similar;

pub use machine::{Hypervisor, Machine, Runner, spelled};
pub use memory::{TooMuchMemory, guest_memory, mebibytes, memory_default_mib, rounded};
pub use needs::Unmet;
pub use options::is_label_key;
use resolve::{Attachment, Wishes, undeclared};
pub use usage::usage;

pub use value::{Mac, parse_mac};

/// The modules of a tender. They decide which options it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Modules {
    /// The tender's target; only spt and hvt can offer an executable heap.
    pub target: Target,
    /// Network interfaces.
    pub net: bool,
    /// Block devices.
    pub block: bool,
    /// Debugging with gdb.
    pub gdb: bool,
    /// Core dumps of the guest.
    pub dumpcore: bool,
}

impl Modules {
    /// The modules of the ordinary tender of `target`.
    pub const fn ordinary(target: Target) -> Modules {
        Modules { target, net: true, block: true, gdb: false, dumpcore: false }
    }

    /// The modules of the debug tender of `target`.
    pub const fn debug(target: Target) -> Modules {
        Modules { gdb: true, dumpcore: true, ..Modules::ordinary(target) }
    }
}

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

/// A command line that launches nothing. Found before KERNEL is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// `--help`: usage on standard error, exit 1.
    Help,
    /// `--version`: exit 0.
    Version,
    /// `--explain=CODE`: the page on this code, exit 0.
    Explain(String),
    /// No operand: [`MISSING_KERNEL`], then usage, exit 1.
    MissingKernel {
        /// Advice on the first wrong option, if there is any.
        advice: Option<String>,
    },
}

/// The text of [`Stop::MissingKernel`].
pub const MISSING_KERNEL: &str = "Missing KERNEL operand";

/// A wrong option. Every one ends a tender with status 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionError {
    /// Index of the argument in the list that was read.
    pub argument: usize,
    /// Lines to print, each after the program's name.
    pub lines: Vec<String>,
    /// Whether to print usage after them. It is printed only if the lines give no reason.
    pub usage: bool,
    /// What the mistake is and how to mend it, if upstream's lines do not say so.
    pub advice: Option<String>,
}

impl OptionError {
    /// Upstream's `Invalid option`: after a line that says why, or without a reason and before usage.
    fn invalid(
        argument: usize,
        option: &OsStr,
        why: Option<String>,
        advice: Option<String>,
    ) -> OptionError {
        let invalid = format!("Invalid option: `{}'", os_text(option));
        let usage = why.is_none();
        OptionError { argument, lines: why.into_iter().chain([invalid]).collect(), usage, advice }
    }
}

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<&str> = self.lines.iter().chain(&self.advice).map(String::as_str).collect();
        f.write_str(&lines.join("; "))
    }
}

impl std::error::Error for OptionError {}

/// A device that an option names.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mention {
    argument: usize,
    option: OsString,
    kind: DeviceType,
    name: String,
    /// Whether the option declines the device.
    declines: bool,
}

/// A command line that was read but not yet compared with a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What was asked for, without devices to attach. Before [`Request::check`] only the parts that
    /// have an accessor may be used.
    launch: Launch,
    wishes: Wishes,
    error: Option<OptionError>,
    mentions: Vec<Mention>,
}

/// Reads a tender's arguments, which do not include the name of the program.
pub fn read(arguments: &[OsString], modules: &Modules) -> Result<Request, Stop> {
    let arguments = &*spelled(arguments, modules);
    let mut rest = arguments;
    while let Some((first, after)) = rest.split_first() {
        if !first.as_bytes().starts_with(b"-") {
            break;
        }
        rest = after;
        match first.as_bytes() {
            b"--" => break,
            b"--help" => return Err(Stop::Help),
            b"--version" => return Err(Stop::Version),
            option => {
                if let Some(code) = option.strip_prefix(b"--explain=") {
                    return Err(Stop::Explain(os_text(OsStr::from_bytes(code)).into_owned()));
                }
            }
        }
    }
    let Some((kernel, guest)) = rest.split_first() else {
        let wrong = options::read(arguments, OsStr::new(""), &[], modules).error;
        return Err(Stop::MissingKernel { advice: wrong.and_then(|error| error.advice) });
    };
    let guest = match guest.split_first() {
        // As the runner of Solo5 0.12.
        Some((first, guest)) if modules.target == Target::Virtio && first == "--" => guest,
        _ => guest,
    };
    let seen = arguments.len() - rest.len();
    let options = arguments.get(..seen).unwrap_or_default();
    Ok(options::read(options, kernel, guest, modules))
}

/// Reads launch options for a KERNEL that is named elsewhere. The guest's arguments follow the options
/// or `--`.
pub fn read_for(kernel: &OsStr, arguments: &[OsString], modules: &Modules) -> Request {
    let arguments = &*spelled(arguments, modules);
    let count = arguments
        .iter()
        .position(|argument| argument == "--" || !argument.as_bytes().starts_with(b"-"))
        .unwrap_or(arguments.len());
    let (options, rest) = arguments.split_at(count);
    let guest = match rest.split_first() {
        Some((first, guest)) if first == "--" => guest,
        _ => rest,
    };
    options::read(options, kernel, guest, modules)
}

impl Request {
    /// The unikernel's file.
    pub fn kernel(&self) -> &OsStr {
        &self.launch.kernel
    }

    /// Where to write the report; known even if an option is wrong.
    pub fn report(&self) -> Option<&FileOrFd> {
        self.launch.report.as_ref()
    }

    /// The policies named. They may be used before [`Request::check`]: if another option is wrong,
    /// nothing starts anyway.
    pub fn policies(&self) -> &[FileOrFd] {
        &self.launch.policies
    }

    /// The labels. Like [`Request::policies`], they may be used before [`Request::check`].
    pub fn labels(&self) -> &[Label] {
        &self.launch.labels
    }

    /// The disks to attach: the name of each device, and what backs it. Before [`Request::check`] a
    /// tender may look at the files, but not open them.
    pub fn disks(&self) -> impl Iterator<Item = (Cow<'_, str>, &Backing)> {
        let named = self.wishes.blocks.iter();
        let named = named.map(|block| (Cow::Borrowed(block.name.as_str()), &block.backing));
        let placed = self.wishes.placed.iter().filter_map(|placed| match &placed.what {
            Attachment::Block(backing) => Some((os_text(&placed.option), backing)),
            Attachment::Net(..) => None,
        });
        named.chain(placed)
    }

    /// Every inherited descriptor that an option names. A tender checks that they are open before it
    /// opens files of its own, which could take the same numbers.
    pub fn descriptors(&self) -> impl Iterator<Item = i32> {
        let nets = self.wishes.nets.iter().map(|net| &net.interface);
        let placed = self.wishes.placed.iter().filter_map(|placed| match &placed.what {
            Attachment::Net(interface, _) => Some(interface),
            Attachment::Block(_) => None,
        });
        let nets = nets.chain(placed).filter_map(|interface| match interface {
            Interface::Fd(fd) => Some(*fd),
            Interface::Tap(_) => None,
        });
        let blocks = self.wishes.blocks.iter().filter_map(|block| match block.backing {
            Backing::Fd(fd) => Some(fd),
            Backing::Path(_) => None,
        });
        let files = self.launch.policies.iter().chain(&self.launch.report);
        let files = files.filter_map(|file| match file {
            FileOrFd::Fd(fd) => Some(*fd),
            FileOrFd::Path(_) => None,
        });
        nets.chain(blocks).chain(files)
    }

    /// Whether the launch is only explained. Then there is no outcome to report.
    pub fn only_explains(&self) -> bool {
        self.launch.explain
    }

    /// What was asked for, or the first wrong option in argument order: one that could not be
    /// read, names a device the manifest does not declare, or declines one that is not optional.
    pub fn check(
        self,
        manifest: &Mft1<'_>,
        properties: Option<&Mft2<'_>>,
    ) -> Result<Launch, OptionError> {
        let wrong = self.mentions.iter().find_map(|mention| {
            let name = &mention.name;
            let (why, advice) = match manifest.find(name, mention.kind) {
                None => (undeclared(name), meant(manifest, mention.kind, name)),
                Some((index, _))
                    if mention.declines
                        && !properties.is_some_and(|all| all.device(index).optional) =>
                {
                    let advice = format!("attach it with --{}", attaching(mention.kind, name));
                    (format!("Device '{name}' is not optional"), advice)
                }
                Some(_) => return None,
            };
            Some(OptionError::invalid(mention.argument, &mention.option, Some(why), Some(advice)))
        });
        let first = [wrong, self.error].into_iter().flatten().min_by_key(|error| error.argument);
        match first {
            Some(error) => Err(error),
            None => {
                let wishes = self.wishes.placed(&self.launch, manifest)?;
                wishes.resolve(self.launch, manifest, properties)
            }
        }
    }
}

/// The option that attaches a device.
fn attaching(kind: DeviceType, name: &str) -> String {
    match kind {
        DeviceType::NetBasic => format!("net:{name}=TAP"),
        DeviceType::BlockBasic => format!("block:{name}=PATH"),
    }
}

/// Advice on a name that no device of this kind has.
fn meant(manifest: &Mft1<'_>, kind: DeviceType, name: &str) -> String {
    let named = |kind| {
        let of_kind = move |entry: &&Entry| entry.kind() == Some(kind);
        manifest.entries().iter().filter(of_kind).map(Entry::name).collect::<Vec<_>>()
    };
    let words = |kind| match kind {
        DeviceType::NetBasic => ("network", DeviceType::BlockBasic),
        DeviceType::BlockBasic => ("block device", DeviceType::NetBasic),
    };
    let (what, other) = words(kind);
    if named(other).contains(&name) {
        let (is, _) = words(other);
        return format!("'{name}' is a {is}: use --{}", attaching(other, name));
    }
    let names = named(kind);
    if let Some(similar) = similar(name, &names) {
        return format!("no {what} is called '{name}'; did you mean '{similar}'?");
    }
    match names.as_slice() {
        [] => format!("the manifest declares no {what}"),
        names => format!("no {what} is called '{name}'; there is '{}'", names.join("', '")),
    }
}

impl Launch {
    /// Advice about the guest's first argument that looks like a device option of the tender; `None`
    /// if there is no such argument.
    pub fn misplaced(&self) -> Option<String> {
        let found = self.arguments.iter().find(|argument| options::is_for_device(argument))?;
        Some(format!(
            "'{}' follows the image, so it is the guest's; options come before the image",
            os_text(found)
        ))
    }

    /// Upstream's messages about declared devices that are neither attached nor declined; empty if there
    /// are none (`docs/reference/downstream.md#options`).
    pub fn unattached(&self, manifest: &Mft1<'_>) -> Vec<String> {
        let mut lines: Vec<String> = manifest
            .entries()
            .iter()
            .filter_map(|entry| {
                let kind = entry.kind()?;
                let name = entry.name();
                (!self.mentions(kind, name)).then(|| {
                    format!("Device '{name}' of type {} declared but not attached.", kind.name())
                })
            })
            .collect();
        if !lines.is_empty() {
            lines.push("All declared devices must be attached. See --help for syntax.".to_owned());
        }
        lines
    }

    /// The options that attach the devices of [`unattached`](Launch::unattached), or decline those that are
    /// optional.
    pub fn attaching(&self, manifest: &Mft1<'_>, properties: Option<&Mft2<'_>>) -> Option<String> {
        let options: Vec<String> = manifest
            .devices()
            .filter_map(|(index, entry)| {
                let (kind, name) = (entry.kind()?, entry.name());
                if self.mentions(kind, name) {
                    return None;
                }
                let attach = attaching(kind, name);
                let optional = properties.is_some_and(|all| all.device(index).optional);
                Some(match kind {
                    _ if !optional => format!("--{attach}"),
                    DeviceType::NetBasic => format!("--{attach} or --without-net:{name}"),
                    DeviceType::BlockBasic => format!("--{attach} or --without-block:{name}"),
                })
            })
            .collect();
        (!options.is_empty()).then(|| format!("add {}", options.join(", ")))
    }

    /// Whether an option of the launch attaches or declines a device.
    fn mentions(&self, kind: DeviceType, name: &str) -> bool {
        self.declines(kind, name)
            || match kind {
                DeviceType::NetBasic => self.nets.iter().any(|net| net.name == name),
                DeviceType::BlockBasic => self.blocks.iter().any(|block| block.name == name),
            }
    }

    /// Whether an option of the launch declines an optional device.
    fn declines(&self, kind: DeviceType, name: &str) -> bool {
        let declined = match kind {
            DeviceType::NetBasic => &self.without_nets,
            DeviceType::BlockBasic => &self.without_blocks,
        };
        declined.iter().any(|declined| declined == name)
    }

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
    pub fn enough_memory_mib(&self, target: Target, least: u64) -> Option<u64> {
        memory::enough_memory_mib(target, least, !self.nets.is_empty())
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

#[cfg(test)]
mod tests;
