//! The table of options: how each is typed, which tenders have it, and what it does.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use solo5_abi::mft1::DeviceType;
use solo5_source::reader::similar;

use super::draft::{Draft, ValueError};
use super::modules::{Module, Modules};
use super::resolve::Attachment;
use super::setters::{
    block, block_access, block_fd, chroot, dumpcore, format, gdb_port, gdb_socket, hypervisor,
    label, machine, memory, net, net_mac, next_disk, next_interface, offer, policy, report,
    sector_size, user,
};
use super::short;

/// How an option takes its value, and what it does with it.
#[derive(Clone, Copy)]
pub(super) enum Form {
    /// `--option`
    Flag(fn(&mut Draft)),
    /// `--option=VALUE`
    Value(fn(&mut Draft, &[u8]) -> Result<(), ValueError>),
    /// `--option=VALUE`, which attaches the next device of the manifest
    Next(fn(&[u8]) -> Result<Attachment, ValueError>),
    /// `--option:NAME=VALUE`, of a device
    Device(DeviceType, fn(&mut Draft, &str, &[u8]) -> Result<(), ValueError>),
    /// `--option:NAME`, which declines a device
    Without(DeviceType),
}

/// How an option is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// `--option`
    Flag,
    /// `--option=VALUE`
    Value,
    /// `--option:NAME=VALUE`
    Device,
    /// `--option:NAME`
    Without,
}

/// One option.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) module: Module,
    pub(super) form: Form,
    /// Its line of usage.
    pub(super) usage: &'static str,
}

impl Row {
    pub(super) fn shape(&self) -> Shape {
        match self.form {
            Form::Flag(_) => Shape::Flag,
            Form::Value(_) | Form::Next(_) => Shape::Value,
            Form::Device(..) => Shape::Device,
            Form::Without(_) => Shape::Without,
        }
    }
}

const fn row(name: &'static str, module: Module, form: Form, usage: &'static str) -> Row {
    Row { name, module, form, usage }
}

/// Every option but `--help`, `--version` and `--explain=CODE`, which end reading.
pub(super) static OPTIONS: &[Row] = &[
    row("--mem", Module::Core, Form::Value(memory), "  [ --mem=512 ] (guest memory in MB)"),
    row(
        "--policy",
        Module::Core,
        Form::Value(policy),
        "  [ --policy=FILE | @NN ] (also obey the policy in FILE or at fd @NN; may be repeated)",
    ),
    row(
        "--require-policy",
        Module::Core,
        Form::Flag(|draft| draft.launch.require_policy = true),
        "  [ --require-policy ] (refuse to start if no policy applies)",
    ),
    row(
        "--label",
        Module::Core,
        Form::Value(label),
        "  [ --label=KEY=VALUE ] (label that policies may match; may be repeated)",
    ),
    row(
        "--explain",
        Module::Core,
        Form::Flag(|draft| draft.launch.explain = true),
        "  [ --explain ] (show what would be opened, decided and enforced, and start nothing)",
    ),
    row(
        "--format",
        Module::Core,
        Form::Value(format),
        "  [ --format=human | json ] (output format of --explain)",
    ),
    row(
        "--report",
        Module::Core,
        Form::Value(report),
        "  [ --report=NN | FILE ] (write one line of JSON on the outcome to fd NN or FILE)",
    ),
    row(
        "--offer",
        Module::Offer,
        Form::Value(offer),
        "  [ --offer=all | none | LIST ] (offer only these features, with commas between: \
         stack,transfers,flush,seed)",
    ),
    row(
        "--machine",
        Module::Runner,
        Form::Value(machine),
        "  [ --machine=pc | q35 | microvm | virt ] (the machine that QEMU makes; virt is for aarch64 and the only \
         one there; also -M MACHINE)",
    ),
    row(
        "--hypervisor",
        Module::Runner,
        Form::Value(hypervisor),
        "  [ --hypervisor=best | kvm | qemu | bhyve ] (what runs the machine; also -H HYPERVISOR)",
    ),
    row(
        "--quiet",
        Module::Runner,
        Form::Flag(|draft| draft.launch.runner.quiet = true),
        "  [ --quiet ] (do not show the command line of the hypervisor; also -q)",
    ),
    row(
        "--interface",
        Module::Runner,
        Form::Next(next_interface),
        "    --interface=IFACE[:MTU] (attach tap IFACE as the manifest's next device; also -n IFACE)",
    ),
    row(
        "--disk",
        Module::Runner,
        Form::Next(next_disk),
        "    --disk=PATH (attach block device/file at PATH as the manifest's next device; also -d PATH)",
    ),
    // For launchers that start the tender as root because it opens taps and devices.
    row(
        "--user",
        Module::Confinement,
        Form::Value(user),
        "  [ --user=UID:GID ] (run the guest as this user and group, by number)",
    ),
    row(
        "--chroot",
        Module::Confinement,
        Form::Value(chroot),
        "  [ --chroot=DIR ] (run the guest with DIR, preferably empty, as its root directory)",
    ),
    row(
        "--x-exec-heap",
        Module::ExecHeap,
        Form::Flag(|draft| draft.launch.exec_heap = true),
        "    --x-exec-heap (make the heap executable). WARNING: This option is dangerous and not \
         recommended as it makes the heap and stack executable.",
    ),
    row(
        "--net",
        Module::Net,
        Form::Device(DeviceType::NetBasic, net),
        "    --net:NAME=IFACE | @NN (attach tap at IFACE or at fd @NN as network NAME)",
    ),
    row(
        "--net-mac",
        Module::Net,
        Form::Device(DeviceType::NetBasic, net_mac),
        "  [ --net-mac:NAME=HWADDR ] (set HWADDR for network NAME)",
    ),
    row(
        "--without-net",
        Module::Net,
        Form::Without(DeviceType::NetBasic),
        "  [ --without-net:NAME ] (start without the optional network NAME)",
    ),
    row(
        "--block",
        Module::Block,
        Form::Device(DeviceType::BlockBasic, block),
        "    --block:NAME=PATH (attach block device/file at PATH as block storage NAME)",
    ),
    row(
        "--block-fd",
        Module::Block,
        Form::Device(DeviceType::BlockBasic, block_fd),
        "    --block-fd:NAME=NN (attach block device/file at fd NN as block storage NAME)",
    ),
    row(
        "--block-sector-size",
        Module::Block,
        Form::Device(DeviceType::BlockBasic, sector_size),
        "  [ --block-sector-size:NAME=SECTORSIZE ] (set sector size for block device NAME; must \
         be a power of two greater than or equal 512)",
    ),
    row(
        "--block-access",
        Module::Block,
        Form::Device(DeviceType::BlockBasic, block_access),
        "  [ --block-access:NAME=read-only | read-write ] (set access for block device NAME)",
    ),
    row(
        "--without-block",
        Module::Block,
        Form::Without(DeviceType::BlockBasic),
        "  [ --without-block:NAME ] (start without the optional block device NAME)",
    ),
    row(
        "--gdb",
        Module::Gdb,
        Form::Flag(|draft| draft.gdb = true),
        "    --gdb (optional flag for running in a gdb debug session)",
    ),
    row("--gdb-port", Module::Gdb, Form::Value(gdb_port), "  [ --gdb-port=1234 ] (port to use) "),
    row(
        "--gdb-socket",
        Module::Gdb,
        Form::Value(gdb_socket),
        "  [ --gdb-socket=PATH ] (Unix socket to use instead of a port)",
    ),
    row(
        "--dumpcore",
        Module::Dumpcore,
        Form::Value(dumpcore),
        "    --dumpcore=DIR (enable guest core dump on abort/trap)",
    ),
];

