//! Phase 6: [`Manifest`] → notes.

use std::collections::BTreeMap;

use solo5_abi::mft1::{self, DeviceType};
use solo5_abi::mft2::{self, Property, Shape, Value, Writer};
use solo5_abi::note;
use solo5_abi::offer::Feature;

use crate::model::{self, Manifest, Properties, Version};

/// The notes of a manifest, each with header, owner, descriptor and padding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notes {
    names: Vec<(String, DeviceType)>,
    mft1: Vec<u8>,
    mft2: Option<Vec<u8>>,
    overflow: bool,
}

impl Notes {
    /// MFT1, which every Solo5 release reads.
    pub fn mft1(&self) -> &[u8] {
        &self.mft1
    }

    /// MFT2; only a manifest of version 2 has it.
    pub fn mft2(&self) -> Option<&[u8]> {
        self.mft2.as_deref()
    }

    /// All notes, one after the other: the content of a PT_NOTE.
    pub fn bytes(&self) -> Vec<u8> {
        [self.mft1.as_slice(), self.mft2().unwrap_or_default()].concat()
    }

    /// Names and types of the devices, in order.
    pub(crate) fn devices(&self) -> &[(String, DeviceType)] {
        &self.names
    }

    /// Whether the properties did not fit into MFT2. Such notes never leave this crate.
    pub(crate) fn overflow(&self) -> bool {
        self.overflow
    }
}

impl Manifest {
    /// The notes of this manifest.
    pub fn notes(&self) -> Notes {
        let names: Vec<_> =
            self.devices.iter().map(|device| (device.name.clone(), device.kind)).collect();
        let mut mft1 = vec![0; mft1::note_size(names.len())];
        let encoded =
            mft1::encode(names.iter().map(|(name, kind)| (name.as_str(), *kind)), &mut mft1);
        let mft2 = (self.version == Version::V2).then(|| mft2_note(self));
        // MFT1 can encode every manifest of the model. MFT2 can be too long, which shows only when it
        // is written.
        let overflow = encoded.is_none() || matches!(mft2, Some(None));
        Notes { names, mft1, mft2: mft2.flatten(), overflow }
    }
}

fn mft2_note(manifest: &Manifest) -> Option<Vec<u8>> {
    let mut buffer = vec![0; mft2::DESCRIPTOR_MAX];
    let mut writer = Writer::new(&mut buffer, manifest.devices.len() + 1)?;
    records(manifest, &mut writer)?;
    let length = writer.finish();
    let mut note = vec![0; note::size(note::OWNER_SOLO5, length)];
    let descriptor = note::frame(&mut note, note::OWNER_SOLO5, note::TYPE_MFT2, length)?;
    descriptor.copy_from_slice(buffer.get(..length)?);
    Some(note)
}

/// Writes every record, sorted by device and tag.
fn records(manifest: &Manifest, writer: &mut Writer<'_>) -> Option<()> {
    for (device, properties) in (0..).zip(subjects(manifest)) {
        let mut payloads = BTreeMap::new();
        for (property, value) in properties.iter() {
            store(property.shape, value, payloads.entry(property.tag).or_default())?;
        }
        for (tag, payload) in payloads {
            writer.push(device, tag, &payload)?;
        }
    }
    Some(())
}

/// The properties of the unikernel, then those of each device.
fn subjects(manifest: &Manifest) -> impl Iterator<Item = &Properties> {
    let devices = manifest.devices.iter().map(|device| &device.properties);
    std::iter::once(&manifest.properties).chain(devices)
}

/// Stores a value in the payload of its tag. Flags of one tag share the payload.
fn store(shape: Shape, value: &Value<String>, payload: &mut Vec<u8>) -> Option<()> {
    *payload = match (shape, value) {
        (Shape::Flag(bit) | Shape::Choice(bit, _), Value::Set) => {
            let others = payload.as_slice().try_into().map_or(0, u32::from_le_bytes);
            (others | bit).to_le_bytes().into()
        }
        (Shape::SectorSize | Shape::Mtu, Value::Number(number)) => {
            u32::try_from(*number).ok()?.to_le_bytes().into()
        }
        (Shape::Size | Shape::Stack, Value::Number(number)) => number.to_le_bytes().into(),
        (Shape::Text(_), Value::Text(text)) => text.as_bytes().into(),
        (_, Value::Set | Value::Number(_) | Value::Text(_)) => return None,
    };
    Some(())
}

/// The properties that a reader of only MFT1 would violate.
pub(crate) fn ignored_upstream(manifest: &Manifest) -> Vec<&'static str> {
    let said = |property| subjects(manifest).any(|all| all.iter().any(|(has, _)| has == property));
    mft2::by_key()
        .flat_map(|mapping| mapping.iter().map(move |property| (mapping, property)))
        .filter(|(_, property)| property.critical && said(*property))
        .map(|(mapping, property)| model::called(property, mapping))
        .collect()
}

/// What happens under a tender that does not see the properties.
pub(crate) fn under_upstream(manifest: &Manifest) -> Vec<&'static str> {
    let needs = |wanted: Option<Feature>| {
        let critical = |(has, _): (&Property, _)| has.critical && has.feature == wanted;
        subjects(manifest).any(|all| all.iter().any(critical))
    };
    let notes = [
        (None, "it requires every device to be attached, and opens block devices for writing too"),
        (Some(Feature::Stack), "there the stack has its size, and no guard below it"),
        (Some(Feature::Flush), "there solo5_block_flush returns EUNSPEC"),
        (Some(Feature::Seed), "there solo5_seed returns EUNSPEC"),
    ];
    notes.into_iter().filter(|(feature, _)| needs(*feature)).map(|(_, note)| note).collect()
}

/// The whole packaging metadata note of a manifest with a `package`. Its descriptor is a JSON object.
/// The linker wrapper adds the note; it is not part of the manifest's object.
pub fn package_note(manifest: &Manifest) -> Option<Vec<u8>> {
    let package = manifest.package.as_ref()?;
    let mut json = serde_json::Map::new();
    let mut put = |key: &str, value: Option<&str>| {
        if let Some(value) = value {
            json.insert(key.to_owned(), value.into());
        }
    };
    put("type", Some("solo5"));
    put("name", Some(&package.name));
    put("version", package.version.as_deref());
    put("license", package.license.as_deref());
    // The specification of the note requires a terminator after the JSON.
    let json = format!("{}\0", serde_json::Value::Object(json));
    let mut note = vec![0; note::size(note::OWNER_FDO, json.len())];
    note::frame(&mut note, note::OWNER_FDO, note::TYPE_FDO_PACKAGE, json.len())?
        .copy_from_slice(json.as_bytes());
    Some(note)
}
