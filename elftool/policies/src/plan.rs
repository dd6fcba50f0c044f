//! Launch plans: which unikernels a host is to run together, each with its memory, attachments,
//! labels and policies.
//!
//! [`read`] is the front end: bytes → checked [`Plan`], or every error in them at once. Then
//! [`Plan::conflicts`] finds conflicts between launches: a block device with two writers, a tap of two
//! unikernels, sums above the plan's limits. The keys read here are those of [`crate::schema`].
//!
//! A unikernel of a plan becomes a tender's command line ([`Plan::words`]) and nothing else, so what
//! is checked is what would be started.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use solo5_report::{Diagnostic, SourceText};
use solo5_source::reader::excerpt;
use solo5_source::{Fields, Key, Kind, Node, Pair, Reader, size};

use crate::case::device;
use crate::codes;
use solo5_abi::device::SectorSize;
use solo5_launch::{Access, Mac, is_label_key, parse_mac};
use solo5_policy::fields::{at, header, is_plain_path, one_or_many, path, self_name};
use solo5_policy::model::At;

/// `type` of a plan.
pub const TYPE: &str = "solo5.plan";
/// Its one version.
pub const VERSION: u64 = 1;
/// The unit in which a tender takes guest memory.
const MIB: u64 = 1 << 20;

/// Unikernels that run together.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Its text, which every span refers to.
    pub source: Arc<SourceText>,
    /// Its name.
    pub name: Option<String>,
    /// Paths of policies for all, relative to the plan's folder; this host's apply if there are none.
    pub policies: Vec<At<String>>,
    /// Whether at least one policy must apply to each.
    pub require_policy: bool,
    /// The limits on the sums.
    pub limits: Limits,
    /// The unikernels.
    pub unikernels: Vec<Unikernel>,
}

/// Limits on the sums over all unikernels of a plan.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// How many there may be.
    pub unikernels: Option<At<u64>>,
    /// Bytes of guest memory.
    pub memory: Option<At<u64>>,
    /// Network interfaces.
    pub net: Option<At<u64>>,
    /// Block devices.
    pub block: Option<At<u64>>,
}

/// One unikernel of a plan.
#[derive(Clone, Debug)]
pub struct Unikernel {
    /// Its name in the plan.
    pub name: At<String>,
    /// Path of its image, relative to the plan's folder.
    pub image: At<String>,
    /// Guest memory in bytes to ask for: whole MiB, at least one.
    pub memory: At<u64>,
    /// Whether heap and stack are to be executable.
    pub executable_heap: bool,
    /// Arguments of the guest.
    pub arguments: Vec<String>,
    /// Labels that policies may match.
    pub labels: Vec<(String, String)>,
    /// Further policies, relative to the plan's folder.
    pub policies: Vec<At<String>>,
    /// Network interfaces.
    pub nets: Vec<Net>,
    /// Block devices.
    pub blocks: Vec<Block>,
    /// Optional network interfaces that it goes without.
    pub without_nets: Vec<At<String>>,
    /// Optional block devices that it goes without.
    pub without_blocks: Vec<At<String>>,
}

/// A network interface of a plan.
#[derive(Clone, Debug)]
pub struct Net {
    /// The device's name in the manifest.
    pub name: At<String>,
    /// The tap.
    pub tap: At<String>,
    /// Its address; `None` means a random one.
    pub mac: Option<At<Mac>>,
}

/// A block device of a plan.
#[derive(Clone, Debug)]
pub struct Block {
    /// The device's name in the manifest.
    pub name: At<String>,
    /// The file or block device on the host: absolute, without `.` and `..`.
    pub path: At<String>,
    /// The access asked for; the manifest may allow less.
    pub access: Access,
    /// Sector size in bytes, if one is asked for.
    pub sector_size: Option<u64>,
}

/// What a path leads to on the host. Equal values are the same file or device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Identity {
    /// A file: the file system's device number and the inode.
    File(u64, u64),
    /// A block device, by its own number.
    Device(u64),
}

