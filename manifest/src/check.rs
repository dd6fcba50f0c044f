//! Phase 5: tree → [`Manifest`]. There is one function per mapping, and each reports every error.

use std::collections::HashMap;
use std::ops::Range;

use solo5_abi::device::{Mtu, SectorSize};
use solo5_abi::mft1::{self, DEVICES_MAX, DeviceType, NAME_MAX};
use solo5_abi::mft2::{self, DESCRIPTOR_MAX, Property, Shape, Subject, Value, tag};
use solo5_abi::stack;
use solo5_report::Diagnostic;
use solo5_source::reader::{excerpt, list, similar};
use solo5_source::size as sizes;
use solo5_source::{Fields, Node, Reader};

use crate::model::{Device, Manifest, PACKAGE_TEXT_MAX, Package, Properties, TYPE, Version};
use crate::place::{self, Level};
use crate::{codes, encode};

/// Reads a manifest from `root`. Its errors are in `reader`; if there are any, the value must not be
/// used.
pub(crate) fn manifest(root: &Node, reader: &mut Reader) -> Option<Manifest> {
    let mut fields = reader.fields(root, "a manifest")?;
    if let Some(node) = fields.required("type")
        && let Some(text) = reader.text(node, "`type`")
        && text != TYPE
    {
        let message = format!("`type` is `{}`, not `{TYPE}`", excerpt(text));
        let help = match text {
            "solo5.policy" => "this is a policy; programs take it with `--policy`".to_owned(),
            _ => format!("write `type: {TYPE}`, if this is a manifest"),
        };
        reader.error(codes::NOT_A_MANIFEST, node.span.clone(), message, "", help);
    }
    let version = fields.required("version").and_then(|node| version(node, reader));
    // If the version is unknown, read the file as version 2: an error in a property is an error in
    // any version.
    let gate = Gate { version: version.as_ref().map_or(Version::V2, |(version, _)| *version) };
    let at = version.map_or(0..0, |(_, span)| span);
    let package = gate.optional(&mut fields, reader, "package").map(|node| package(node, reader));
    let of_unikernel = |subject| subject == Subject::Unikernel;
    let (properties, spans) = properties(&mut fields, reader, &gate, None, of_unikernel);
    if properties.recommends_too_little()
        && let Some((_, span)) = spans.iter().find(|(tag, _)| *tag == tag::MEMORY_RECOMMENDED)
    {
        let message = "the recommended memory is less than the minimum";
        let help = "recommend at least the minimum";
        reader.error(codes::SIZE, span.clone(), message, "", help);
    }
    let devices = fields.required("devices").map(|node| devices(node, reader, &gate));
    let needs_2 = package.is_some()
        || !spans.is_empty()
        || devices.iter().flatten().any(|device| device.properties.iter().next().is_some());
    let missing = |key: &str| {
        let (number, why) = match (key, needs_2) {
            ("version", true) => (2, "as other keys here need it"),
            ("version", false) => (1, "or `version: 2` for properties such as `memory`"),
            _ => return None,
        };
        Some(format!("add `version: {number}`, {why}"))
    };
    fields.finish_with(reader, |key| place::of(key, Level::Unikernel), missing);
    let manifest = Manifest {
        version: gate.version,
        package: package.flatten(),
        properties,
        devices: devices.unwrap_or_default(),
    };
    if reader.errors() == 0 {
        remarks(&manifest, at, reader);
    }
    Some(manifest)
}

fn version(node: &Node, reader: &mut Reader) -> Option<(Version, Range<usize>)> {
    let number = reader.integer(node, "`version`", 0..=u64::MAX)?;
    let known = Version::ALL.into_iter().find(|version| version.number() == number);
    if known.is_none() {
        let message = format!("unknown version {number} of the manifest");
        let help = "versions are 1, which upstream also reads, and 2, which has properties";
        reader.error(codes::VERSION, node.span.clone(), message, "", help);
    }
    Some((known?, node.span.clone()))
}

/// Accepts keys of version 2 only in a manifest of version 2.
struct Gate {
    version: Version,
}

