//! The properties note of a version 2 manifest, MFT2.
//!
//! All fields are little-endian. A [`Header`] of 16 bytes comes first, then `count` records. A record
//! is a [`RecordHeader`] of 8 bytes and a payload, zero-padded to a multiple of 8. Bit 15 of a tag is
//! its *critical* bit: a reader refuses an unknown tag with this bit and skips one without. Records
//! are sorted and unique by (device, tag without the critical bit), so a manifest has exactly one
//! encoding.
//!
//! To add a property, take a tag that was never used, add a row to [`PROPERTIES`] and an accessor to
//! this file, and write the code that enforces the property.

mod table;

use core::fmt;

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::mft1::Mft1;
use crate::offer::Features;
use crate::stack;

pub use table::*;

/// Version of the layout.
pub const VERSION: u32 = 2;
/// Most records.
pub const RECORDS_MAX: usize = 1024;
/// Longest descriptor in bytes.
pub const DESCRIPTOR_MAX: usize = 64 * 1024;
/// Tags from here to [`PRIVATE_LAST`] are for private use.
pub const PRIVATE_FIRST: u16 = 0x4000;
/// Last tag for private use; see [`PRIVATE_FIRST`].
pub const PRIVATE_LAST: u16 = 0x7fff;

/// Fixed part of the descriptor.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct Header {
    version: U32,
    count: U32,
    mft1_entries: U32,
    reserved: U32,
}

/// Fixed part of a record.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct RecordHeader {
    tag: U16,
    length: U16,
    device: U32,
}

/// Size in bytes of [`Header`].
pub const HEADER_SIZE: usize = 16;
/// Size in bytes of [`RecordHeader`], and the alignment of records.
pub const RECORD_HEADER_SIZE: usize = 8;

const _: () = {
    assert!(size_of::<Header>() == HEADER_SIZE);
    assert!(size_of::<RecordHeader>() == RECORD_HEADER_SIZE);
    assert!(core::mem::offset_of!(RecordHeader, device) == 4);
};

/// One record of a checked note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Tag without the critical bit.
    pub tag: u16,
    /// Whether the critical bit is set.
    pub critical: bool,
    /// The device's index in MFT1, or 0 for the unikernel itself.
    pub device: u32,
    /// Payload without padding.
    pub payload: &'a [u8],
}

impl Record<'_> {
    fn key(&self) -> (u32, u16) {
        (self.device, self.tag)
    }
}

/// What is wrong with a properties note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// Longer than [`DESCRIPTOR_MAX`].
    Long,
    /// A header or record reaches past the end.
    Short,
    /// The version is not 2.
    Version(u32),
    /// The reserved word is not zero.
    Reserved,
    /// More than [`RECORDS_MAX`] records.
    Count(u32),
    /// `mft1_entries` is not the number of entries of the manifest note.
    Entries(u32),
    /// Bytes follow the last record.
    Trailing,
    /// Not sorted, or not unique, by (device, tag).
    Order,
    /// An unknown critical tag.
    Unknown(u16),
    /// A known tag with the wrong critical bit.
    Criticality(u16),
    /// The device is not in the manifest.
    Device(u32),
    /// The tag does not apply to the unikernel, or to this type of device.
    Subject(u16),
    /// The payload has the wrong length for its tag.
    Length(u16),
    /// A string is not UTF-8, or contains NUL.
    Text(u16),
    /// An unknown flag is set, or none is set.
    Flags(u16),
    /// The size of a stack is 0, or not a multiple of [`stack::GUARD`].
    Stack,
    /// Padding is not zero.
    Padding,
}

/// The first error in a properties note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error {
    /// What is wrong.
    pub kind: ErrorKind,
    /// Offset in bytes in the descriptor.
    pub offset: usize,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |tag| match tag {
            tag::FLAGS => "flags",
            tag::DEVICE_FLAGS => "device-flags",
            tag => known(tag).next().map_or("property", |property| property.name),
        };
        match self.kind {
            ErrorKind::Long => write!(f, "longer than {DESCRIPTOR_MAX} bytes"),
            ErrorKind::Short => write!(f, "a record reaches past the end"),
            ErrorKind::Version(version) => write!(f, "version {version}, expected {VERSION}"),
            ErrorKind::Reserved => write!(f, "the reserved word is not zero"),
            ErrorKind::Count(count) => write!(f, "{count} records, at most {RECORDS_MAX}"),
            ErrorKind::Entries(entries) => {
                write!(f, "made for a manifest of {entries} entries, not for this one")
            }
            ErrorKind::Trailing => write!(f, "bytes follow the last record"),
            ErrorKind::Order => write!(f, "records are not sorted and unique"),
            ErrorKind::Unknown(tag) => {
                write!(f, "required property {tag:#x} is unknown to this version")
            }
            ErrorKind::Criticality(tag) => write!(f, "{}: wrong critical bit", name(tag)),
            ErrorKind::Device(device) => write!(f, "device {device} is not in the manifest"),
            ErrorKind::Subject(tag) => write!(f, "{} does not belong to that device", name(tag)),
            ErrorKind::Length(tag) => write!(f, "{}: wrong length", name(tag)),
            ErrorKind::Text(tag) => write!(f, "{}: not text", name(tag)),
            ErrorKind::Flags(tag) => write!(f, "{}: an unknown flag, or none at all", name(tag)),
            ErrorKind::Stack => write!(f, "stack: not a multiple of {} KiB", stack::GUARD >> 10),
            ErrorKind::Padding => write!(f, "padding is not zero"),
        }?;
        write!(f, " (at offset {:#x})", self.offset)
    }
}