/// The sums over all unikernels of a plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Unikernels.
    pub unikernels: u64,
    /// Bytes of memory that the guests get.
    pub memory: u64,
    /// Network interfaces.
    pub net: u64,
    /// Block devices.
    pub block: u64,
}

/// Reads `bytes`, which are called `name` in diagnostics, as a plan.
///
/// # Errors
///
/// Everything wrong with it, in order of position.
pub fn read(name: &str, bytes: &[u8]) -> Result<Plan, Vec<Diagnostic>> {
    let (document, mut reader) = solo5_source::read(name, bytes)?;
    let plan = plan(&document.root, &mut reader);
    reader.checked(plan)
}

impl Plan {
    /// The options and arguments of a tender that starts `unikernel`, its image left out: options,
    /// `--`, arguments.
    pub fn words(&self, unikernel: &Unikernel) -> Vec<String> {
        let mut words = Vec::new();
        if self.require_policy {
            words.push("--require-policy".to_owned());
        }
        words.push(format!("--mem={}", unikernel.memory.value / MIB));
        if unikernel.executable_heap {
            words.push("--x-exec-heap".to_owned());
        }
        for (key, value) in &unikernel.labels {
            words.push(format!("--label={key}={value}"));
        }
        for Net { name, tap, mac } in &unikernel.nets {
            let name = &name.value;
            words.push(format!("--net:{name}={}", tap.value));
            let mac = mac.as_ref().map(|mac| mac.value);
            words.extend(mac.map(|mac| format!("--net-mac:{name}={mac}")));
        }
        for block in &unikernel.blocks {
            let name = &block.name.value;
            words.push(format!("--block:{name}={}", block.path.value));
            if block.access == Access::ReadOnly {
                words.push(format!("--block-access:{name}={}", block.access.name()));
            }
            let size = block.sector_size;
            words.extend(size.map(|size| format!("--block-sector-size:{name}={size}")));
        }
        for name in &unikernel.without_nets {
            words.push(format!("--without-net:{}", name.value));
        }
        for name in &unikernel.without_blocks {
            words.push(format!("--without-block:{}", name.value));
        }
        words.push("--".to_owned());
        words.extend(unikernel.arguments.iter().cloned());
        words
    }

    /// The sums over all unikernels. `memory` gives the bytes of memory that a guest gets, by the index
    /// of its unikernel: a tender may round what is asked for.
    pub fn sums(&self, memory: impl Fn(usize) -> u64) -> Sums {
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let start = Sums { unikernels: count(self.unikernels.len()), ..Sums::default() };
        self.unikernels.iter().enumerate().fold(start, |sums, (index, one)| Sums {
            memory: sums.memory.saturating_add(memory(index)),
            net: sums.net.saturating_add(count(one.nets.len())),
            block: sums.block.saturating_add(count(one.blocks.len())),
            ..sums
        })
    }

    /// The conflicts, in order of position. `access` gives the access that a block device will get, by the
    /// indices of unikernel and device; `identity` gives what a path leads to on this host, if that is
    /// known. If it is not, equal paths are one device. `sums` are those of [`Plan::sums`].
    pub fn conflicts(
        &self,
        access: impl Fn(usize, usize) -> Access,
        identity: impl Fn(&str) -> Option<Identity>,
        sums: Sums,
    ) -> Vec<Diagnostic> {
        let mut found = self.taps();
        found.extend(self.addresses());
        found.extend(self.devices(access, identity));
        found.extend(self.beyond(sums));
        let place = |found: &Diagnostic| found.labels.first().map_or(0, |label| label.span.start);
        found.sort_by_key(place);
        found
    }

