//! The table of properties: everything in a manifest except the names and types of devices.
//!
//! [`PROPERTIES`] drives the encoder, the decoder, the keys of the YAML source, its JSON Schema,
//! `solo5-elftool show` and the warning about properties that upstream's tenders ignore.

use crate::mft1::DeviceType;
use crate::offer::Feature;

/// Bit of a stored tag: a reader that does not know the tag must refuse the manifest.
pub const CRITICAL: u16 = 1 << 15;
/// Longest synopsis in bytes.
pub const SYNOPSIS_MAX: usize = 4096;
/// Longest description of a device in bytes.
pub const DESCRIPTION_MAX: usize = 1024;

/// Bit 0 of the unikernel's flags: it needs an executable heap.
pub const FLAG_EXECUTABLE_HEAP: u32 = 1;
/// Bit 1 of the unikernel's flags: it needs a seed.
pub const FLAG_SEED: u32 = 2;
/// Bit 0 of a device's flags: the unikernel also starts without the device.
pub const DEVICE_OPTIONAL: u32 = 1;
/// Bit 1 of a device's flags: the unikernel only reads the device.
pub const DEVICE_READ_ONLY: u32 = 2;
/// Bit 2 of a device's flags: the unikernel flushes the device.
pub const DEVICE_FLUSH: u32 = 4;

/// Tags by name, without the critical bit.
pub mod tag {
    /// Least guest memory in bytes, u64.
    pub const MEMORY_MINIMUM: u16 = 1;
    /// Recommended guest memory in bytes, u64.
    pub const MEMORY_RECOMMENDED: u16 = 2;
    /// The command line that the unikernel takes, as text for people; a string.
    pub const SYNOPSIS: u16 = 3;
    /// Flags of the unikernel, u32.
    pub const FLAGS: u16 = 4;
    /// Size of the stack in bytes, u64.
    pub const STACK: u16 = 5;
    /// Flags of a device, u32.
    pub const DEVICE_FLAGS: u16 = 0x10;
    /// What the device is for; a string.
    pub const DESCRIPTION: u16 = 0x11;
    /// Exact sector size in bytes, u32; block devices.
    pub const SECTOR_SIZE: u16 = 0x20;
    /// Least capacity in bytes, u64; block devices.
    pub const CAPACITY_MINIMUM: u16 = 0x21;
    /// Least MTU in bytes, u32; network interfaces.
    pub const MTU_MINIMUM: u16 = 0x30;
}

/// What a property describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The unikernel; device 0.
    Unikernel,
    /// Any device.
    Device,
    /// A device of one type.
    Only(DeviceType),
}

/// How a property's value is stored, and how a source writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A bit of a `u32` that the flags of one tag share. The source writes `true` or `false`.
    Flag(u32),
    /// A bit as in [`Shape::Flag`], but the source writes one of two words. The first clears the bit.
    Choice(u32, [&'static str; 2]),
    /// A number of 8 bytes: a size in bytes, written with a unit.
    Size,
    /// A number of 8 bytes: the size of a stack, a multiple of
    /// [`GUARD`](crate::stack::GUARD), written with a unit.
    Stack,
    /// A number of 4 bytes: a [`SectorSize`](crate::device::SectorSize).
    SectorSize,
    /// A number of 4 bytes: an [`Mtu`](crate::device::Mtu).
    Mtu,
    /// UTF-8 without NUL, 1 to this many bytes.
    Text(usize),
}

impl Shape {
    /// The bit of a flag.
    pub const fn bit(self) -> Option<u32> {
        match self {
            Shape::Flag(bit) | Shape::Choice(bit, _) => Some(bit),
            Shape::Size | Shape::Stack | Shape::SectorSize | Shape::Mtu | Shape::Text(_) => None,
        }
    }

    /// Whether a payload can be `length` bytes long.
    pub fn takes(self, length: usize) -> bool {
        match self {
            Shape::Flag(_) | Shape::Choice(..) | Shape::SectorSize | Shape::Mtu => length == 4,
            Shape::Size | Shape::Stack => length == 8,
            Shape::Text(most) => (1..=most).contains(&length),
        }
    }
}

/// The value of a property that is present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<T> {
    /// A flag whose bit is set.
    Set,
    /// A number.
    Number(u64),
    /// A text.
    Text(T),
}

/// A property this version knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Property {
    /// Tag without the critical bit.
    pub tag: u16,
    /// Name in messages. JSON uses it with `_` for `-`.
    pub name: &'static str,
    /// Key in a manifest's source, within its subject. `a.b` is the key `b` of the mapping `a`.
    pub key: &'static str,
    /// What it describes.
    pub subject: Subject,
    /// How its value is stored.
    pub shape: Shape,
    /// Whether a reader that does not know the property must refuse the manifest.
    pub critical: bool,
    /// The feature it needs, of the bindings and of the tender.
    pub feature: Option<Feature>,
    /// What it means, as a sentence about its subject.
    pub meaning: &'static str,
    /// The property as an item of a list; `{}` stands for the value.
    pub phrase: &'static str,
}

impl Property {
    /// The key at the subject's level: that of the enclosing mapping, if there is one.
    pub fn outer_key(&self) -> &'static str {
        self.key.split_once('.').map_or(self.key, |(outer, _)| outer)
    }

    /// The key in the enclosing mapping; `None` if there is none.
    pub fn inner_key(&self) -> Option<&'static str> {
        self.key.split_once('.').map(|(_, inner)| inner)
    }

    /// Reads the value from a payload of the property's tag; `None` for a flag that is not set.
    pub fn value<'a>(&self, payload: &'a [u8]) -> Option<Value<&'a str>> {
        match self.shape {
            Shape::Flag(bit) | Shape::Choice(bit, _) => {
                let flags = u32::from_le_bytes(payload.try_into().ok()?);
                (flags & bit != 0).then_some(Value::Set)
            }
            Shape::SectorSize | Shape::Mtu => {
                Some(Value::Number(u32::from_le_bytes(payload.try_into().ok()?).into()))
            }
            Shape::Size | Shape::Stack => {
                Some(Value::Number(u64::from_le_bytes(payload.try_into().ok()?)))
            }
            Shape::Text(_) => Some(Value::Text(str::from_utf8(payload).ok()?)),
        }
    }
}

