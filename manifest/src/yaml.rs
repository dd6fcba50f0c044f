//! Back: [`Manifest`] → YAML, in the layout of `solo5_source::format`.

use solo5_source::format::{format, quote};
use solo5_source::size;

use crate::model::{Device, Manifest, Memory, Package, TYPE};

/// Longest line a device in braces may make; a longer one gets lines of its own.
const WIDTH: usize = 100;

/// The source of `manifest`; reading it gives `manifest` again.
pub fn write(manifest: &Manifest) -> String {
    let mut out = format!("type: {TYPE}\nversion: {}\n", manifest.version.number());
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    if let Some(package) = &manifest.package {
        line(format!("package: {}", braces(&package_pairs(package))));
    }
    if let Some(synopsis) = &manifest.synopsis {
        line(format!("synopsis: {}", quote(synopsis)));
    }
    let memory = memory_pairs(&manifest.memory);
    if !memory.is_empty() {
        line(format!("memory: {}", braces(&memory)));
    }
    if manifest.devices.is_empty() {
        line("devices: []".to_owned());
    } else {
        line("devices:".to_owned());
    }
    for device in &manifest.devices {
        let pairs = device_pairs(device);
        let short = format!("  - {}", braces(&pairs));
        if short.chars().count() <= WIDTH {
            line(short);
        } else {
            for (index, (key, value)) in pairs.iter().enumerate() {
                let start = if index == 0 { "  - " } else { "    " };
                line(format!("{start}{key}: {value}"));
            }
        }
    }
    // Writing through the formatter means that there is one layout, not two that are alike.
    match solo5_source::parse("manifest", out.as_bytes()) {
        Ok(document) => format(&document),
        Err(_) => out,
    }
}

type Pairs = Vec<(&'static str, String)>;

fn braces(pairs: &[(&'static str, String)]) -> String {
    let pairs: Vec<_> = pairs.iter().map(|(key, value)| format!("{key}: {value}")).collect();
    format!("{{ {} }}", pairs.join(", "))
}

fn package_pairs(package: &Package) -> Pairs {
    let mut pairs = vec![("name", quote(&package.name))];
    pairs.extend(package.version.iter().map(|version| ("version", quote(version))));
    pairs.extend(package.license.iter().map(|license| ("license", quote(license))));
    pairs
}

fn memory_pairs(memory: &Memory) -> Pairs {
    let mut pairs = Vec::new();
    pairs.extend(memory.minimum.and_then(size::format).map(|size| ("minimum", size)));
    pairs.extend(memory.recommended.and_then(size::format).map(|size| ("recommended", size)));
    if memory.executable_heap {
        pairs.push(("executable-heap", "true".to_owned()));
    }
    pairs
}

fn device_pairs(device: &Device) -> Pairs {
    let mut pairs = vec![("name", quote(&device.name)), ("type", device.kind.name().to_owned())];
    pairs.extend(device.description.iter().map(|text| ("description", quote(text))));
    if device.optional {
        pairs.push(("optional", "true".to_owned()));
    }
    if device.read_only {
        pairs.push(("access", "read-only".to_owned()));
    }
    pairs.extend(device.sector_size.map(|bytes| ("sector-size", bytes.to_string())));
    let capacity = device.capacity_minimum.and_then(size::format);
    pairs.extend(capacity.map(|size| ("capacity", format!("{{ minimum: {size} }}"))));
    pairs.extend(device.mtu_minimum.map(|mtu| ("mtu", format!("{{ minimum: {mtu} }}"))));
    pairs
}