    fn taps(&self) -> Vec<Diagnostic> {
        let mut first: HashMap<&str, (&Unikernel, &Net)> = HashMap::new();
        let mut found = Vec::new();
        for unikernel in &self.unikernels {
            for net in &unikernel.nets {
                let Some((other, before)) = first.get(net.tap.value.as_str()) else {
                    first.insert(&net.tap.value, (unikernel, net));
                    continue;
                };
                let message = format!(
                    "tap '{}' is attached to {} and to {}",
                    net.tap.value,
                    device_of(other, &before.name),
                    device_of(unikernel, &net.name)
                );
                found.push(
                    Diagnostic::error(codes::TAP_TWICE, message)
                        .label(&self.source, net.tap.span.clone(), "again here")
                        .label(&self.source, before.tap.span.clone(), "first here")
                        .with_help("make a tap for each, and put both on one bridge"),
                );
            }
        }
        found
    }

    fn addresses(&self) -> Vec<Diagnostic> {
        let mut first: HashMap<Mac, (&Unikernel, &Net, &Range<usize>)> = HashMap::new();
        let mut found = Vec::new();
        for unikernel in &self.unikernels {
            for net in &unikernel.nets {
                let Some(At { value: mac, span }) = &net.mac else {
                    continue;
                };
                let Some((other, before, place)) = first.get(mac) else {
                    first.insert(*mac, (unikernel, net, span));
                    continue;
                };
                let message = format!(
                    "{mac} is the address of {} and of {}",
                    device_of(other, &before.name),
                    device_of(unikernel, &net.name)
                );
                found.push(
                    Diagnostic::warning(codes::MAC_TWICE, message)
                        .label(&self.source, span.clone(), "again here")
                        .label(&self.source, (*place).clone(), "first here")
                        .with_help("give each its own, or none for a random one"),
                );
            }
        }
        found
    }

    fn devices(
        &self,
        access: impl Fn(usize, usize) -> Access,
        identity: impl Fn(&str) -> Option<Identity>,
    ) -> Vec<Diagnostic> {
        struct Use<'p> {
            unikernel: &'p Unikernel,
            block: &'p Block,
            writes: bool,
        }
        let mut same: Vec<Vec<Use<'_>>> = Vec::new();
        let mut by_path: HashMap<&str, usize> = HashMap::new();
        let mut by_identity: HashMap<Identity, usize> = HashMap::new();
        for (index, unikernel) in self.unikernels.iter().enumerate() {
            for (number, block) in unikernel.blocks.iter().enumerate() {
                let path = block.path.value.as_str();
                let known = by_path.get(path).copied();
                let group = known.unwrap_or_else(|| {
                    let new = same.len();
                    let group = identity(path).map(|id| *by_identity.entry(id).or_insert(new));
                    let group = group.unwrap_or(new);
                    if group == new {
                        same.push(Vec::new());
                    }
                    by_path.insert(path, group);
                    group
                });
                if let Some(group) = same.get_mut(group) {
                    group.push(Use {
                        unikernel,
                        block,
                        writes: access(index, number) == Access::ReadWrite,
                    });
                }
            }
        }
        let mut found = Vec::new();
        for group in &same {
            // Each diagnostic points at the other use, and second at the first writer.
            let Some(writer) = group.iter().find(|one| one.writes) else {
                continue;
            };
            for other in group.iter().filter(|other| !std::ptr::eq(*other, writer)) {
                let path = &writer.block.path.value;
                let (one, two) = (
                    device_of(writer.unikernel, &writer.block.name),
                    device_of(other.unikernel, &other.block.name),
                );
                let diagnostic = if other.writes {
                    let message = format!("'{path}' is written by {one} and by {two}");
                    let help = "give each its own, or all but one `access: read-only`";
                    Diagnostic::error(codes::BLOCK_WRITTEN_TWICE, message).with_help(help)
                } else {
                    let message = format!("'{path}' is written by {one} while {two} reads it");
                    let help = "what is read may be half written; give the reader a copy";
                    Diagnostic::warning(codes::BLOCK_SHARED, message).with_help(help)
                };
                let mut diagnostic = diagnostic
                    .label(&self.source, other.block.path.span.clone(), "also here")
                    .label(&self.source, writer.block.path.span.clone(), "written here");
                if other.block.path.value != *path {
                    let also = &other.block.path.value;
                    diagnostic = diagnostic.with_note(format!("'{also}' leads to the same device"));
                }
                found.push(diagnostic);
            }
        }
        found
    }

    fn beyond(&self, sums: Sums) -> Vec<Diagnostic> {
        let limits = &self.limits;
        let number = |number: u64| number.to_string();
        let rows: [(_, _, _, _, &dyn Fn(u64) -> String); 4] = [
            (codes::MANY_UNIKERNELS, &limits.unikernels, sums.unikernels, "unikernels", &number),
            (codes::MUCH_MEMORY, &limits.memory, sums.memory, "memory", &size::display),
            (codes::MANY_NETS, &limits.net, sums.net, "network interfaces", &number),
            (codes::MANY_BLOCKS, &limits.block, sums.block, "block devices", &number),
        ];
        let over = rows.into_iter().filter_map(|(code, limit, sum, what, show)| {
            let limit = limit.as_ref().filter(|limit| sum > limit.value)?;
            let message =
                format!("{what}: {} in sum, at most {} wanted", show(sum), show(limit.value));
            Some(
                Diagnostic::error(code, message)
                    .label(&self.source, limit.span.clone(), "")
                    .with_help("take something out of the plan, or raise the limit"),
            )
        });
        over.collect()
    }
}

