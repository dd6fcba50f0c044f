//! Reads options one by one, in argument order. [`OPTIONS`] is the table of all of them.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use solo5_abi::device::{Mtu, SectorSize};
use solo5_abi::mft1::{DeviceType, is_name};
use solo5_abi::offer::Features;
use solo5_abi::target::Target;
use solo5_report::os_text;
use solo5_source::reader::similar;

use super::offer::parse_offer;
use super::resolve::{Attachment, BlockWish, NetWish, Placed, Wishes};
use super::value::{Mac, parse_fd, parse_mac, parse_memory, parse_number, parse_sector_size};
use super::{
    Access, Backing, FileOrFd, Format, Gdb, Hypervisor, Interface, Label, Launch, Machine, Mention,
    Modules, OptionError, Request, Runner, User, memory_default_mib,
};

/// The module that an option belongs to. An option exists only if its module is compiled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Module {
    Core,
    /// Offering features, which only a tender that stays between guest and host can do.
    Offer,
    /// Running a virtio machine.
    Runner,
    Confinement,
    ExecHeap,
    Net,
    Block,
    Gdb,
    Dumpcore,
}

impl Module {
    pub(super) fn is_in(self, modules: &Modules) -> bool {
        match self {
            Module::Core => true,
            // `--user` and `--chroot`. spt's guest is the tender's own process and needs neither.
            Module::Confinement => modules.target == Target::Hvt,
            Module::ExecHeap | Module::Offer => {
                matches!(modules.target, Target::Spt | Target::Hvt)
            }
            Module::Runner => modules.target == Target::Virtio,
            Module::Net => modules.net,
            Module::Block => modules.block,
            Module::Gdb => modules.gdb,
            Module::Dumpcore => modules.dumpcore,
        }
    }

    /// The tender that has its options, if not every one has them.
    const fn tender(self) -> Option<&'static str> {
        match self {
            Module::Core | Module::Offer | Module::ExecHeap | Module::Net | Module::Block => None,
            Module::Runner => Some("solo5-virtio-run"),
            Module::Confinement => Some("solo5-hvt"),
            Module::Gdb | Module::Dumpcore => Some("solo5-hvt-debug"),
        }
    }
}