impl Gate {
    fn optional<'t>(
        &self,
        fields: &mut Fields<'t>,
        reader: &mut Reader,
        key: &'static str,
    ) -> Option<&'t Node> {
        let (found, value) = match self.version {
            // A key of version 2 must not be suggested for a misspelt key in version 1.
            Version::V1 if !fields.has(key) => return None,
            Version::V1 | Version::V2 => fields.pair(key)?,
        };
        if self.version == Version::V1 {
            let message = format!("`{key}` needs version 2 of the manifest");
            let help = "write `version: 2`, or remove this key";
            let span = found.span.clone();
            reader.error(codes::NEEDS_VERSION_2, span, message, "", help);
            return None;
        }
        Some(value)
    }

    /// The value at the key of a property, for a device of type `kind`.
    fn property<'t>(
        &self,
        fields: &mut Fields<'t>,
        reader: &mut Reader,
        property: &Property,
        kind: Option<DeviceType>,
    ) -> Option<&'t Node> {
        let key = property.outer_key();
        let value = self.optional(fields, reader, key)?;
        if let (Some(kind), Subject::Only(wanted)) = (kind, property.subject)
            && kind != wanted
            && let Some((found, _)) = fields.pair(key)
        {
            let message = format!("`{key}` is not a property of a {}", kind.name());
            let help = format!("only a {} has it; remove the key", wanted.name());
            let span = found.span.clone();
            reader.error(codes::OTHER_DEVICE_TYPE, span, message, "", help);
        }
        Some(value)
    }
}

/// Tags with the spans of their values.
type Spans = Vec<(u16, Range<usize>)>;

/// Reads the properties in `fields`: the rows of the table whose subject is `wanted`. `kind` is the
/// type of the device, if it is known.
fn properties(
    fields: &mut Fields<'_>,
    reader: &mut Reader,
    gate: &Gate,
    kind: Option<DeviceType>,
    wanted: impl Fn(Subject) -> bool,
) -> (Properties, Spans) {
    let (mut properties, mut spans) = (Properties::default(), Spans::new());
    let mut take = |property: &'static Property, node: &Node, reader: &mut Reader| {
        spans.push((property.tag, node.span.clone()));
        if let Some(value) = value(property, node, reader) {
            properties.push(property, value);
        }
    };
    for mapping in mft2::by_key() {
        let Some(first) = mapping.first().filter(|first| wanted(first.subject)) else { continue };
        let Some(node) = gate.property(fields, reader, first, kind) else { continue };
        if first.inner_key().is_none() {
            take(first, node, reader);
            continue;
        }
        let what = format!("`{}`", first.outer_key());
        let Some(mut inner) = reader.fields(node, what) else { continue };
        for (property, key) in mapping.iter().filter_map(|row| Some((row, row.inner_key()?))) {
            // A mapping without its only key would say nothing, so that key is required.
            let required = mapping.len() == 1;
            let node = if required { inner.required(key) } else { inner.optional(key) };
            if let Some(node) = node {
                take(property, node, reader);
            }
        }
        inner.finish_with(reader, |key| place::of(key, Level::Inside(first.outer_key())), |_| None);
    }
    (properties, spans)
}

/// The value of a property; `None` if it is absent. A flag that is `false` counts as absent.
fn value(property: &Property, node: &Node, reader: &mut Reader) -> Option<Value<String>> {
    let what = match (property.inner_key(), property.shape) {
        // The name of a flag needs no context.
        (Some(key), Shape::Flag(_)) => format!("`{key}`"),
        (Some(key), _) => format!("`{key}` of {}", property.outer_key()),
        (None, _) => format!("`{}`", property.key),
    };
    let flag = |set: bool| set.then_some(Value::Set);
    match property.shape {
        Shape::Flag(_) => reader.boolean(node, &what).and_then(flag),
        Shape::Choice(_, [clear, set]) => {
            reader.choice(node, &what, &[(set, true), (clear, false)]).and_then(flag)
        }
        Shape::Size => size(node, reader, &what).map(Value::Number),
        Shape::Stack => stack_size(node, reader, &what).map(Value::Number),
        Shape::SectorSize => sector_size(node, reader, &what).map(Value::Number),
        Shape::Mtu => reader.integer(node, &what, Mtu::RANGE).map(Value::Number),
        Shape::Text(most) => text(node, reader, &what, most).map(Value::Text),
    }
}