/// `'storage' of router`.
fn device_of(unikernel: &Unikernel, device: &At<String>) -> String {
    format!("'{}' of {}", device.value, unikernel.name.value)
}

fn plan(root: &Node, reader: &mut Reader) -> Option<Plan> {
    let mut fields = reader.fields(root, "a plan")?;
    header(&mut fields, reader, TYPE, VERSION, ["a plan", "plans"]);
    let name = fields.optional("name").and_then(|node| self_name(node, reader));
    let policies = paths(&mut fields, "policies", reader);
    let require_policy = flag(&mut fields, "require-policy", reader);
    let limits = fields.pair("limits").map(|found| limits(found, reader));
    let mut unikernels: Vec<Unikernel> = Vec::new();
    if let Some(node) = fields.required("unikernels") {
        let items = reader.items(node, "`unikernels`").unwrap_or_default();
        if matches!(&node.kind, Kind::Sequence(items) if items.is_empty()) {
            let message = "a plan without unikernels starts nothing";
            let help = "write one: `- { name: ..., image: ..., memory: ... }`";
            reader.error(codes::EMPTY, node.span.clone(), message, "", help);
        }
        let mut names: HashMap<String, Range<usize>> = HashMap::new();
        for item in items {
            let Some(found) = unikernel(item, reader) else {
                continue;
            };
            let At { value, span } = &found.name;
            if let Some(first) = names.get(value) {
                let message = format!("two unikernels are called `{value}`");
                let source = reader.source().clone();
                reader.report(
                    Diagnostic::error(codes::UNIKERNEL_TWICE, message)
                        .label(&source, span.clone(), "again here")
                        .label(&source, first.clone(), "first here")
                        .with_help("give each its own name; reports tell them apart by it"),
                );
            } else {
                names.insert(value.clone(), span.clone());
            }
            unikernels.push(found);
        }
    }
    let source = reader.source().clone();
    fields.finish(reader);
    Some(Plan {
        source,
        name,
        policies,
        require_policy,
        limits: limits.unwrap_or_default(),
        unikernels,
    })
}

fn flag(fields: &mut Fields<'_>, key: &'static str, reader: &mut Reader) -> bool {
    let node = fields.optional(key);
    let flag = node.and_then(|node| reader.boolean(node, &format!("`{key}`")));
    flag.unwrap_or(false)
}

