//! The checked manifest. A value of these types can always be encoded.

use std::ops::RangeInclusive;

use solo5_abi::mft1::DeviceType;
use solo5_source::size;

/// What `type` says in every manifest.
pub const TYPE: &str = "solo5.manifest";
/// Sector sizes in bytes that a device can have; powers of two (`spec/10` §14, defect 18).
pub const SECTOR_SIZES: RangeInclusive<u32> = 512..=32768;
/// MTUs in bytes that a device can have (`spec/10` §14, defect 24).
pub const MTUS: RangeInclusive<u32> = 68..=65535;
/// Longest text in bytes of `package`.
pub const PACKAGE_TEXT_MAX: usize = 256;

/// Version of a manifest's source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// Devices with name and type, as upstream has it.
    V1 = 1,
    /// With properties.
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
    pub(crate) synopsis: Option<String>,
    pub(crate) memory: Memory,
    pub(crate) devices: Vec<Device>,
}

impl Manifest {
    /// Version of its source. Version 1 says nothing but names and types of devices.
    pub fn version(&self) -> Version {
        self.version
    }

    /// What it is a build of; not part of the notes for tenders.
    pub fn package(&self) -> Option<&Package> {
        self.package.as_ref()
    }

    /// The command line it takes, for people.
    pub fn synopsis(&self) -> Option<&str> {
        self.synopsis.as_deref()
    }

    /// What it needs of memory.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Its devices. The order is meaning: the handle of a device is its place here, plus one.
    pub fn devices(&self) -> &[Device] {
        &self.devices
    }
}

/// What a unikernel is a build of, for tools that know packages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Name of the package.
    pub name: String,
    /// Its version, as the package has it.
    pub version: Option<String>,
    /// Its licence, as an SPDX expression.
    pub license: Option<String>,
}

/// What a unikernel needs of guest memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    pub(crate) minimum: Option<u64>,
    pub(crate) recommended: Option<u64>,
    pub(crate) executable_heap: bool,
}

impl Memory {
    /// Bytes it cannot start without; whole KiB.
    pub fn minimum(&self) -> Option<u64> {
        self.minimum
    }

    /// Bytes that serve it well; whole KiB, at least the minimum.
    pub fn recommended(&self) -> Option<u64> {
        self.recommended
    }

    /// Whether it makes code at run time.
    pub fn executable_heap(&self) -> bool {
        self.executable_heap
    }
}

/// A device that a unikernel uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    pub(crate) name: String,
    pub(crate) kind: DeviceType,
    pub(crate) description: Option<String>,
    pub(crate) optional: bool,
    pub(crate) read_only: bool,
    pub(crate) sector_size: Option<u32>,
    pub(crate) capacity_minimum: Option<u64>,
    pub(crate) mtu_minimum: Option<u32>,
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

    /// What it is for.
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// Whether the unikernel starts without it too.
    pub fn optional(&self) -> bool {
        self.optional
    }

    /// Whether it is only read; block devices.
    pub fn read_only(&self) -> bool {
        self.read_only
    }

    /// The one sector size in bytes it works with; block devices.
    pub fn sector_size(&self) -> Option<u32> {
        self.sector_size
    }

    /// Least capacity in bytes; whole KiB; block devices.
    pub fn capacity_minimum(&self) -> Option<u64> {
        self.capacity_minimum
    }

    /// Least MTU in bytes; network interfaces.
    pub fn mtu_minimum(&self) -> Option<u32> {
        self.mtu_minimum
    }
}

/// Whether `bytes` can be a size in a manifest: not nothing, and something a unit can say.
pub(crate) fn is_size(bytes: u64) -> bool {
    bytes > 0 && size::format(bytes).is_some()
}

/// Whether `bytes` can be a sector size.
pub(crate) fn is_sector_size(bytes: u32) -> bool {
    SECTOR_SIZES.contains(&bytes) && bytes.is_power_of_two()
}
