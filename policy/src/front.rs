//! The front end: bytes → checked [`Policy`], or every error in them at once.
//!
//! An unknown key is an error, so no restriction is ignored. The keys read here are those of the JSON
//! Schema in `solo5-policies`; a test there compares them.

use std::ops::Range;
use std::path::Path;

use solo5_abi::Target;
use solo5_abi::device::SectorSize;
use solo5_launch::{Access, is_label_key};
use solo5_report::{Diagnostic, Severity};
use solo5_source::reader::excerpt;
use solo5_source::{Fields, Key, Kind, Node, Reader};

use crate::codes;
use crate::fields::{at, date, digest, header, is_plain_path, one_or_many, public_key, self_name};
use crate::glob::{Pattern, PatternError};
use crate::model::{
    Arguments, At, Audit, BackingRule, BlockRule, Debug, Devices, Image, LabelRule, Layer, Memory,
    NetRule, Policy, Process, Proofs, Selector, Waiver,
};

/// `type` of a policy file.
pub const TYPE: &str = "solo5.policy";
/// Its one version.
pub const VERSION: u64 = 1;

/// Reads `bytes` as a policy. Diagnostics and reasons call it `name`. Its layer is the launch's; a caller
/// that reads a policy of the host sets the other one.
///
/// # Errors
///
/// Everything wrong with it, in order of position.
pub fn read(name: &str, bytes: &[u8]) -> Result<Policy, Vec<Diagnostic>> {
    let (document, mut reader) = solo5_source::read(name, bytes)?;
    let policy = policy(&document.root, name, &mut reader);
    reader.checked(policy)
}

fn policy(root: &Node, file: &str, reader: &mut Reader) -> Option<Policy> {
    let mut fields = reader.fields(root, "a policy")?;
    header(&mut fields, reader, TYPE, VERSION, ["a policy", "policies"]);
    let name = fields.optional("name").and_then(|node| self_name(node, reader));
    let selector = fields.optional("match").map(|node| matching(node, reader));
    let otherwise_allow = fields.pair("otherwise").and_then(|(key, node)| {
        reader.choice(node, "`otherwise`", &[("allow", ())]).map(|()| key.span.clone())
    });
    let mut section = |key| fields.pair(key);
    let image = section("image").and_then(|found| image(found, reader));
    let process = section("process").and_then(|found| process(found, reader));
    let memory = section("memory").and_then(|found| memory(found, reader));
    let arguments = section("arguments").and_then(|found| arguments(found, reader));
    let net = section("net").and_then(|found| devices(found, reader, net_rule));
    let block = section("block").and_then(|found| devices(found, reader, block_rule));
    let debug = section("debug").and_then(|found| debug(found, reader));
    let audit = section("audit").and_then(|found| audit(found, reader));
    let admitted = fields.optional("admitted").and_then(|node| admitted(node, reader));
    let source = reader.source().clone();
    fields.finish(reader);
    Some(Policy {
        name: name.unwrap_or_else(|| stem(file)),
        layer: Layer::Launch,
        source,
        selector: selector.unwrap_or_default(),
        otherwise_allow,
        image,
        process,
        memory,
        arguments,
        net,
        block,
        debug,
        admitted,
        audit,
    })
}

/// The name of a file without folder and ending.
fn stem(file: &str) -> String {
    let stem = Path::new(file).file_stem().and_then(|stem| stem.to_str());
    stem.unwrap_or(file).to_owned()
}

/// The keys of a section. A section without keys is refused: its meaning would be unclear.
fn section<'t>((key, node): (&Key, &'t Node), reader: &mut Reader) -> Option<Fields<'t>> {
    if matches!(&node.kind, Kind::Mapping(pairs) if pairs.is_empty()) {
        let message = format!("`{}` says nothing", key.text);
        let help = "say what is allowed, or remove the section";
        reader.error(codes::EMPTY, key.span.clone(), message, "", help);
        return None;
    }
    reader.fields(node, format!("`{}`", key.text))
}

/// A switch between `allow` and `forbid`. An absent one forbids; its place is the section's key.
fn allowed(
    fields: &mut Fields<'_>,
    key: &'static str,
    section: &Range<usize>,
    reader: &mut Reader,
) -> At<bool> {
    choice(fields, key, &[("allow", true), ("forbid", false)], false, section, reader)
}

