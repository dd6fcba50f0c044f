//! The checked manifest. A value of these types can always be encoded.

use solo5_abi::device::{Mtu, SectorSize};
use solo5_abi::mft1::DeviceType;
use solo5_abi::mft2::{Property, Shape, Subject, Value, tag};
use solo5_abi::stack;
use solo5_source::size;

/// The value of `type` in every manifest.
pub const TYPE: &str = "solo5.manifest";
/// Longest text in bytes of `package`.
pub const PACKAGE_TEXT_MAX: usize = 256;

/// Version of a manifest's source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// Upstream's version: devices with name and type.
    V1 = 1,
    /// This suite's version, which adds properties.
    V2 = 2,
}

impl Version {
    /// Every version.
    pub const ALL: [Version; 2] = [Version::V1, Version::V2];

    /// The number in the source.
    pub const fn number(self) -> u64 {
        self as u64
    }
}

/// A manifest without errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    pub(crate) version: Version,
    pub(crate) package: Option<Package>,
    pub(crate) properties: Properties,
    pub(crate) devices: Vec<Device>,
}

impl Manifest {
    /// Version of its source. Version 1 has only names and types of devices.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The package that the unikernel is a build of; not part of the notes for tenders.
    pub fn package(&self) -> Option<&Package> {
        self.package.as_ref()
    }

    /// The properties of the unikernel as a whole.
    pub fn properties(&self) -> &Properties {
        &self.properties
    }

    /// Its devices. The order matters: the handle of a device is its index here, plus one.
    pub fn devices(&self) -> &[Device] {
        &self.devices
    }
}

/// The package that a unikernel is a build of, for tools that list packages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Name of the package.
    pub name: String,
    /// Version of the package, in the package's own format.
    pub version: Option<String>,
    /// Licence of the package, as an SPDX expression.
    pub license: Option<String>,
}

/// A device that a unikernel uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    pub(crate) name: String,
    pub(crate) kind: DeviceType,
    pub(crate) properties: Properties,
}

impl Device {
    /// Name; 1 to 67 letters and digits, unique among devices of its type.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Type.
    pub fn kind(&self) -> DeviceType {
        self.kind
    }

    /// Its properties.
    pub fn properties(&self) -> &Properties {
        &self.properties
    }
}

/// The properties of one subject, in the order of [`PROPERTIES`](solo5_abi::mft2::PROPERTIES).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    list: Vec<(&'static Property, Value<String>)>,
}

impl Properties {
    /// Each property that is present, with its value.
    pub fn iter(&self) -> impl Iterator<Item = (&'static Property, &Value<String>)> {
        self.list.iter().map(|(property, value)| (*property, value))
    }

    /// Appends a property.
    pub(crate) fn push(&mut self, property: &'static Property, value: Value<String>) {
        self.list.push((property, value));
    }

    /// The number with this tag; `None` if it is absent or not a number.
    pub fn number(&self, tag: u16) -> Option<u64> {
        let (_, value) = self.list.iter().find(|(property, _)| property.tag == tag)?;
        match value {
            Value::Number(number) => Some(*number),
            Value::Set | Value::Text(_) => None,
        }
    }

    /// Whether the recommended memory is less than the minimum.
    pub(crate) fn recommends_too_little(&self) -> bool {
        let minimum = self.number(tag::MEMORY_MINIMUM).unwrap_or(0);
        self.number(tag::MEMORY_RECOMMENDED).is_some_and(|recommended| recommended < minimum)
    }
}

/// Whether the unikernel (`None`) or a device of a type can have `property`.
pub(crate) fn has(kind: Option<DeviceType>, property: &Property) -> bool {
    match property.subject {
        Subject::Unikernel => kind.is_none(),
        Subject::Device => kind.is_some(),
        Subject::Only(only) => kind == Some(only),
    }
}

/// Whether a source can express this number as a value of this shape.
pub(crate) fn is_expressible(shape: Shape, number: u64) -> bool {
    match shape {
        Shape::Size => number > 0 && size::format(number).is_some(),
        Shape::Stack => stack::is_size(number) && size::format(number).is_some(),
        Shape::SectorSize => SectorSize::new(number).is_some(),
        Shape::Mtu => Mtu::new(number).is_some(),
        Shape::Flag(_) | Shape::Choice(..) | Shape::Text(_) => false,
    }
}

/// The name of a property in messages: its full key, or only the key of its mapping if the mapping has
/// no other property.
pub(crate) fn called(property: &Property, mapping: &[Property]) -> &'static str {
    if mapping.len() == 1 { property.outer_key() } else { property.key }
}
