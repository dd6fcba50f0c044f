//! Phase 6: [`Manifest`] → notes.

use solo5_abi::mft1::{self, DeviceType};
use solo5_abi::mft2::{self, DEVICE_OPTIONAL, DEVICE_READ_ONLY, FLAG_EXECUTABLE_HEAP, Writer, tag};
use solo5_abi::note;

use crate::model::{Device, Manifest, Version};

/// The notes of a manifest, each whole: header, owner, descriptor, padding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notes {
    names: Vec<(String, DeviceType)>,
    mft1: Vec<u8>,
    mft2: Option<Vec<u8>>,
    overflow: bool,
}

impl Notes {
    /// MFT1, which every Solo5 reads.
    pub fn mft1(&self) -> &[u8] {
        &self.mft1
    }

    /// MFT2, which a manifest of version 2 has.
    pub fn mft2(&self) -> Option<&[u8]> {
        self.mft2.as_deref()
    }

    /// All notes, one behind the other: the content of a PT_NOTE.
    pub fn bytes(&self) -> Vec<u8> {
        [self.mft1.as_slice(), self.mft2().unwrap_or_default()].concat()
    }

    /// Names and types of the devices in order.
    pub(crate) fn devices(&self) -> &[(String, DeviceType)] {
        &self.names
    }

    /// Whether the properties did not fit into MFT2. Such notes never leave this crate.
    pub(crate) fn overflow(&self) -> bool {
        self.overflow
    }
}

impl Manifest {
    /// Its notes.
    pub fn notes(&self) -> Notes {
        let names: Vec<_> =
            self.devices.iter().map(|device| (device.name.clone(), device.kind)).collect();
        let mut mft1 = vec![0; mft1::note_size(names.len())];
        let encoded =
            mft1::encode(names.iter().map(|(name, kind)| (name.as_str(), *kind)), &mut mft1);
        let mft2 = (self.version == Version::V2).then(|| mft2_note(self));
        // The model admits nothing that the first could refuse; the length of the second is known
        // only once it is written.
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
    let mut push = |device: usize, tag: u16, payload: Option<&[u8]>| match payload {
        Some(payload) => writer.push(u32::try_from(device).ok()?, tag, payload),
        None => Some(()),
    };
    let memory = &manifest.memory;
    let flags = if memory.executable_heap { FLAG_EXECUTABLE_HEAP } else { 0 };
    push(0, tag::MEMORY_MINIMUM, bytes(memory.minimum.map(u64::to_le_bytes)).as_deref())?;
    push(0, tag::MEMORY_RECOMMENDED, bytes(memory.recommended.map(u64::to_le_bytes)).as_deref())?;
    push(0, tag::SYNOPSIS, manifest.synopsis.as_deref().map(str::as_bytes))?;
    push(0, tag::FLAGS, set(flags).as_deref())?;
    for (index, device) in manifest.devices.iter().enumerate() {
        let handle = index + 1;
        push(handle, tag::DEVICE_FLAGS, set(device_flags(device)).as_deref())?;
        push(handle, tag::DESCRIPTION, device.description.as_deref().map(str::as_bytes))?;
        let sector_size = bytes(device.sector_size.map(u32::to_le_bytes));
        push(handle, tag::SECTOR_SIZE, sector_size.as_deref())?;
        let capacity = bytes(device.capacity_minimum.map(u64::to_le_bytes));
        push(handle, tag::CAPACITY_MINIMUM, capacity.as_deref())?;
        let mtu = bytes(device.mtu_minimum.map(u32::to_le_bytes));
        push(handle, tag::MTU_MINIMUM, mtu.as_deref())?;
    }
    Some(())
}

fn bytes<const N: usize>(value: Option<[u8; N]>) -> Option<Vec<u8>> {
    value.map(Vec::from)
}

/// Flags are written only if any is set.
fn set(flags: u32) -> Option<Vec<u8>> {
    bytes((flags != 0).then_some(flags.to_le_bytes()))
}

fn device_flags(device: &Device) -> u32 {
    let optional = if device.optional { DEVICE_OPTIONAL } else { 0 };
    let read_only = if device.read_only { DEVICE_READ_ONLY } else { 0 };
    optional | read_only
}

/// The properties that a reader of MFT1 alone would act against.
pub(crate) fn ignored_upstream(manifest: &Manifest) -> Vec<&'static str> {
    let any = |has: fn(&Device) -> bool| manifest.devices.iter().any(has);
    [
        ("memory.minimum", manifest.memory.minimum.is_some()),
        ("memory.executable-heap", manifest.memory.executable_heap),
        ("optional", any(|device| device.optional)),
        ("access", any(|device| device.read_only)),
        ("sector-size", any(|device| device.sector_size.is_some())),
        ("capacity", any(|device| device.capacity_minimum.is_some())),
        ("mtu", any(|device| device.mtu_minimum.is_some())),
    ]
    .into_iter()
    .filter_map(|(name, there)| there.then_some(name))
    .collect()
}

/// The packaging metadata note of a manifest with a `package`: whole, with a JSON object as its
/// descriptor. The linker adds it; it is not part of the manifest's object.
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
    // The specification of the note wants a terminator behind the JSON.
    let json = format!("{}\0", serde_json::Value::Object(json));
    let mut note = vec![0; note::size(note::OWNER_FDO, json.len())];
    note::frame(&mut note, note::OWNER_FDO, note::TYPE_FDO_PACKAGE, json.len())?
        .copy_from_slice(json.as_bytes());
    Some(note)
}