/// How an option takes its value, and what it does with it.
#[derive(Clone, Copy)]
enum Form {
    /// `--option`
    Flag(fn(&mut Reader)),
    /// `--option=VALUE`
    Value(fn(&mut Reader, &[u8]) -> Result<(), ValueError>),
    /// `--option=VALUE`, which attaches the next device of the manifest
    Next(fn(&[u8]) -> Result<Attachment, ValueError>),
    /// `--option:NAME=VALUE`, of a device
    Device(DeviceType, fn(&mut Reader, &str, &[u8]) -> Result<(), ValueError>),
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
    form: Form,
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

/// Why an option's value is not taken.
enum ValueError {
    /// `Invalid option` with usage.
    Invalid,
    /// This reason, then `Invalid option` without usage.
    Because(String),
    /// Not a valid sector size.
    SectorSize,
    /// `Malformed argument to --option`, without usage.
    Malformed,
    /// The same, with what to write instead.
    Advised(String),
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
        Form::Flag(|reader| reader.launch.require_policy = true),
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
        Form::Flag(|reader| reader.launch.explain = true),
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
        "  [ --machine=pc | q35 | microvm ] (the machine that QEMU makes; also -M MACHINE)",
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
        Form::Flag(|reader| reader.launch.runner.quiet = true),
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
        Form::Flag(|reader| reader.launch.exec_heap = true),
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
        Form::Flag(|reader| reader.gdb = true),
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

/// Advice on an unknown option that another tender has, or that resembles a known one.
fn meant(name: &[u8], modules: &Modules) -> Option<String> {
    let name = str::from_utf8(name).ok()?;
    let tender = OPTIONS.iter().find(|row| row.name == name).and_then(|row| row.module.tender());
    if let Some(tender) = tender {
        return Some(format!("{name} is an option of {tender}"));
    }
    let known = OPTIONS.iter().filter(|row| row.module.is_in(modules)).map(|row| row.name);
    let names: Vec<_> = known.chain(ENDING).collect();
    similar(name, &names).map(|similar| format!("there is no {name}; did you mean {similar}?"))
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

/// Port for gdb when none is given.
const GDB_PORT_DEFAULT: u16 = 1234;

/// Settings of devices, by the device's name. One may precede or follow the option that attaches the
/// device; the last one of a kind wins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) macs: HashMap<String, Option<Mac>>,
    pub(super) sector_sizes: HashMap<String, SectorSize>,
    pub(super) accesses: HashMap<String, Access>,
}

struct Reader {
    launch: Launch,
    wishes: Wishes,
    mentions: Vec<Mention>,
    /// The keys of all labels so far. A set, because there may be thousands.
    label_keys: HashSet<String>,
    /// All devices attached or declined so far. A set for the same reason.
    devices: HashSet<(DeviceType, String)>,
    gdb: bool,
    gdb_at: Gdb,
}

/// Reads `options`, each of which begins with `-`. A final `--` ends them.
pub(super) fn read(
    options: &[OsString],
    kernel: &OsStr,
    guest: &[OsString],
    modules: &Modules,
) -> Request {
    let mut reader = Reader {
        launch: Launch {
            kernel: kernel.to_owned(),
            arguments: guest.to_vec(),
            memory_mib: memory_default_mib(modules.target),
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
        label_keys: HashSet::new(),
        devices: HashSet::new(),
        gdb: false,
        gdb_at: Gdb::Port(GDB_PORT_DEFAULT),
    };
    let mut error = None;
    for (index, option) in options.iter().enumerate() {
        if option == "--" {
            break;
        }
        if let Err(wrong) = reader.option(index, option, modules) {
            error.get_or_insert(wrong);
        }
    }
    reader.settle();
    Request { launch: reader.launch, wishes: reader.wishes, error, mentions: reader.mentions }
}

impl Reader {
    fn option(
        &mut self,
        index: usize,
        option: &OsStr,
        modules: &Modules,
    ) -> Result<(), OptionError> {
        let bytes = option.as_bytes();
        let end = bytes.iter().position(|byte| matches!(byte, b':' | b'=')).unwrap_or(bytes.len());
        let (name, rest) = bytes.split_at(end);
        let row = OPTIONS
            .iter()
            .find(|row| row.name.as_bytes() == name && row.module.is_in(modules))
            .ok_or_else(|| OptionError::invalid(index, option, None, meant(name, modules)))?;
        self.apply(row, rest, index, option).map_err(|wrong| match wrong {
            ValueError::Invalid => {
                let advice = format!("write it as in usage:{}", row.usage.trim_end());
                OptionError::invalid(index, option, None, Some(advice))
            }
            ValueError::Because(why) => OptionError::invalid(index, option, Some(why), None),
            ValueError::SectorSize => {
                let why = "Block size must be a multiple of 2 greater than or equal 512";
                let advice = "a sector size is a power of two from 512 to 32768, such as 4096";
                OptionError::invalid(index, option, Some(why.to_owned()), Some(advice.to_owned()))
            }
            ValueError::Malformed => {
                malformed(index, row, format!("write it as in usage:{}", row.usage.trim_end()))
            }
            ValueError::Advised(advice) => malformed(index, row, advice),
        })
    }

    /// Applies an option; `rest` is what follows its name.
    fn apply(
        &mut self,
        row: &Row,
        rest: &[u8],
        argument: usize,
        option: &OsStr,
    ) -> Result<(), ValueError> {
        let mention = |kind, name: &str, declines| Mention {
            argument,
            option: option.to_owned(),
            kind,
            name: name.to_owned(),
            declines,
        };
        match row.form {
            Form::Flag(set) if rest.is_empty() => set(self),
            Form::Flag(_) => return Err(ValueError::Invalid),
            Form::Value(set) => set(self, rest.strip_prefix(b"=").ok_or(ValueError::Invalid)?)?,
            Form::Next(attachment) => {
                let value = rest.strip_prefix(b"=").filter(|value| !value.is_empty());
                let what = attachment(value.ok_or(ValueError::Invalid)?)?;
                self.wishes.placed.push(Placed { argument, option: option.to_owned(), what });
            }
            Form::Device(kind, set) => {
                let (name, value) = device(rest).ok_or(ValueError::Invalid)?;
                let value = value.filter(|value| !value.is_empty()).ok_or(ValueError::Invalid)?;
                let done = set(self, name, value);
                // As upstream: if the value is malformed, only that is reported. If it is refused
                // for a reason, an undeclared device is reported first
                // (`docs/reference/downstream.md#options`).
                if matches!(done, Ok(()) | Err(ValueError::Because(_) | ValueError::SectorSize)) {
                    self.mentions.push(mention(kind, name, false));
                }
                done?;
            }
            Form::Without(kind) => {
                let (name, value) = device(rest).ok_or(ValueError::Invalid)?;
                if value.is_some() {
                    return Err(ValueError::Invalid);
                }
                self.mentions.push(mention(kind, name, true));
                self.once(kind, name)?;
                match kind {
                    DeviceType::NetBasic => self.launch.without_nets.push(name.to_owned()),
                    DeviceType::BlockBasic => self.launch.without_blocks.push(name.to_owned()),
                }
            }
        }
        Ok(())
    }

    /// Refuses a second attachment, or declining what is attached.
    fn once(&mut self, kind: DeviceType, name: &str) -> Result<(), ValueError> {
        if !self.devices.insert((kind, name.to_owned())) {
            return Err(ValueError::Because(format!("Device '{name}' is given more than once")));
        }
        Ok(())
    }

    fn attach_block(&mut self, name: &str, backing: Backing) -> Result<(), ValueError> {
        self.once(DeviceType::BlockBasic, name)?;
        self.wishes.blocks.push(BlockWish {
            name: name.to_owned(),
            backing,
            sector_size: None,
            access: Access::ReadWrite,
        });
        Ok(())
    }

    fn settle(&mut self) {
        self.wishes.settle();
        self.launch.gdb = self.gdb.then(|| self.gdb_at.clone());
    }
}

/// What to write for a memory size that is none: if it is a number with another unit, that one.
fn memory_advice(value: &[u8]) -> String {
    let text = str::from_utf8(value).unwrap_or_default();
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let number = text.strip_suffix(unit).unwrap_or_default();
    let meant = match unit.to_ascii_lowercase().as_str() {
        "m" | "mb" | "mib" => Some("MiB"),
        "g" | "gb" | "gib" => Some("GiB"),
        _ => None,
    };
    let meant = meant.map(|unit| format!("{number}{unit}"));
    match meant.filter(|meant| parse_memory(meant.as_bytes()).is_some()) {
        Some(meant) => format!("write --mem={meant}"),
        None => "write a number of MiB, such as --mem=512, or a size such as --mem=2GiB".to_owned(),
    }
}

/// Upstream's text on a value that is none, with what to write.
fn malformed(argument: usize, row: &Row, advice: String) -> OptionError {
    let lines = vec![format!("Malformed argument to {}", row.name)];
    OptionError { argument, lines, usage: false, advice: Some(advice) }
}

/// `:NAME` or `:NAME=VALUE`.
fn device(rest: &[u8]) -> Option<(&str, Option<&[u8]>)> {
    let rest = rest.strip_prefix(b":")?;
    let end = rest.iter().position(|byte| *byte == b'=');
    let (name, value) = match end {
        Some(end) => (rest.get(..end)?, rest.get(end + 1..)),
        None => (rest, None),
    };
    is_name(name).then_some(())?;
    Some((str::from_utf8(name).ok()?, value))
}

fn os(bytes: &[u8]) -> OsString {
    OsString::from_vec(bytes.to_vec())
}

fn memory(reader: &mut Reader, value: &[u8]) -> Result<(), ValueError> {
    let wrong = || ValueError::Advised(memory_advice(value));
    reader.launch.memory_mib = parse_memory(value).ok_or_else(wrong)?;
    Ok(())
}

fn user(reader: &mut Reader, value: &[u8]) -> Result<(), ValueError> {
    let text = str::from_utf8(value).map_err(|_| ValueError::Malformed)?;
    let (uid, gid) = text.split_once(':').ok_or(ValueError::Malformed)?;
    // The largest number means "no change" to the kernel.
    let number = |text: &str| {
        let number = parse_number(text.as_bytes()).and_then(|number| u32::try_from(number).ok());
        number.filter(|number| *number != u32::MAX).ok_or(ValueError::Malformed)
    };
    reader.launch.user = Some(User { uid: number(uid)?, gid: number(gid)? });
    Ok(())
}

fn chroot(reader: &mut Reader, value: &[u8]) -> Result<(), ValueError> {
    if value.is_empty() {
        return Err(ValueError::Malformed);
    }
    reader.launch.chroot = Some(os(value));
    Ok(())
}

/// `@NN`, or with `bare` also `NN`, is a descriptor. Any other text is a path, if it is not empty.
fn file_or_fd(value: &[u8], bare: bool) -> Result<FileOrFd, ValueError> {
    if let Some(number) = value.strip_prefix(b"@") {
        return parse_fd(number).map(FileOrFd::Fd).ok_or(ValueError::Malformed);
    }
    if bare && value.iter().all(u8::is_ascii_digit) {
        return parse_fd(value).map(FileOrFd::Fd).ok_or(ValueError::Malformed);
    }
    if value.is_empty() {
        return Err(ValueError::Malformed);
    }
    Ok(FileOrFd::Path(os(value)))
}

fn policy(reader: &mut Reader, value: &[u8]) -> Result<(), ValueError> {
    reader.launch.policies.push(file_or_fd(value, false)?);
    Ok(())
}

fn report(reader: &mut Reader, value: &[u8]) -> Result<(), ValueError> {
    reader.launch.report = Some(file_or_fd(value, true)?);
    Ok(())
}

fn label(reader: &mut Reader, value: &[u8]) -> Result<(), ValueError> {
    let text = str::from_utf8(value).map_err(|_| ValueError::Malformed)?;
    let (key, value) = text.split_once('=').ok_or(ValueError::Malformed)?;
    if !is_label_key(key) {
        return Err(ValueError::Malformed);
    }
    if !reader.label_keys.insert(key.to_owned()) {
        return Err(ValueError::Because(format!("Label '{key}' is given more than once")));
    }
    reader.launch.labels.push(Label { key: key.to_owned(), value: value.to_owned() });
    Ok(())
}

/// Whether `key` can be a label's.
pub fn is_label_key(key: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'/');
    !key.is_empty() && key.bytes().all(fits)
}

fn format(reader: &mut Reader, value: &[u8]) -> Result<(), ValueError> {
    reader.launch.format = match value {
        b"human" => Format::Human,
        b"json" => Format::Json,
        _ => return Err(ValueError::Malformed),
    };
    Ok(())
}

fn offer(reader: &mut Reader, value: &[u8]) -> Result<(), ValueError> {
    reader.launch.offer = parse_offer(value).map_err(ValueError::Advised)?;
    Ok(())
}

fn machine(reader: &mut Reader, value: &[u8]) -> Result<(), ValueError> {
    let machine = str::from_utf8(value).ok().and_then(Machine::from_name);
    let advice = || ValueError::Advised("the machines are pc, q35 and microvm".to_owned());
    reader.launch.runner.machine = machine.ok_or_else(advice)?;
    Ok(())
}

fn hypervisor(reader: &mut Reader, value: &[u8]) -> Result<(), ValueError> {
    let hypervisor = str::from_utf8(value).ok().and_then(Hypervisor::from_name);
    let why = || {
        let value = os_text(OsStr::from_bytes(value));
        ValueError::Because(format!("Unknown hypervisor: {value}"))
    };
    reader.launch.runner.hypervisor = hypervisor.ok_or_else(why)?;
    Ok(())
}

fn next_disk(value: &[u8]) -> Result<Attachment, ValueError> {
    Ok(Attachment::Block(Backing::Path(os(value))))
}

/// `IFACE` or `IFACE:MTU`. No interface has a colon in its name.
fn next_interface(value: &[u8]) -> Result<Attachment, ValueError> {
    let end = value.iter().position(|byte| *byte == b':').unwrap_or(value.len());
    let (name, mtu) = value.split_at(end);
    let mtu = mtu.strip_prefix(b":").map(|text| {
        let mtu = parse_number(text).and_then(Mtu::new);
        mtu.ok_or_else(|| {
            let (least, most) = (Mtu::RANGE.start(), Mtu::RANGE.end());
            ValueError::Advised(format!("an MTU is a number from {least} to {most}"))
        })
    });
    Ok(Attachment::Net(interface(name)?, mtu.transpose()?))
}

/// The name of a tap, or `@NN`.
fn interface(value: &[u8]) -> Result<Interface, ValueError> {
    Ok(match value.strip_prefix(b"@") {
        None => Interface::Tap(os(value)),
        Some(number) => Interface::Fd(net_fd(value, number)?),
    })
}

fn net(reader: &mut Reader, name: &str, value: &[u8]) -> Result<(), ValueError> {
    let interface = interface(value)?;
    reader.once(DeviceType::NetBasic, name)?;
    reader.wishes.nets.push(NetWish { name: name.to_owned(), interface, mac: None, mtu: None });
    Ok(())
}

/// A tap's descriptor. A wrong number is refused with upstream's texts
/// (`docs/reference/downstream.md#attach-net`).
fn net_fd(value: &[u8], number: &[u8]) -> Result<i32, ValueError> {
    let digits = number.strip_prefix(b"-").unwrap_or(number);
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    parse_fd(number).ok_or_else(|| {
        let why = if is_number { "Numerical result out of range" } else { "Invalid argument" };
        let value = os_text(OsStr::from_bytes(value));
        ValueError::Because(format!("Could not attach interface: {value}: {why}"))
    })
}

fn net_mac(reader: &mut Reader, name: &str, value: &[u8]) -> Result<(), ValueError> {
    let mac = parse_mac(value).ok_or(ValueError::Invalid)?;
    // As upstream: an address of zeros counts as absent.
    let mac = Some(mac).filter(|mac| mac.0 != [0; 6]);
    reader.wishes.settings.macs.insert(name.to_owned(), mac);
    Ok(())
}

fn block(reader: &mut Reader, name: &str, value: &[u8]) -> Result<(), ValueError> {
    reader.attach_block(name, Backing::Path(os(value)))
}

fn block_fd(reader: &mut Reader, name: &str, value: &[u8]) -> Result<(), ValueError> {
    let fd = parse_fd(value).ok_or(ValueError::Malformed)?;
    reader.attach_block(name, Backing::Fd(fd))
}

fn sector_size(reader: &mut Reader, name: &str, value: &[u8]) -> Result<(), ValueError> {
    let size = parse_sector_size(value).ok_or(ValueError::SectorSize)?;
    reader.wishes.settings.sector_sizes.insert(name.to_owned(), size);
    Ok(())
}

fn block_access(reader: &mut Reader, name: &str, value: &[u8]) -> Result<(), ValueError> {
    let access = str::from_utf8(value).ok().and_then(Access::from_name);
    let access = access.ok_or(ValueError::Malformed)?;
    reader.wishes.settings.accesses.insert(name.to_owned(), access);
    Ok(())
}

fn gdb_port(reader: &mut Reader, value: &[u8]) -> Result<(), ValueError> {
    let port = parse_number(value).and_then(|number| u16::try_from(number).ok());
    reader.gdb_at = Gdb::Port(port.ok_or(ValueError::Malformed)?);
    Ok(())
}

fn gdb_socket(reader: &mut Reader, value: &[u8]) -> Result<(), ValueError> {
    if value.is_empty() {
        return Err(ValueError::Malformed);
    }
    reader.gdb_at = Gdb::Socket(os(value));
    Ok(())
}

fn dumpcore(reader: &mut Reader, value: &[u8]) -> Result<(), ValueError> {
    if value.is_empty() {
        return Err(ValueError::Malformed);
    }
    reader.launch.dumpcore = Some(os(value));
    Ok(())
}