impl core::error::Error for Error {}

/// Reads the records of a descriptor one by one, without the checks of [`check`].
#[derive(Clone, Debug)]
struct Records<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Records<'a> {
    fn read(&mut self) -> Result<Record<'a>, Error> {
        let fault = |kind| Error { kind, offset: self.at };
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let (header, rest) =
            RecordHeader::read_from_prefix(rest).map_err(|_| fault(ErrorKind::Short))?;
        let length = usize::from(header.length.get());
        let padded = length.next_multiple_of(RECORD_HEADER_SIZE);
        let padded = rest.get(..padded).ok_or(fault(ErrorKind::Short))?;
        let (payload, padding) = padded.split_at(length);
        if padding.iter().any(|byte| *byte != 0) {
            return Err(fault(ErrorKind::Padding));
        }
        self.at += RECORD_HEADER_SIZE + padded.len();
        Ok(Record {
            tag: header.tag.get() & !CRITICAL,
            critical: header.tag.get() & CRITICAL != 0,
            device: header.device.get(),
            payload,
        })
    }
}

/// A borrowed view of a properties note that has been checked against its manifest.
#[derive(Clone, Copy, Debug)]
pub struct Mft2<'a> {
    records: &'a [u8],
}

impl<'a> Mft2<'a> {
    /// Reads a note's descriptor and checks it against its manifest. Refuses any deviation from the
    /// canonical encoding, in critical and in other records.
    pub fn parse(descriptor: &'a [u8], manifest: &Mft1<'_>) -> Result<Mft2<'a>, Error> {
        let fault = |offset, kind| Error { kind, offset };
        if descriptor.len() > DESCRIPTOR_MAX {
            return Err(fault(0, ErrorKind::Long));
        }
        let (header, bytes) =
            Header::read_from_prefix(descriptor).map_err(|_| fault(0, ErrorKind::Short))?;
        if header.version.get() != VERSION {
            return Err(fault(0, ErrorKind::Version(header.version.get())));
        }
        if header.count.get() as usize > RECORDS_MAX {
            return Err(fault(4, ErrorKind::Count(header.count.get())));
        }
        if header.mft1_entries.get() as usize != manifest.entries().len() {
            return Err(fault(8, ErrorKind::Entries(header.mft1_entries.get())));
        }
        if header.reserved.get() != 0 {
            return Err(fault(12, ErrorKind::Reserved));
        }
        let mut records = Records { bytes, at: 0 };
        let mut last = None;
        for _ in 0..header.count.get() {
            let at = HEADER_SIZE + records.at;
            let shift = |kind| Error { kind, offset: at };
            let record = records.read().map_err(|fault| shift(fault.kind))?;
            if last.is_some_and(|last| last >= record.key()) {
                return Err(shift(ErrorKind::Order));
            }
            last = Some(record.key());
            check(&record, manifest).map_err(shift)?;
        }
        if records.at != bytes.len() {
            return Err(fault(HEADER_SIZE + records.at, ErrorKind::Trailing));
        }
        Ok(Mft2 { records: bytes })
    }

    /// Every record, in order.
    pub fn records(&self) -> impl Iterator<Item = Record<'a>> + use<'a> {
        let mut records = Records { bytes: self.records, at: 0 };
        core::iter::from_fn(move || records.read().ok())
    }

    fn payload(&self, device: usize, tag: u16) -> Option<&'a [u8]> {
        self.records()
            .find(|record| record.device as usize == device && record.tag == tag)
            .map(|record| record.payload)
    }

    fn u32(&self, device: usize, tag: u16) -> Option<u32> {
        Some(u32::from_le_bytes(self.payload(device, tag)?.try_into().ok()?))
    }

    fn u64(&self, device: usize, tag: u16) -> Option<u64> {
        Some(u64::from_le_bytes(self.payload(device, tag)?.try_into().ok()?))
    }

    fn text(&self, device: usize, tag: u16) -> Option<&'a str> {
        str::from_utf8(self.payload(device, tag)?).ok()
    }

    /// Every property of the device with this index in MFT1, or of the unikernel for 0, in the order
    /// of [`PROPERTIES`].
    pub fn properties(
        &self,
        device: usize,
    ) -> impl Iterator<Item = (&'static Property, Value<&'a str>)> + use<'a> {
        let all = *self;
        PROPERTIES.iter().filter_map(move |property| {
            let payload = all.payload(device, property.tag)?;
            Some((property, property.value(payload)?))
        })
    }

    /// Least guest memory in bytes.
    pub fn memory_minimum(&self) -> Option<u64> {
        self.u64(0, tag::MEMORY_MINIMUM)
    }

    /// Recommended guest memory in bytes.
    pub fn memory_recommended(&self) -> Option<u64> {
        self.u64(0, tag::MEMORY_RECOMMENDED)
    }

    /// The command line that the unikernel takes, as text for people.
    pub fn synopsis(&self) -> Option<&'a str> {
        self.text(0, tag::SYNOPSIS)
    }

    /// Whether the unikernel asks for an executable heap.
    pub fn executable_heap(&self) -> bool {
        self.u32(0, tag::FLAGS).is_some_and(|flags| flags & FLAG_EXECUTABLE_HEAP != 0)
    }

    /// Size of the stack in bytes, if the unikernel asks for one with a guard.
    pub fn stack(&self) -> Option<u64> {
        self.u64(0, tag::STACK)
    }

    /// Whether the unikernel takes a seed.
    pub fn seed(&self) -> bool {
        self.u32(0, tag::FLAGS).is_some_and(|flags| flags & FLAG_SEED != 0)
    }

    /// The features that the properties need.
    pub fn needs(&self) -> Features {
        let needed = |record: Record<'a>| {
            known(record.tag).filter_map(move |row| row.value(record.payload).and(row.feature))
        };
        self.records().flat_map(needed).fold(Features::NONE, Features::with)
    }

    /// The properties of the device with this index in MFT1.
    pub fn device(&self, index: usize) -> DeviceProperties<'a> {
        let flags = self.u32(index, tag::DEVICE_FLAGS).unwrap_or(0);
        DeviceProperties {
            optional: flags & DEVICE_OPTIONAL != 0,
            read_only: flags & DEVICE_READ_ONLY != 0,
            flush: flags & DEVICE_FLUSH != 0,
            description: self.text(index, tag::DESCRIPTION),
            sector_size: self.u32(index, tag::SECTOR_SIZE),
            capacity_minimum: self.u64(index, tag::CAPACITY_MINIMUM),
            mtu_minimum: self.u32(index, tag::MTU_MINIMUM),
        }
    }
}

