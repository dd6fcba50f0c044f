//! Reads plans, key by key.

use std::collections::HashMap;
use std::ops::Range;

use solo5_abi::device::SectorSize;
use solo5_launch::{Access, is_label_key, parse_mac};
use solo5_policy::fields::{at, header, is_plain_path, one_or_many, path, self_name};
use solo5_policy::model::At;
use solo5_report::Diagnostic;
use solo5_source::reader::excerpt;
use solo5_source::{Fields, Key, Kind, Node, Pair, Reader};

use super::model::{Block, Limits, MIB, Net, Plan, Unikernel};
use crate::case::device;
use crate::codes;

/// `type` of a plan.
pub const TYPE: &str = "solo5.plan";
/// Its one version.
pub const VERSION: u64 = 1;

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
