//! Back: notes → [`Manifest`].

use std::fmt;

use solo5_abi::mft1::{DeviceType, Mft1};
use solo5_abi::mft2::{self, Mft2};
use solo5_abi::note::{self, Notes};

use crate::model::{self, Device, MTUS, Manifest, Memory, Package, Version};

/// Why notes are no manifest that a source could say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// There is no MFT1.
    Missing,
    /// A second note of this kind.
    Second(&'static str),
    /// The sequence of notes is broken.
    Notes(note::Fault),
    /// MFT1 is malformed.
    Mft1(solo5_abi::mft1::Fault),
    /// MFT2 is malformed.
    Mft2(mft2::Fault),
    /// A well-formed property that a source has no words for.
    Unsayable(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Missing => write!(f, "no Solo5 manifest"),
            Fault::Second(name) => write!(f, "a second {name} note"),
            Fault::Notes(fault) => fault.fmt(f),
            Fault::Mft1(fault) => write!(f, "MFT1: {fault}"),
            Fault::Mft2(fault) => write!(f, "MFT2: {fault}"),
            Fault::Unsayable(what) => write!(f, "a manifest's source cannot say {what}"),
        }
    }
}

/// The manifest in a sequence of notes; other notes are skipped.
///
/// # Errors
///
/// See [`Fault`].
pub fn notes(bytes: &[u8]) -> Result<Manifest, Fault> {
    let (mut first, mut second, mut package) = (None, None, None);
    for found in Notes::new(bytes) {
        let found = found.map_err(Fault::Notes)?;
        let (slot, name) = if found.is(note::OWNER_SOLO5, note::TYPE_MFT1) {
            (&mut first, "MFT1")
        } else if found.is(note::OWNER_SOLO5, note::TYPE_MFT2) {
            (&mut second, "MFT2")
        } else if found.is(note::OWNER_FDO, note::TYPE_FDO_PACKAGE) {
            (&mut package, "package")
        } else {
            continue;
        };
        if slot.replace(found.descriptor).is_some() {
            return Err(Fault::Second(name));
        }
    }
    let first = Mft1::parse(first.ok_or(Fault::Missing)?).map_err(Fault::Mft1)?;
    let second = second.map(|descriptor| Mft2::parse(descriptor, &first));
    manifest(&first, second.transpose().map_err(Fault::Mft2)?.as_ref(), package)
}

/// The manifest that MFT1, MFT2 and the descriptor of the packaging note make together. Version 1
/// when there is no MFT2.
///
/// # Errors
///
/// [`Fault::Mft1`] if the first is not what a loader takes, and [`Fault::Unsayable`].
pub fn manifest(
    first: &Mft1<'_>,
    second: Option<&Mft2<'_>>,
    package: Option<&[u8]>,
) -> Result<Manifest, Fault> {
    first.check().map_err(Fault::Mft1)?;
    if let Some(record) =
        second.and_then(|second| second.records().find(|record| mft2::known(record.tag).is_none()))
    {
        return unsayable(format!("the property {:#x}", record.tag));
    }
    let size = |what: &str, bytes: Option<u64>| match bytes {
        Some(bytes) if !model::is_size(bytes) => {
            unsayable(format!("{what} of {bytes} bytes, which are not whole KiB"))
        }
        bytes => Ok(bytes),
    };
    let memory = Memory {
        minimum: size("a minimum", second.and_then(Mft2::memory_minimum))?,
        recommended: size("a recommendation", second.and_then(Mft2::memory_recommended))?,
        executable_heap: second.is_some_and(Mft2::executable_heap),
    };
    if let (Some(minimum), Some(recommended)) = (memory.minimum, memory.recommended)
        && recommended < minimum
    {
        return unsayable("a recommendation below the minimum".to_owned());
    }
    let mut devices = Vec::new();
    for (index, entry) in first.devices() {
        let Some(kind) = entry.kind() else { continue };
        let properties = second.map(|second| second.device(index)).unwrap_or_default();
        if properties.read_only && kind != DeviceType::BlockBasic {
            return unsayable(format!("that a {} is read-only", kind.name()));
        }
        if let Some(bytes) = properties.sector_size
            && !model::is_sector_size(bytes)
        {
            return unsayable(format!("a sector size of {bytes} bytes"));
        }
        if let Some(mtu) = properties.mtu_minimum
            && !MTUS.contains(&mtu)
        {
            return unsayable(format!("an MTU of {mtu} bytes"));
        }
        devices.push(Device {
            name: entry.name().to_owned(),
            kind,
            description: properties.description.map(str::to_owned),
            optional: properties.optional,
            read_only: properties.read_only,
            sector_size: properties.sector_size,
            capacity_minimum: size("a capacity", properties.capacity_minimum)?,
            mtu_minimum: properties.mtu_minimum,
        });
    }
    let version = if second.is_some() { Version::V2 } else { Version::V1 };
    Ok(Manifest {
        version,
        // Only version 2 has a place for it; the note is for other tools anyway.
        package: package.filter(|_| version == Version::V2).and_then(package_of),
        synopsis: second.and_then(Mft2::synopsis).map(str::to_owned),
        memory,
        devices,
    })
}

/// What a packaging note says, if it is one of ours.
fn package_of(descriptor: &[u8]) -> Option<Package> {
    let json = descriptor.split(|byte| *byte == 0).next()?;
    let json: serde_json::Value = serde_json::from_slice(json).ok()?;
    let text = |key: &str| {
        let text = json.get(key)?.as_str()?;
        let fits = (1..=model::PACKAGE_TEXT_MAX).contains(&text.len());
        (fits && !text.chars().any(char::is_control)).then(|| text.to_owned())
    };
    if text("type")? != "solo5" {
        return None;
    }
    Some(Package { name: text("name")?, version: text("version"), license: text("license") })
}

fn unsayable<T>(what: String) -> Result<T, Fault> {
    Err(Fault::Unsayable(what))
}