/// A text that is not empty and not longer than `most` bytes.
fn text(node: &Node, reader: &mut Reader, what: &str, most: usize) -> Option<String> {
    let text = reader.text(node, what)?;
    if text.is_empty() {
        let message = format!("{what} is empty");
        let help = "write a text, or remove the key";
        reader.error(codes::TEXT, node.span.clone(), message, "", help);
        return None;
    }
    if text.len() > most {
        let message = format!("{what} is {} bytes long", text.len());
        let help = format!("at most {most} bytes fit");
        reader.error(codes::TEXT, node.head(), message, "", help);
        return None;
    }
    Some(text.to_owned())
}

fn package(node: &Node, reader: &mut Reader) -> Option<Package> {
    let mut fields = reader.fields(node, "`package`")?;
    let mut take = |node: Option<&Node>, what: &str| {
        let node = node?;
        let text = text(node, reader, what, PACKAGE_TEXT_MAX)?;
        if text.chars().any(char::is_control) {
            let message = format!("{what} contains a control character");
            let help = "write it on one line, without escapes";
            reader.error(codes::TEXT, node.head(), message, "", help);
        }
        Some(text)
    };
    let name = take(fields.required("name"), "`name` of the package");
    let version = take(fields.optional("version"), "`version` of the package");
    let license = take(fields.optional("license"), "`license` of the package");
    fields.finish(reader);
    Some(Package { name: name?, version, license })
}

fn size(node: &Node, reader: &mut Reader, what: &str) -> Option<u64> {
    let bytes = reader.size(node, what)?;
    if bytes == 0 {
        let message = format!("{what} is 0");
        let help = "write the required size, or remove the key";
        reader.error(codes::SIZE, node.span.clone(), message, "", help);
        return None;
    }
    Some(bytes)
}

fn stack_size(node: &Node, reader: &mut Reader, what: &str) -> Option<u64> {
    let bytes = size(node, reader, what)?;
    if !stack::is_size(bytes) {
        let granule = stack::GUARD >> 10;
        let message = format!("{what} is not a multiple of {granule}KiB");
        let next = bytes.checked_next_multiple_of(stack::GUARD).and_then(sizes::format);
        let help = match next {
            Some(next) => format!(
                "a guard lies below it, in whole pages of any machine; the next size is {next}"
            ),
            None => format!("write a multiple of {granule}KiB"),
        };
        reader.error(codes::SIZE, node.span.clone(), message, "", help);
        return None;
    }
    Some(bytes)
}

fn devices(node: &Node, reader: &mut Reader, gate: &Gate) -> Vec<Device> {
    let Some(items) = reader.items(node, "`devices`") else {
        return Vec::new();
    };
    if let Some(extra) = items.get(DEVICES_MAX) {
        let message = format!(".devices[]: too many entries, maximum {DEVICES_MAX}");
        let label = format!("this is number {} of {}", DEVICES_MAX + 1, items.len());
        let help = "handles are the bits of a 64-bit number, and bit 0 is reserved; remove devices";
        reader.error(codes::TOO_MANY_DEVICES, extra.head(), message, label, help);
    }
    let mut seen: HashMap<(DeviceType, String), Range<usize>> = HashMap::new();
    let mut devices = Vec::new();
    for (index, item) in items.iter().take(DEVICES_MAX).enumerate() {
        let Some((device, name_at)) = device(item, index, reader, gate) else {
            continue;
        };
        let first = seen.entry((device.kind, device.name.clone())).or_insert(name_at.clone());
        if *first != name_at {
            let kind = device.kind.name();
            let message = format!("a second {kind} has the name `{}`", device.name);
            let diagnostic = Diagnostic::error(codes::DUPLICATE_DEVICE, message)
                .label(reader.source(), name_at, "again here")
                .label(reader.source(), first.clone(), "first here")
                .with_help("rename one; a tender could attach only the first");
            reader.report(diagnostic);
        }
        devices.push(device);
    }
    devices
}

