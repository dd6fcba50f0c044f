//! The way back: [`Manifest`] → YAML, in the layout of `solo5_source::format`.

use solo5_abi::mft2::{Property, Shape, Value};
use solo5_source::format::{format, quote};
use solo5_source::size;

use crate::model::{Manifest, Package, Properties, TYPE};

/// Longest line for a device in braces. A device that needs more gets one line per key.
const WIDTH: usize = 100;

/// The source of `manifest`. Reading it gives `manifest` again.
pub fn write(manifest: &Manifest) -> String {
    let mut out = format!("type: {TYPE}\nversion: {}\n", manifest.version.number());
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    if let Some(package) = &manifest.package {
        line(format!("package: {}", braces(&package_pairs(package))));
    }
    for (key, value) in pairs(&manifest.properties) {
        line(format!("{key}: {value}"));
    }
    if manifest.devices.is_empty() {
        line("devices: []".to_owned());
    } else {
        line("devices:".to_owned());
    }
    for device in &manifest.devices {
        let kind = device.kind.name().to_owned();
        let mut pairs = vec![("name", quote(&device.name)), ("type", kind)];
        pairs.extend(self::pairs(&device.properties));
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
    // Only the formatter decides on the layout.
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

/// Keys and values of properties. Those of one mapping are joined in braces.
fn pairs(properties: &Properties) -> Pairs {
    let list: Vec<_> = properties.iter().collect();
    list.chunk_by(|(a, _), (b, _)| a.outer_key() == b.outer_key())
        .filter_map(|mapping| {
            let ((first, value), key) = (mapping.first()?, mapping.first()?.0.outer_key());
            let inner = mapping
                .iter()
                .map(|(property, value)| Some((property.inner_key()?, written(property, value))));
            Some((
                key,
                match inner.collect::<Option<Vec<_>>>() {
                    Some(pairs) => braces(&pairs),
                    None => written(first, value),
                },
            ))
        })
        .collect()
}

/// A value as it is written in a source.
fn written(property: &Property, value: &Value<String>) -> String {
    match (property.shape, value) {
        (Shape::Choice(_, [_, set]), Value::Set) => set.to_owned(),
        (_, Value::Set) => "true".to_owned(),
        (Shape::Size | Shape::Stack, Value::Number(bytes)) => size::display(*bytes),
        (_, Value::Number(number)) => number.to_string(),
        (_, Value::Text(text)) => quote(text),
    }
}