/// The properties of one device in a version 2 manifest, for the code that enforces them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceProperties<'a> {
    /// The unikernel also starts without the device.
    pub optional: bool,
    /// The unikernel only reads the device.
    pub read_only: bool,
    /// The unikernel flushes the device.
    pub flush: bool,
    /// What the device is for.
    pub description: Option<&'a str>,
    /// Required sector size in bytes.
    pub sector_size: Option<u32>,
    /// Least capacity in bytes.
    pub capacity_minimum: Option<u64>,
    /// Least MTU in bytes.
    pub mtu_minimum: Option<u32>,
}

/// Size in bytes of the stack that the note with this descriptor asks for. It is for a guest, which
/// reads its own note, in little code: whoever starts a guest has checked the note with
/// [`Mft2::parse`].
pub fn stack_asked(descriptor: &[u8]) -> Option<u64> {
    let payload = find(descriptor, 0, tag::STACK)?;
    U64::read_from_prefix(payload).ok().map(|(size, _)| size.get())
}

/// The flags of the device with this index in MFT1, read as [`stack_asked`] reads.
pub fn device_flags(descriptor: &[u8], index: u32) -> u32 {
    let payload = find(descriptor, index, tag::DEVICE_FLAGS);
    let flags = payload.and_then(|payload| U32::read_from_prefix(payload).ok());
    flags.map_or(0, |(flags, _)| flags.get())
}