/// A device and the span of its name; `None` if its name or type is missing or not valid.
fn device(
    node: &Node,
    index: usize,
    reader: &mut Reader,
    gate: &Gate,
) -> Option<(Device, Range<usize>)> {
    let what = format!("device {}", index + 1);
    let mut fields = reader.fields(node, what)?;
    let name = fields.required("name").and_then(|node| name(node, reader));
    let kind = fields.required("type").and_then(|node| kind(node, reader));
    let of_device = |subject| subject != Subject::Unikernel;
    let (properties, _) = properties(&mut fields, reader, gate, kind, of_device);
    fields.finish_with(reader, |key| place::of(key, Level::Device), |_| None);
    let (name, name_at) = name?;
    Some((Device { name, kind: kind?, properties }, name_at))
}

fn name(node: &Node, reader: &mut Reader) -> Option<(String, Range<usize>)> {
    let name = reader.text(node, "`name` of a device")?;
    if mft1::is_name(name.as_bytes()) {
        return Some((name.to_owned(), node.span.clone()));
    }
    let bad = name.chars().find(|c| !c.is_ascii_alphanumeric());
    let (code, message, help) = if name.is_empty() {
        let message = "the name of a device may not be empty".to_owned();
        (codes::NAME_EMPTY, message, format!("write 1 to {NAME_MAX} letters and digits"))
    } else if let Some(bad) = bad {
        let message = format!("the name of a device is not alphanumeric: it contains `{bad}`");
        let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
        let help = match plain.as_str() {
            "" => "write only letters A-Z a-z and digits 0-9".to_owned(),
            plain => {
                let plain = excerpt(plain);
                format!("only letters A-Z a-z and digits 0-9 are permitted, as in `{plain}`")
            }
        };
        (codes::NAME_CHARACTER, message, help)
    } else {
        let message = format!("the name of a device is {} characters long", name.len());
        (codes::NAME_TOO_LONG, message, format!("at most {NAME_MAX} fit"))
    };
    reader.error(code, node.head(), message, "", help);
    None
}

fn kind(node: &Node, reader: &mut Reader) -> Option<DeviceType> {
    let text = reader.text(node, "`type` of a device")?;
    let kind = DeviceType::from_name(text);
    if kind.is_none() {
        let names = DeviceType::ALL.map(DeviceType::name);
        let message = format!("there is no device type `{}`", excerpt(text));
        let help = match similar(text, &names) {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!("the types are {}", list(&names, "and")),
        };
        reader.error(codes::DEVICE_TYPE, node.head(), message, "", help);
    }
    kind
}

fn sector_size(node: &Node, reader: &mut Reader, what: &str) -> Option<u64> {
    let number = reader.integer(node, what, 0..=u64::MAX)?;
    if SectorSize::new(number).is_none() {
        let message = format!("no device has sectors of {number} bytes");
        let (least, most) = (SectorSize::MIN, SectorSize::MAX);
        let help = format!("write a power of two from {least} to {most}");
        reader.error(codes::SECTOR_SIZE, node.span.clone(), message, "", help);
        return None;
    }
    Some(number)
}

/// Makes the checks that need a manifest without other errors.
fn remarks(manifest: &Manifest, at: Range<usize>, reader: &mut Reader) {
    let notes = manifest.notes();
    if notes.overflow() {
        let message = format!("all properties together take more than {DESCRIPTOR_MAX} bytes");
        let help = "shorten the descriptions";
        reader.error(codes::TOO_LONG, at, message, "", help);
        return;
    }
    let ignored = encode::ignored_upstream(manifest);
    if !ignored.is_empty() {
        let ignored = ignored.join(", ");
        let message = format!("a tender that knows only version 1 does not see {ignored}");
        let mut diagnostic = Diagnostic::note(codes::UPSTREAM_IGNORES, message)
            .label(reader.source(), at, "")
            .with_help("start the unikernel with a tender of this suite if that matters");
        for note in encode::under_upstream(manifest) {
            diagnostic = diagnostic.with_note(note);
        }
        reader.report(diagnostic);
    }
}