fn choice<T: Copy>(
    fields: &mut Fields<'_>,
    key: &'static str,
    choices: &[(&'static str, T)],
    absent: T,
    section: &Range<usize>,
    reader: &mut Reader,
) -> At<T> {
    let chosen = fields.optional(key).and_then(|node| {
        let what = format!("`{key}`");
        Some(at(node, reader.choice(node, &what, choices)?))
    });
    chosen.unwrap_or_else(|| At { value: absent, span: section.clone() })
}

fn integer(
    fields: &mut Fields<'_>,
    key: &'static str,
    least: u64,
    reader: &mut Reader,
) -> Option<At<u64>> {
    let node = fields.optional(key)?;
    let what = format!("`{key}`");
    Some(at(node, reader.integer(node, &what, least..=u64::MAX)?))
}

fn pattern(node: &Node, what: &str, reader: &mut Reader) -> Option<At<Pattern>> {
    let text = reader.text(node, what)?;
    Some(at(node, pattern_of(text, node, what, reader)?))
}

fn pattern_of(text: &str, node: &Node, what: &str, reader: &mut Reader) -> Option<Pattern> {
    let error = match Pattern::new(text) {
        Ok(pattern) => return Some(pattern),
        Err(error) => error,
    };
    let help = match error {
        PatternError::Long => "write a shorter pattern, or several",
        PatternError::Character(_) => {
            "`*` stands for any text, `?` for one character; others stand for themselves"
        }
        PatternError::TwoStars => {
            "write `*`; in names of the host it stops at `/`, so `*/*` reaches one folder deeper"
        }
    };
    let message = format!("{what} {error}");
    reader.error(codes::PATTERN, node.span.clone(), message, "", help);
    None
}

fn matching(node: &Node, reader: &mut Reader) -> Selector {
    let mut selector = Selector { span: node.head(), ..Selector::default() };
    let Some(mut fields) = reader.fields(node, "`match`") else {
        return selector;
    };
    // An empty list never holds, so the policy would never apply.
    let mut nothing = matches!(&node.kind, Kind::Mapping(pairs) if pairs.is_empty());
    if let Some(labels) = fields.optional("label") {
        match &labels.kind {
            Kind::Mapping(pairs) => {
                nothing |= pairs.is_empty();
                let rules = pairs.iter();
                let rules = rules.filter_map(|pair| label(&pair.key, &pair.value, reader));
                selector.labels = rules.collect();
            }
            // This reports that the value is not a mapping.
            _ => {
                if let Some(fields) = reader.fields(labels, "`label`") {
                    fields.finish(reader);
                }
            }
        }
    }
    nothing |= ["digest", "signed-by"].into_iter().any(|key| {
        let node = fields.optional(key);
        node.is_some_and(|node| matches!(&node.kind, Kind::Sequence(items) if items.is_empty()))
    });
    selector.proofs = proofs(&mut fields, reader);
    if nothing {
        let help = "write `match: { label: { KEY: PATTERN } }`, `digest` or `signed-by` with a \
                    value, or remove `match`";
        reader.error(codes::EMPTY, fields.head(), "`match` asks for nothing", "", help);
    }
    fields.finish(reader);
    selector
}

/// `digest` and `signed-by` of a section.
fn proofs(fields: &mut Fields<'_>, reader: &mut Reader) -> Proofs {
    let digests = fields.optional("digest");
    let signed_by = fields.optional("signed-by");
    Proofs {
        digests: digests.map(|node| at(node, one_or_many(node, reader, digest))),
        signed_by: signed_by.map(|node| at(node, one_or_many(node, reader, public_key))),
    }
}

fn label(key: &Key, value: &Node, reader: &mut Reader) -> Option<LabelRule> {
    if !is_label_key(&key.text) {
        let message = format!("`{}` cannot be a label's key", key.text);
        let help = "a key has only letters, digits, `.`, `_`, `-` and `/`";
        reader.error(codes::LABEL_KEY, key.span.clone(), message, "", help);
    }
    let value = pattern(value, "a label's value", reader)?.value;
    Some(LabelRule { key: key.text.clone(), value, span: key.span.clone() })
}

fn image(found: (&Key, &Node), reader: &mut Reader) -> Option<Image> {
    let span = found.0.span.clone();
    let mut fields = section(found, reader)?;
    let choices = Target::ALL.map(|target| (target.name(), target));
    let targets = fields.optional("targets").and_then(|node| {
        let items = reader.items(node, "`targets`")?;
        let mut targets = Vec::new();
        for item in items {
            targets.extend(reader.choice(item, "a target", &choices));
        }
        Some(at(node, targets))
    });
    let minimum_manifest = fields
        .optional("minimum-manifest")
        .and_then(|node| Some(at(node, reader.integer(node, "`minimum-manifest`", 1..=2)?)));
    let proofs = proofs(&mut fields, reader);
    fields.finish(reader);
    Some(Image { targets, minimum_manifest, proofs, span })
}

fn process(found: (&Key, &Node), reader: &mut Reader) -> Option<Process> {
    let span = found.0.span.clone();
    let mut fields = section(found, reader)?;
    let root_allowed = allowed(&mut fields, "root", &span, reader);
    let sandboxes = [("require", true), ("optional", false)];
    let sandbox_required = choice(&mut fields, "sandbox", &sandboxes, true, &span, reader);
    fields.finish(reader);
    Some(Process { root_allowed, sandbox_required })
}

fn memory(found: (&Key, &Node), reader: &mut Reader) -> Option<Memory> {
    let span = found.0.span.clone();
    let mut fields = section(found, reader)?;
    let maximum = size(&mut fields, "maximum", reader);
    let executable_heap_allowed = allowed(&mut fields, "executable-heap", &span, reader);
    fields.finish(reader);
    Some(Memory { maximum, executable_heap_allowed, span })
}

fn size(fields: &mut Fields<'_>, key: &'static str, reader: &mut Reader) -> Option<At<u64>> {
    let node = fields.optional(key)?;
    Some(at(node, reader.size(node, &format!("`{key}`"))?))
}

fn arguments(found: (&Key, &Node), reader: &mut Reader) -> Option<Arguments> {
    let span = found.0.span.clone();
    let mut fields = section(found, reader)?;
    let maximum_length = integer(&mut fields, "maximum-length", 0, reader);
    let allow = fields.optional("allow").and_then(|node| {
        let mut patterns = Vec::new();
        for item in reader.items(node, "`allow`")? {
            patterns.extend(word_pattern(item, reader));
        }
        Some(at(node, patterns))
    });
    fields.finish(reader);
    Some(Arguments { maximum_length, allow, span })
}

/// A pattern of one word of the command line.
fn word_pattern(node: &Node, reader: &mut Reader) -> Option<At<Pattern>> {
    let found = pattern(node, "an argument's pattern", reader)?;
    if found.value.as_str().contains(char::is_whitespace) {
        let message = "an argument's pattern has a blank in it, so it fits nothing";
        let help = "a guest splits its command line at blanks; write a pattern for each word";
        reader.error(codes::PATTERN, node.span.clone(), message, "", help);
        return None;
    }
    Some(found)
}

fn devices<Rule>(
    found: (&Key, &Node),
    reader: &mut Reader,
    rule: fn(&Node, &mut Reader) -> Option<Rule>,
) -> Option<Devices<Rule>> {
    let span = found.0.span.clone();
    let mut fields = section(found, reader)?;
    let maximum = integer(&mut fields, "maximum", 0, reader);
    let allow = fields.optional("allow").and_then(|node| {
        let mut rules = Vec::new();
        for item in reader.items(node, "`allow`")? {
            rules.extend(rule(item, reader).map(|rule| at(item, rule)));
        }
        Some(at(node, rules))
    });
    fields.finish(reader);
    Some(Devices { maximum, allow, span })
}

fn net_rule(node: &Node, reader: &mut Reader) -> Option<NetRule> {
    let mut fields = reader.fields(node, "a rule of `net`")?;
    let name = fields.required("name").and_then(|node| pattern(node, "`name`", reader));
    let interface =
        fields.optional("interface").and_then(|node| pattern(node, "`interface`", reader));
    let bridge = fields.optional("bridge").and_then(|node| pattern(node, "`bridge`", reader));
    let mac = fields.optional("mac").and_then(|node| mac(node, reader));
    let descriptor = fields.optional("descriptor").and_then(|node| descriptor(node, reader));
    fields.finish(reader);
    Some(NetRule { name: name?, interface, bridge, mac, descriptor })
}

/// `descriptor: allow`.
fn descriptor(node: &Node, reader: &mut Reader) -> Option<At<()>> {
    Some(at(node, reader.choice(node, "`descriptor`", &[("allow", ())])?))
}

/// A pattern of Ethernet addresses, which are compared in lower case.
fn mac(node: &Node, reader: &mut Reader) -> Option<At<Pattern>> {
    let text = reader.text(node, "`mac`")?.to_ascii_lowercase();
    let found = pattern_of(&text, node, "`mac`", reader)?;
    let fits = |c: char| c.is_ascii_hexdigit() || ":*?".contains(c);
    let fields: Vec<_> = text.split(':').collect();
    let whole = if text.contains('*') { fields.len() <= 6 } else { fields.len() == 6 };
    let two = |field: &&str| field.contains('*') || field.len() == 2;
    if !text.chars().all(fits) || !whole || !fields.iter().all(two) {
        let message = format!("`{text}` fits no address");
        let help = "write six fields of two digits, such as `\"52:54:00:*\"`";
        reader.error(codes::MAC, node.span.clone(), message, "", help);
        return None;
    }
    Some(at(node, found))
}

fn block_rule(node: &Node, reader: &mut Reader) -> Option<BlockRule> {
    let mut fields = reader.fields(node, "a rule of `block`")?;
    let name = fields.required("name").and_then(|node| pattern(node, "`name`", reader));
    let file = fields.optional("file");
    let device = fields.optional("device");
    let opened = fields.optional("descriptor");
    let kinds = [("file", file), ("device", device), ("descriptor", opened)];
    let mut kinds = kinds.into_iter().filter_map(|(key, node)| Some((key, node?)));
    if let (Some((one, _)), Some((other, node))) = (kinds.next(), kinds.next()) {
        let message = format!("a rule wants a {one} and a {other} at once, so it fits nothing");
        let help = format!("write two rules, one with `{one}` and one with `{other}`");
        reader.error(codes::FILE_AND_DEVICE, node.span.clone(), message, "", help);
    }
    let opened = opened.and_then(|node| descriptor(node, reader));
    let opened = opened.map(|At { span, .. }| At { value: BackingRule::Descriptor, span });
    let file = file.and_then(|node| file_rule(node, reader));
    let device = device.and_then(|node| device_rule(node, reader));
    let accesses = [Access::ReadOnly, Access::ReadWrite].map(|access| (access.name(), access));
    let access = fields
        .optional("access")
        .and_then(|node| Some(at(node, reader.choice(node, "`access`", &accesses)?)));
    let capacity_maximum = fields.pair("capacity").and_then(|found| {
        let mut fields = section(found, reader)?;
        let maximum = size(&mut fields, "maximum", reader);
        fields.finish(reader);
        maximum
    });
    let sector_sizes = fields.optional("sector-size").and_then(|node| sector_sizes(node, reader));
    fields.finish(reader);
    Some(BlockRule {
        name: name?,
        backing: file.or(device).or(opened),
        access,
        capacity_maximum,
        sector_sizes,
    })
}

fn file_rule(node: &Node, reader: &mut Reader) -> Option<At<BackingRule>> {
    let mut fields = reader.fields(node, "`file`")?;
    let under = fields.required("under").and_then(|node| {
        let text = reader.text(node, "`under`")?;
        let plain = text.strip_suffix('/').unwrap_or(text);
        if !is_plain_path(plain) {
            let message = format!("`under` must be the plain path of a folder, not `{text}`");
            let help = "write it from `/` on, without `.`, `..` or `//`; a `*` has no special \
                        meaning here";
            reader.error(codes::DIRECTORY, node.span.clone(), message, "", help);
            return None;
        }
        Some(at(node, BackingRule::FileUnder(plain.to_owned())))
    });
    fields.finish(reader);
    under
}

fn device_rule(node: &Node, reader: &mut Reader) -> Option<At<BackingRule>> {
    let found = pattern(node, "`device`", reader)?;
    let text = found.value.as_str();
    if text.split('/').any(|part| matches!(part, "" | "." | "..")) {
        let message = format!("`device` must be a name below /dev, not `{text}`");
        let help = match text.strip_prefix("/dev/") {
            Some(name) => format!("write `{name}`"),
            None => "write it without `/` in front, such as `vg0/*`".to_owned(),
        };
        reader.error(codes::DEVICE, node.span.clone(), message, "", help);
        return None;
    }
    let At { value, span } = found;
    let value = BackingRule::Device(value);
    Some(At { value, span })
}

/// One sector size or a list of them.
fn sector_sizes(node: &Node, reader: &mut Reader) -> Option<At<Vec<u64>>> {
    let sizes = one_or_many(node, reader, |item, reader| {
        let size = reader.integer(item, "`sector-size`", 0..=u64::MAX)?;
        if SectorSize::new(size).is_none() {
            let message = format!("no device has sectors of {size} bytes");
            let (least, most) = (SectorSize::MIN, SectorSize::MAX);
            let help = format!("write a power of two from {least} to {most}");
            reader.error(codes::SECTOR_SIZE, item.span.clone(), message, "", help);
        }
        Some(size)
    });
    Some(at(node, sizes))
}

fn debug(found: (&Key, &Node), reader: &mut Reader) -> Option<Debug> {
    let span = found.0.span.clone();
    let mut fields = section(found, reader)?;
    let gdb_allowed = allowed(&mut fields, "gdb", &span, reader);
    let dumpcore_allowed = allowed(&mut fields, "dumpcore", &span, reader);
    fields.finish(reader);
    Some(Debug { gdb_allowed, dumpcore_allowed })
}

fn admitted(node: &Node, reader: &mut Reader) -> Option<At<String>> {
    let text = reader.text(node, "`admitted`")?;
    if !is_plain_path(text) {
        let message =
            format!("`admitted` must be the plain path of a file, not `{}`", excerpt(text));
        let help = "write it from `/` on, without `.`, `..` or `//`";
        reader.error(codes::FILE, node.span.clone(), message, "", help);
        return None;
    }
    Some(at(node, text.to_owned()))
}

fn audit(found: (&Key, &Node), reader: &mut Reader) -> Option<Audit> {
    let span = found.0.span.clone();
    let mut fields = section(found, reader)?;
    let severities =
        [Severity::Error, Severity::Warning, Severity::Note].map(|one| (one.name(), one));
    let fail_on = choice(&mut fields, "fail-on", &severities, Severity::Error, &span, reader);
    let mut waive = Vec::new();
    if let Some(node) = fields.optional("waive") {
        for item in reader.items(node, "`waive`").unwrap_or_default() {
            waive.extend(waiver(item, reader).map(|waiver| at(item, waiver)));
        }
    }
    fields.finish(reader);
    Some(Audit { fail_on, waive })
}

fn waiver(node: &Node, reader: &mut Reader) -> Option<Waiver> {
    let mut fields = reader.fields(node, "a waiver")?;
    let rule = fields.required("rule").and_then(|node| {
        let text = reader.text(node, "`rule`")?;
        let digits = text.strip_prefix('S').unwrap_or_default();
        if digits.is_empty() || digits.len() > 3 || !digits.bytes().all(|c| c.is_ascii_digit()) {
            let message = format!("`{}` is no rule of the audit", excerpt(text));
            let help = "write a code, such as `S319`, or the start of several, such as `S3`";
            reader.error(codes::WAIVER, node.span.clone(), message, "", help);
        }
        Some(text.to_owned())
    });
    let images = fields.required("images").map(|node| {
        let images = one_or_many(node, reader, digest);
        if matches!(&node.kind, Kind::Sequence(items) if items.is_empty()) {
            let message = "a waiver for no image waives nothing";
            let help = "write the digests of the images it is for";
            reader.error(codes::WAIVER, node.span.clone(), message, "", help);
        }
        images
    });
    let reason = fields.required("reason").and_then(|node| {
        let text = reader.text(node, "`reason`")?.trim();
        if text.is_empty() {
            let help = "say why the finding is accepted";
            let message = "a waiver without a reason";
            reader.error(codes::WAIVER, node.span.clone(), message, "", help);
        }
        Some(text.to_owned())
    });
    let until = fields.required("until").and_then(|node| {
        let text = reader.text(node, "`until`")?;
        date(node, text, reader)
    });
    fields.finish(reader);
    Some(Waiver { rule: rule?, images: images?, reason: reason?, until: until? })
}