/// The options that end reading before an image is opened.
pub(super) const ENDING: [&str; 2] = ["--help", "--version"];
/// Also one of these, if a code follows.
pub(super) const EXPLAIN: &[u8] = b"--explain";

/// Advice on one of these options in the launch of an image.
pub(super) fn ends(option: &str) -> String {
    format!("with {option} a tender prints a text and starts nothing")
}

/// Advice on an unknown option that another tender has, or that resembles a known one.
pub(super) fn meant(name: &[u8], modules: &Modules) -> Option<String> {
    let name = str::from_utf8(name).ok()?;
    if ENDING.contains(&name) {
        return Some(ends(name));
    }
    let tender = OPTIONS.iter().find(|row| row.name == name).and_then(|row| row.module.tender());
    if let Some(tender) = tender {
        return Some(format!("{name} is an option of {tender}"));
    }
    let known = OPTIONS.iter().filter(|row| row.module.is_in(modules)).map(|row| row.name);
    let names: Vec<_> = known.chain(ENDING).collect();
    // A known name with more letters, such as `--memory`.
    let begun = || {
        let begun = names.iter().copied().filter(|known| name.starts_with(known));
        begun.max_by_key(|known| known.len())
    };
    if let Some(similar) = similar(name, &names).or_else(begun) {
        return Some(format!("there is no {name}; did you mean {similar}?"));
    }
    if let Some(advice) = short::lacking(name, modules) {
        return Some(advice);
    }
    let (long, written) = short::written_long(name)?;
    let row = OPTIONS.iter().find(|row| row.name == long)?;
    Some(match row.module.tender() {
        Some(tender) if !row.module.is_in(modules) => {
            format!("{name} is an option of {tender}")
        }
        _ => format!("there is no {name}; write {written}"),
    })
}

/// Whether an argument is an option about a device.
pub(super) fn is_for_device(argument: &OsStr) -> bool {
    let bytes = argument.as_bytes();
    OPTIONS.iter().filter(|row| matches!(row.form, Form::Device(..) | Form::Without(_))).any(
        |row| {
            let rest = bytes.strip_prefix(row.name.as_bytes());
            rest.is_some_and(|rest| rest.starts_with(b":"))
        },
    )
}