fn paths(fields: &mut Fields<'_>, key: &'static str, reader: &mut Reader) -> Vec<At<String>> {
    let node = fields.optional(key);
    let paths = node.map(|node| {
        one_or_many(node, reader, |item, reader| path(item, "a policy", codes::PLAN_PATH, reader))
    });
    paths.unwrap_or_default()
}

fn limits((key, node): (&Key, &Node), reader: &mut Reader) -> Limits {
    let mut limits = Limits::default();
    if matches!(&node.kind, Kind::Mapping(pairs) if pairs.is_empty()) {
        let help = "write the most there may be, or remove it";
        reader.error(codes::EMPTY, key.span.clone(), "`limits` says nothing", "", help);
        return limits;
    }
    let Some(mut fields) = reader.fields(node, "`limits`") else {
        return limits;
    };
    let counts = [
        ("unikernels", &mut limits.unikernels),
        ("net", &mut limits.net),
        ("block", &mut limits.block),
    ];
    for (key, place) in counts {
        if let Some(node) = fields.optional(key) {
            let count = reader.integer(node, &format!("`{key}`"), 0..=u64::MAX);
            *place = count.map(|count| at(node, count));
        }
    }
    if let Some(node) = fields.optional("memory") {
        let bytes = reader.size(node, "`memory`");
        limits.memory = bytes.map(|bytes| at(node, bytes));
    }
    fields.finish(reader);
    limits
}

fn unikernel(node: &Node, reader: &mut Reader) -> Option<Unikernel> {
    let mut fields = reader.fields(node, "a unikernel")?;
    let name = fields.required("name").and_then(|node| Some(at(node, self_name(node, reader)?)));
    let image =
        fields.required("image").and_then(|node| path(node, "`image`", codes::PLAN_PATH, reader));
    let memory = fields.required("memory").and_then(|node| {
        let bytes = reader.size(node, "`memory`")?;
        if bytes == 0 || !bytes.is_multiple_of(MIB) {
            let message = "guest memory comes in whole MiB";
            let help = "write `1MiB` or more, such as `64MiB`";
            reader.error(codes::PLAN_MEMORY, node.span.clone(), message, "", help);
        }
        Some(at(node, bytes))
    });
    let executable_heap = flag(&mut fields, "executable-heap", reader);
    let mut arguments = Vec::new();
    if let Some(node) = fields.optional("arguments") {
        for item in reader.items(node, "`arguments`").unwrap_or_default() {
            arguments.extend(reader.text(item, "an argument").map(str::to_owned));
        }
    }
    let labels =
        fields.entries("labels", reader).iter().filter_map(|pair| label(pair, reader)).collect();
    let policies = paths(&mut fields, "policies", reader);
    let nets: Vec<Net> =
        fields.entries("net", reader).iter().filter_map(|pair| net(pair, reader)).collect();
    let blocks: Vec<Block> =
        fields.entries("block", reader).iter().filter_map(|pair| block(pair, reader)).collect();
    let attached: Vec<&At<String>> = nets.iter().map(|net| &net.name).collect();
    let without_nets = declined(&mut fields, "without-net", &attached, reader);
    let attached: Vec<&At<String>> = blocks.iter().map(|block| &block.name).collect();
    let without_blocks = declined(&mut fields, "without-block", &attached, reader);
    fields.finish(reader);
    Some(Unikernel {
        name: name?,
        image: image?,
        memory: memory?,
        executable_heap,
        arguments,
        labels,
        policies,
        nets,
        blocks,
        without_nets,
        without_blocks,
    })
}

fn label(pair: &Pair, reader: &mut Reader) -> Option<(String, String)> {
    let key = &pair.key.text;
    if !is_label_key(key) {
        let message = format!("`{}` cannot be a label's key", excerpt(key));
        let help = "a key has only letters, digits, `.`, `_`, `-` and `/`";
        reader.error(codes::LABEL_KEY, pair.key.span.clone(), message, "", help);
    }
    let value = reader.text(&pair.value, "a label's value")?;
    Some((key.clone(), value.to_owned()))
}

