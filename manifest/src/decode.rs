//! The way back: notes → [`Manifest`].

use std::fmt;

use solo5_abi::mft1::{self, DeviceType, Mft1};
use solo5_abi::mft2::{self, Mft2, Shape, Value};
use solo5_abi::note::{self, Notes};

use crate::model::{self, Device, Manifest, Package, Properties, Version};

/// Why notes cannot be turned back into a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// There is no MFT1.
    Missing,
    /// A second note of this kind.
    Second(&'static str),
    /// The sequence of notes is broken.
    Notes(note::Error),
    /// MFT1 is malformed.
    Mft1(mft1::Error),
    /// MFT2 is malformed.
    Mft2(mft2::Error),
    /// A well-formed property that a manifest's source cannot express.
    Inexpressible(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Missing => write!(f, "no Solo5 manifest"),
            Error::Second(name) => write!(f, "a second {name} note"),
            Error::Notes(fault) => fault.fmt(f),
            Error::Mft1(fault) => write!(f, "MFT1: {fault}"),
            Error::Mft2(fault) => write!(f, "MFT2: {fault}"),
            Error::Inexpressible(what) => write!(f, "a manifest's source cannot express {what}"),
        }
    }
}

impl std::error::Error for Error {}

/// The manifest in a sequence of notes; other notes are skipped.
///
/// # Errors
///
/// See [`Error`].
pub fn notes(bytes: &[u8]) -> Result<Manifest, Error> {
    let (mut first, mut second, mut package) = (None, None, None);
    for found in Notes::new(bytes) {
        let found = found.map_err(Error::Notes)?;
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
            return Err(Error::Second(name));
        }
    }
    let first = Mft1::parse(first.ok_or(Error::Missing)?).map_err(Error::Mft1)?;
    let second = second.map(|descriptor| Mft2::parse(descriptor, &first));
    manifest(&first, second.transpose().map_err(Error::Mft2)?.as_ref(), package)
}

/// The manifest that MFT1, MFT2 and the descriptor of the packaging note make together. It has
/// version 1 if there is no MFT2.
///
/// # Errors
///
/// [`Error::Mft1`] if a loader would refuse MFT1, and [`Error::Inexpressible`].
pub fn manifest(
    first: &Mft1<'_>,
    second: Option<&Mft2<'_>>,
    package: Option<&[u8]>,
) -> Result<Manifest, Error> {
    first.check().map_err(Error::Mft1)?;
    if let Some(record) = second
        .and_then(|second| second.records().find(|record| mft2::known(record.tag).next().is_none()))
    {
        return inexpressible(format!("the property {:#x}", record.tag));
    }
    let unikernel = properties(second, 0, None)?;
    if unikernel.recommends_too_little() {
        return inexpressible("a recommendation below the minimum".to_owned());
    }
    let mut devices = Vec::new();
    for (index, entry) in first.devices() {
        let Some(kind) = entry.kind() else { continue };
        let properties = properties(second, index, Some(kind))?;
        devices.push(Device { name: entry.name().to_owned(), kind, properties });
    }
    let version = if second.is_some() { Version::V2 } else { Version::V1 };
    Ok(Manifest {
        version,
        // Only version 2 has a key for the package. In version 1 the packaging note is dropped; it is
        // for other tools anyway.
        package: package.filter(|_| version == Version::V2).and_then(package_of),
        properties: unikernel,
        devices,
    })
}

/// The properties of the device at `index`, which has type `kind`. With 0 and `None`, those of the
/// unikernel.
fn properties(
    second: Option<&Mft2<'_>>,
    index: usize,
    kind: Option<DeviceType>,
) -> Result<Properties, Error> {
    let mut properties = Properties::default();
    for (property, value) in second.iter().flat_map(|second| second.properties(index)) {
        if !model::has(kind, property) {
            let kind = kind.map_or("unikernel", DeviceType::name);
            return inexpressible(format!("that a {kind} is {}", property.name));
        }
        let value = match value {
            Value::Number(number) if !model::is_expressible(property.shape, number) => {
                let kib = if matches!(property.shape, Shape::Size | Shape::Stack) {
                    ", which are not whole KiB"
                } else {
                    ""
                };
                return inexpressible(format!("a {} of {number} bytes{kib}", property.name));
            }
            Value::Number(number) => Value::Number(number),
            Value::Set => Value::Set,
            Value::Text(text) => Value::Text(text.to_owned()),
        };
        properties.push(property, value);
    }
    Ok(properties)
}

/// The package in a packaging note; `None` if this suite did not write the note.
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

fn inexpressible<T>(what: String) -> Result<T, Error> {
    Err(Error::Inexpressible(what))
}