/// The payload of a record, and what follows it.
fn find(descriptor: &[u8], device: u32, tag: u16) -> Option<&[u8]> {
    let mut records = descriptor.get(HEADER_SIZE..)?;
    loop {
        let (header, rest) = RecordHeader::read_from_prefix(records).ok()?;
        // Records of the unikernel itself come first.
        if device == 0 && header.device.get() != 0 {
            return None;
        }
        if header.device.get() == device && header.tag.get() & !CRITICAL == tag {
            return Some(rest);
        }
        let padded = usize::from(header.length.get()).next_multiple_of(RECORD_HEADER_SIZE);
        records = rest.get(padded..)?;
    }
}

fn check(record: &Record<'_>, manifest: &Mft1<'_>) -> Result<(), ErrorKind> {
    let entry = manifest.entries().get(record.device as usize);
    let entry = entry.ok_or(ErrorKind::Device(record.device))?;
    let tag = record.tag;
    let rows = known(tag);
    let Some(first) = rows.clone().next() else {
        return if record.critical { Err(ErrorKind::Unknown(tag)) } else { Ok(()) };
    };
    if first.critical != record.critical {
        return Err(ErrorKind::Criticality(tag));
    }
    let has = |property: &Property| match property.subject {
        Subject::Unikernel => record.device == 0,
        Subject::Device => record.device != 0 && !entry.is_reserved(),
        Subject::Only(kind) => entry.kind() == Some(kind),
    };
    if !rows.clone().any(has) {
        return Err(ErrorKind::Subject(tag));
    }
    if !first.shape.takes(record.payload.len()) {
        return Err(ErrorKind::Length(tag));
    }
    if first.shape.bit().is_some() {
        let bits = rows
            .filter(|row| has(row))
            .filter_map(|property| property.shape.bit())
            .fold(0, |all, bit| all | bit);
        let stored = record.payload.try_into().map(u32::from_le_bytes).unwrap_or(0);
        if stored == 0 || stored & !bits != 0 {
            return Err(ErrorKind::Flags(tag));
        }
    }
    if first.shape == Shape::Stack
        && let Some(Value::Number(size)) = first.value(record.payload)
        && !stack::is_size(size)
    {
        return Err(ErrorKind::Stack);
    }
    let text = matches!(first.shape, Shape::Text(_));
    if text && (record.payload.contains(&0) || str::from_utf8(record.payload).is_err()) {
        return Err(ErrorKind::Text(tag));
    }
    Ok(())
}

/// Writes a descriptor record by record. If [`Writer::push`] returns `None`, the caller must discard
/// the whole descriptor.
#[derive(Debug)]
pub struct Writer<'o> {
    out: &'o mut [u8],
    at: usize,
    count: u32,
    entries: u32,
    last: Option<(u32, u16)>,
}

impl<'o> Writer<'o> {
    /// A writer into `out` for a manifest of `entries` entries, the reserved one included. `None`
    /// if `out` is too small for the header. [`DESCRIPTOR_MAX`] bytes are always enough.
    pub fn new(out: &'o mut [u8], entries: usize) -> Option<Writer<'o>> {
        if out.len() < HEADER_SIZE {
            return None;
        }
        let entries = u32::try_from(entries).ok()?;
        Some(Writer { out, at: HEADER_SIZE, count: 0, entries, last: None })
    }

    /// Appends a record. `None` if its tag is unknown, it is not sorted after the last one by
    /// (device, tag), or there is no room for it.
    pub fn push(&mut self, device: u32, tag: u16, payload: &[u8]) -> Option<()> {
        let critical = known(tag).next()?.critical;
        if self.last.is_some_and(|last| last >= (device, tag)) || self.count as usize == RECORDS_MAX
        {
            return None;
        }
        let header = RecordHeader {
            tag: U16::new(if critical { tag | CRITICAL } else { tag }),
            length: U16::new(u16::try_from(payload.len()).ok()?),
            device: U32::new(device),
        };
        let end = self.at + RECORD_HEADER_SIZE + payload.len().next_multiple_of(RECORD_HEADER_SIZE);
        if end > DESCRIPTOR_MAX {
            return None;
        }
        let record = self.out.get_mut(self.at..end)?;
        record.fill(0);
        let (head, rest) = record.split_at_mut_checked(RECORD_HEADER_SIZE)?;
        head.copy_from_slice(header.as_bytes());
        rest.get_mut(..payload.len())?.copy_from_slice(payload);
        self.last = Some((device, tag));
        self.at = end;
        self.count += 1;
        Some(())
    }

    /// Writes the header and returns the descriptor's length in bytes.
    pub fn finish(self) -> usize {
        let header = Header {
            version: U32::new(VERSION),
            count: U32::new(self.count),
            mft1_entries: U32::new(self.entries),
            reserved: U32::ZERO,
        };
        self.out[..HEADER_SIZE].copy_from_slice(header.as_bytes());
        self.at
    }
}