fn net(pair: &Pair, reader: &mut Reader) -> Option<Net> {
    let name = device(pair, reader);
    let mut fields = reader.fields(&pair.value, "a network interface")?;
    let tap = fields.required("tap").and_then(|node| {
        let text = reader.text(node, "`tap`")?;
        // A descriptor belongs to one process, and a plan outlives it.
        if text.is_empty() || text.starts_with('@') {
            let message = format!("`{}` is not a tap's name", excerpt(text));
            let help = "write the name of the tap, such as `tap-1`";
            reader.error(codes::PLAN_PATH, node.span.clone(), message, "", help);
        }
        Some(at(node, text.to_owned()))
    });
    let mac = fields.optional("mac").and_then(|node| {
        let text = reader.text(node, "`mac`")?;
        let mac = parse_mac(text.as_bytes());
        if mac.is_none() {
            let message = format!("`{}` is not an address", excerpt(text));
            let help = "write six fields of two digits, such as `\"52:54:00:12:34:56\"`";
            reader.error(codes::MAC, node.span.clone(), message, "", help);
        }
        Some(at(node, mac?))
    });
    fields.finish(reader);
    Some(Net { name: name?, tap: tap?, mac })
}

fn block(pair: &Pair, reader: &mut Reader) -> Option<Block> {
    let name = device(pair, reader);
    let mut fields = reader.fields(&pair.value, "a block device")?;
    let path = fields.required("path").and_then(|node| {
        let text = reader.text(node, "`path`")?;
        if !is_plain_path(text) {
            let message = format!("`path` must be a plain path, not `{}`", excerpt(text));
            let help = "write it from `/` on, without `.`, `..` or `//`";
            reader.error(codes::PLAN_PATH, node.span.clone(), message, "", help);
        }
        Some(at(node, text.to_owned()))
    });
    let accesses = [Access::ReadOnly, Access::ReadWrite].map(|access| (access.name(), access));
    let access =
        fields.optional("access").and_then(|node| reader.choice(node, "`access`", &accesses));
    let sector_size = fields.optional("sector-size").and_then(|node| {
        let size = reader.integer(node, "`sector-size`", 0..=u64::MAX)?;
        if SectorSize::new(size).is_none() {
            let message = format!("no device has sectors of {size} bytes");
            let (least, most) = (SectorSize::MIN, SectorSize::MAX);
            let help = format!("write a power of two from {least} to {most}");
            reader.error(codes::SECTOR_SIZE, node.span.clone(), message, "", help);
        }
        Some(size)
    });
    fields.finish(reader);
    Some(Block {
        name: name?,
        path: path?,
        access: access.unwrap_or(Access::ReadWrite),
        sector_size,
    })
}

/// Names of devices that the unikernel declines.
fn declined(
    fields: &mut Fields<'_>,
    key: &'static str,
    attached: &[&At<String>],
    reader: &mut Reader,
) -> Vec<At<String>> {
    let Some(node) = fields.optional(key) else {
        return Vec::new();
    };
    let mut names: Vec<At<String>> = Vec::new();
    for item in reader.items(node, &format!("`{key}`")).unwrap_or_default() {
        let Some(text) = reader.text(item, "a device's name") else {
            continue;
        };
        let found = Pair {
            key: Key { text: text.to_owned(), span: item.span.clone() },
            value: item.clone(),
        };
        let Some(name) = device(&found, reader) else {
            continue;
        };
        let twice = names.iter().chain(attached.iter().copied());
        if twice.clone().any(|other| other.value == name.value) {
            let message = format!("device '{text}' is given more than once");
            let help = "attach it, or go without it";
            reader.error(codes::DEVICE_TWICE, item.span.clone(), message, "", help);
            continue;
        }
        names.push(name);
    }
    names
}