/// Every property this version knows, in the order of a manifest's source.
pub const PROPERTIES: [Property; 13] = [
    Property {
        tag: tag::SYNOPSIS,
        name: "synopsis",
        key: "synopsis",
        subject: Subject::Unikernel,
        shape: Shape::Text(SYNOPSIS_MAX),
        critical: false,
        feature: None,
        meaning: "The command line that the unikernel takes, as text for people.",
        phrase: "command line {}",
    },
    Property {
        tag: tag::MEMORY_MINIMUM,
        name: "memory-minimum",
        key: "memory.minimum",
        subject: Subject::Unikernel,
        shape: Shape::Size,
        critical: true,
        feature: None,
        meaning: "Least memory the unikernel can start with.",
        phrase: "{} of memory",
    },
    Property {
        tag: tag::MEMORY_RECOMMENDED,
        name: "memory-recommended",
        key: "memory.recommended",
        subject: Subject::Unikernel,
        shape: Shape::Size,
        critical: false,
        feature: None,
        meaning: "Recommended memory.",
        phrase: "{} of memory recommended",
    },
    Property {
        tag: tag::FLAGS,
        name: "executable-heap",
        key: "memory.executable-heap",
        subject: Subject::Unikernel,
        shape: Shape::Flag(FLAG_EXECUTABLE_HEAP),
        critical: true,
        feature: None,
        meaning: "Whether the unikernel generates code at run time.",
        phrase: "an executable heap",
    },
    Property {
        tag: tag::STACK,
        name: "stack",
        key: "stack",
        subject: Subject::Unikernel,
        shape: Shape::Stack,
        critical: true,
        feature: Some(Feature::Stack),
        meaning: "Size of its stack, which then has a guard; a multiple of 64KiB.",
        phrase: "a stack of {}",
    },
    Property {
        tag: tag::FLAGS,
        name: "seed",
        key: "seed",
        subject: Subject::Unikernel,
        shape: Shape::Flag(FLAG_SEED),
        critical: true,
        feature: Some(Feature::Seed),
        meaning: "Whether it takes 32 random bytes from the host at its start.",
        phrase: "a seed",
    },
    Property {
        tag: tag::DESCRIPTION,
        name: "description",
        key: "description",
        subject: Subject::Device,
        shape: Shape::Text(DESCRIPTION_MAX),
        critical: false,
        feature: None,
        meaning: "What the device is for.",
        phrase: "for {}",
    },
    Property {
        tag: tag::DEVICE_FLAGS,
        name: "optional",
        key: "optional",
        subject: Subject::Device,
        shape: Shape::Flag(DEVICE_OPTIONAL),
        critical: true,
        feature: None,
        meaning: "Whether the unikernel also starts without it.",
        phrase: "optional",
    },
    Property {
        tag: tag::DEVICE_FLAGS,
        name: "read-only",
        key: "access",
        subject: Subject::Only(DeviceType::BlockBasic),
        shape: Shape::Choice(DEVICE_READ_ONLY, ["read-write", "read-only"]),
        critical: true,
        feature: None,
        meaning: "Whether the unikernel only reads it.",
        phrase: "read-only",
    },
    Property {
        tag: tag::DEVICE_FLAGS,
        name: "flush",
        key: "flush",
        subject: Subject::Only(DeviceType::BlockBasic),
        shape: Shape::Flag(DEVICE_FLUSH),
        critical: true,
        feature: Some(Feature::Flush),
        meaning: "Whether the unikernel waits until its writes are durable.",
        phrase: "flushed",
    },
    Property {
        tag: tag::SECTOR_SIZE,
        name: "sector-size",
        key: "sector-size",
        subject: Subject::Only(DeviceType::BlockBasic),
        shape: Shape::SectorSize,
        critical: true,
        feature: None,
        meaning: "Required sector size in bytes.",
        phrase: "sectors of {} bytes",
    },
    Property {
        tag: tag::CAPACITY_MINIMUM,
        name: "capacity-minimum",
        key: "capacity.minimum",
        subject: Subject::Only(DeviceType::BlockBasic),
        shape: Shape::Size,
        critical: true,
        feature: None,
        meaning: "Least capacity.",
        phrase: "at least {}",
    },
    Property {
        tag: tag::MTU_MINIMUM,
        name: "mtu-minimum",
        key: "mtu.minimum",
        subject: Subject::Only(DeviceType::NetBasic),
        shape: Shape::Mtu,
        critical: true,
        feature: None,
        meaning: "Least MTU in bytes.",
        phrase: "an MTU of at least {}",
    },
];

/// The properties with this tag: one, or several flags. The critical bit is ignored.
pub fn known(tag: u16) -> impl Iterator<Item = &'static Property> + Clone {
    let tag = tag & !CRITICAL;
    PROPERTIES.iter().filter(move |property| property.tag == tag)
}

/// The properties, grouped by [`Property::outer_key`].
pub fn by_key() -> impl Iterator<Item = &'static [Property]> {
    const ALL: &[Property] = &PROPERTIES;
    ALL.chunk_by(|a, b| (a.outer_key(), a.subject) == (b.outer_key(), b.subject))
}
