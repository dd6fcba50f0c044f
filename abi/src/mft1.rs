//! The manifest note, MFT1: which devices a unikernel needs (`docs/reference/manifest.md#mft1`).
//!
//! The descriptor is 4 bytes of padding, a header of 8 bytes, then 1 to 64 entries of 104 bytes each.
//! A device's handle is the index of its entry. Entry 0 is reserved, so no device has handle 0.
//!
//! [`Mft1::parse`] checks the structure, as upstream's readers do. [`Mft1::check`] makes a loader's
//! further checks: valid names, known types, no duplicates, and nothing preset.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::note;
use crate::offer::Offer;

mod error;

pub use error::{Error, ErrorKind};

/// Version of the layout.
pub const VERSION: u32 = 1;
/// Padding in bytes before the header; the descriptor's length includes it.
pub const PADDING: usize = 4;
/// Size in bytes of the header.
pub const HEADER_SIZE: usize = 8;
/// Most entries, the reserved one included.
pub const ENTRIES_MAX: usize = 64;
/// Most devices.
pub const DEVICES_MAX: usize = ENTRIES_MAX - 1;
/// Size in bytes of the name field.
pub const NAME_SIZE: usize = 68;
/// Longest name in bytes.
pub const NAME_MAX: usize = NAME_SIZE - 1;
/// Type number of the reserved entry. Every higher number is reserved too.
pub const RESERVED_FIRST: u32 = 1 << 30;

/// Length in bytes of a manifest with `entries` entries, with its header, without the padding.
pub const fn size(entries: usize) -> usize {
    HEADER_SIZE + entries * Entry::SIZE
}

/// Length in bytes of the whole note of a manifest with `devices` devices.
pub const fn note_size(devices: usize) -> usize {
    note::size(note::OWNER_SOLO5, PADDING + size(devices + 1))
}

/// Longest descriptor in bytes.
pub const DESCRIPTOR_MAX: usize = PADDING + size(ENTRIES_MAX);

/// A device type that MFT1 has a number for. A new one also needs a row in [`DeviceType::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeviceType {
    /// A block device.
    BlockBasic,
    /// A network interface at layer 2.
    NetBasic,
}

impl DeviceType {
    /// Every device type.
    pub const ALL: [DeviceType; 2] = [DeviceType::BlockBasic, DeviceType::NetBasic];

    /// The number in an entry's `type` field.
    pub const fn number(self) -> u32 {
        match self {
            DeviceType::BlockBasic => 1,
            DeviceType::NetBasic => 2,
        }
    }

    /// The device type with this number.
    pub fn from_number(number: u32) -> Option<DeviceType> {
        DeviceType::ALL.into_iter().find(|kind| kind.number() == number)
    }

    /// The name in a manifest's source and in query output.
    pub const fn name(self) -> &'static str {
        match self {
            DeviceType::BlockBasic => "BLOCK_BASIC",
            DeviceType::NetBasic => "NET_BASIC",
        }
    }

    /// The device type called `name`.
    pub fn from_name(name: &str) -> Option<DeviceType> {
        DeviceType::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// Text form of an entry's type number in query output.
pub fn type_name(number: u32) -> &'static str {
    match DeviceType::from_number(number) {
        Some(kind) => kind.name(),
        None if number == RESERVED_FIRST => "RESERVED_FIRST",
        None => "<undefined type>",
    }
}

/// Properties of a block device, which the tender fills in. Lengths in bytes.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct Block {
    /// Capacity.
    pub capacity: U64,
    /// Size of a sector; every transfer is a multiple of it.
    pub block_size: U16,
    padding: [u8; 6],
}

impl Block {
    /// The properties of a block device; both arguments in bytes.
    pub const fn new(capacity: u64, block_size: u16) -> Block {
        Block { capacity: U64::new(capacity), block_size: U16::new(block_size), padding: [0; 6] }
    }
}

/// Properties of a network interface, which the tender fills in.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct Net {
    /// Ethernet address.
    pub mac: [u8; 6],
    /// Longest frame in bytes, without its Ethernet header.
    pub mtu: U16,
    padding: [u8; 8],
}

impl Net {
    /// The properties of a network interface.
    pub const fn new(mac: [u8; 6], mtu: u16) -> Net {
        Net { mac, mtu: U16::new(mtu), padding: [0; 8] }
    }
}

/// Whether the guest can flush a block device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// No: the manifest does not ask for it, or the tender does not offer it.
    Unavailable,
    /// Yes.
    Available,
    /// There is never anything to flush, because the device is read-only.
    Needless,
}

/// One entry as stored.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct Entry {
    name: [u8; NAME_SIZE],
    kind: U32,
    properties: [u8; 16],
    backend: [u8; 8],
    attached: u8,
    padding: [u8; 7],
}

const _: () = {
    use core::mem::offset_of;
    assert!(size_of::<Entry>() == Entry::SIZE);
    assert!(offset_of!(Entry, kind) == 68);
    assert!(offset_of!(Entry, properties) == 72);
    assert!(offset_of!(Entry, backend) == 88);
    assert!(offset_of!(Entry, attached) == 96);
    assert!(size_of::<Block>() == 16 && offset_of!(Block, block_size) == 8);
    assert!(size_of::<Net>() == 16 && offset_of!(Net, mtu) == 6);
    assert!(note_size(0) == 136 && note_size(63) == 6688 && DESCRIPTOR_MAX == 6668);
};

impl Entry {
    /// Size in bytes.
    pub const SIZE: usize = 104;

    /// The reserved entry 0.
    pub const RESERVED: Entry = Entry {
        name: [0; NAME_SIZE],
        kind: U32::new(RESERVED_FIRST),
        properties: [0; 16],
        backend: [0; 8],
        attached: 0,
        padding: [0; 7],
    };

    /// The entry of a device not yet attached; `None` if `name` is not valid ([`is_name`]).
    pub fn device(name: &str, kind: DeviceType) -> Option<Entry> {
        if !is_name(name.as_bytes()) {
            return None;
        }
        let mut entry = Entry::new_zeroed();
        entry.name.get_mut(..name.len())?.copy_from_slice(name.as_bytes());
        entry.kind = U32::new(kind.number());
        Some(entry)
    }

    /// The name up to its terminator, valid or not.
    pub fn name_bytes(&self) -> &[u8] {
        self.name.split(|byte| *byte == 0).next().unwrap_or_default()
    }

    /// Whether [`name_bytes`](Entry::name_bytes) is `name`. For bindings: a search for the terminator
    /// in an array becomes a kilobyte of code.
    pub fn has_name(&self, name: &[u8]) -> bool {
        self.name.split_at_checked(name.len()).is_some_and(|(start, rest)| {
            let ends = rest.first().is_none_or(|next| *next == 0);
            ends && start == name && name.iter().all(|byte| *byte != 0)
        })
    }

    /// Whether the name has more than `most` bytes. For bindings, as [`has_name`](Entry::has_name) is.
    pub fn name_is_longer(&self, most: usize) -> bool {
        self.name.get(most).is_some_and(|byte| *byte != 0)
    }

    /// The name if it is valid ([`is_name`]), else the empty string.
    pub fn name(&self) -> &str {
        match str::from_utf8(self.name_bytes()) {
            Ok(name) if is_name(name.as_bytes()) => name,
            _ => "",
        }
    }

    /// `type` as stored.
    pub fn kind_number(&self) -> u32 {
        self.kind.get()
    }

    /// The device type; `None` if its number is unknown.
    pub fn kind(&self) -> Option<DeviceType> {
        DeviceType::from_number(self.kind.get())
    }

    /// Whether the type number is reserved, so that the entry is not a device.
    pub fn is_reserved(&self) -> bool {
        self.kind.get() >= RESERVED_FIRST
    }

    /// The properties, read as a block device's.
    pub fn block(&self) -> Block {
        zerocopy::transmute!(self.properties)
    }

    /// The properties, read as a network interface's.
    pub fn net(&self) -> Net {
        zerocopy::transmute!(self.properties)
    }

    /// The properties of the first entry, read as what the tender offers.
    pub fn offer(&self) -> Offer {
        zerocopy::transmute!(self.properties)
    }

    /// Writes an offer into the first entry.
    pub fn set_offer(&mut self, offer: Offer) {
        self.properties = zerocopy::transmute!(offer);
    }

    /// The host's file descriptor for the device.
    pub fn host_fd(&self) -> i32 {
        let [a, b, c, d, ..] = self.backend;
        i32::from_le_bytes([a, b, c, d])
    }

    /// Whether a tender has attached the device.
    pub fn is_attached(&self) -> bool {
        self.attached != 0
    }

    /// Marks a block device as attached to `host_fd`.
    pub fn attach_block(&mut self, block: Block, host_fd: i32) {
        self.properties = zerocopy::transmute!(block);
        self.attach(host_fd);
    }

    /// Marks a network interface as attached to `host_fd`.
    pub fn attach_net(&mut self, net: Net, host_fd: i32) {
        self.properties = zerocopy::transmute!(net);
        self.attach(host_fd);
    }

    /// Permits the guest to remove the device from the epoll set that it waits on. The flag uses a
    /// byte that used to be padding, so older tenders leave it 0.
    pub fn allow_forgetting(&mut self) {
        let [first, ..] = &mut self.padding;
        *first = 1;
    }

    /// Whether the guest may remove the device from the epoll set that it waits on.
    pub fn may_forget(&self) -> bool {
        matches!(self.padding, [1, ..])
    }

    /// Tells the guest whether it can flush the block device. The value is in a byte that used to be
    /// padding, so older tenders leave it 0, which is [`Flush::Unavailable`].
    pub fn set_flush(&mut self, flush: Flush) {
        let [first, ..] = &mut self.padding;
        *first = match flush {
            Flush::Unavailable => 0,
            Flush::Available => 1,
            Flush::Needless => 2,
        };
    }

    /// Whether the guest can flush the block device.
    pub fn flush(&self) -> Flush {
        match self.padding {
            [1, ..] => Flush::Available,
            [2, ..] => Flush::Needless,
            _ => Flush::Unavailable,
        }
    }

    /// Clears the host's file descriptor. A guest that makes no system calls has no use for it.
    pub fn hide_host_fd(&mut self) {
        self.backend = [0; 8];
    }

    fn attach(&mut self, host_fd: i32) {
        self.backend = [0; 8];
        if let Some(low) = self.backend.first_chunk_mut() {
            *low = host_fd.to_le_bytes();
        }
        self.attached = 1;
    }
}

/// Whether `name` is a valid device name: 1 to [`NAME_MAX`] characters `A-Z a-z 0-9`.
pub fn is_name(name: &[u8]) -> bool {
    (1..=NAME_MAX).contains(&name.len()) && name.iter().all(u8::is_ascii_alphanumeric)
}

/// A borrowed view of a manifest whose structure has been checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mft1<'a> {
    entries: &'a [Entry],
}

impl<'a> Mft1<'a> {
    /// Reads a note's descriptor, [`PADDING`] included, and checks the structure that every reader
    /// checks (`docs/reference/manifest.md#mft1-structure`).
    pub fn parse(descriptor: &'a [u8]) -> Result<Mft1<'a>, Error> {
        let fault = |offset, kind| Error { kind, offset };
        let manifest = descriptor.get(PADDING..).ok_or(fault(0, ErrorKind::Short))?;
        let ([version, count], entries) = <[U32; 2]>::read_from_prefix(manifest)
            .map(|(header, rest)| (header.map(U32::get), rest))
            .map_err(|_| fault(0, ErrorKind::Short))?;
        if version != VERSION {
            return Err(fault(PADDING, ErrorKind::Version(version)));
        }
        if count < 1 || count as usize > ENTRIES_MAX {
            return Err(fault(PADDING + 4, ErrorKind::Entries(count)));
        }
        let size_fault = fault(PADDING + 4, ErrorKind::Size);
        let entries = <[Entry]>::ref_from_bytes(entries).map_err(|_| size_fault)?;
        if entries.len() != count as usize {
            return Err(size_fault);
        }
        for (index, entry) in entries.iter().enumerate() {
            if index == 0 && (entry.kind_number() != RESERVED_FIRST || entry.name[0] != 0) {
                return Err(Error::in_entry(0, 0, ErrorKind::NotReserved));
            }
            if entry.name[NAME_MAX] != 0 {
                return Err(Error::in_entry(index, NAME_MAX, ErrorKind::NameUnterminated));
            }
            if entry.attached != 0 {
                return Err(Error::in_entry(index, 96, ErrorKind::Attached));
            }
        }
        Ok(Mft1 { entries })
    }

    /// Makes a loader's checks beyond structure (`docs/reference/manifest.md#mft1-check`).
    pub fn check(&self) -> Result<(), Error> {
        for (index, entry) in self.entries.iter().enumerate() {
            if entry.properties != [0; 16] || entry.backend != [0; 8] || entry.padding != [0; 7] {
                return Err(Error::in_entry(index, 72, ErrorKind::Preset));
            }
            if index == 0 {
                continue;
            }
            if entry.kind().is_none() {
                return Err(Error::in_entry(index, 68, ErrorKind::Type(entry.kind_number())));
            }
            if entry.name().is_empty() {
                return Err(Error::in_entry(index, 0, ErrorKind::Name));
            }
            let earlier = &self.entries[..index];
            if earlier.iter().any(|other| other.kind == entry.kind && other.name() == entry.name())
            {
                return Err(Error::in_entry(index, 0, ErrorKind::Duplicate));
            }
        }
        Ok(())
    }

    /// Every entry; the first is the reserved one.
    pub fn entries(&self) -> &'a [Entry] {
        self.entries
    }

    /// The devices with their indices; reserved entries are left out.
    pub fn devices(&self) -> impl Iterator<Item = (usize, &'a Entry)> + use<'a> {
        self.entries.iter().enumerate().filter(|(_, entry)| !entry.is_reserved())
    }

    /// The first device of this name and type, with its index.
    pub fn find(&self, name: &str, kind: DeviceType) -> Option<(usize, &'a Entry)> {
        self.devices()
            .find(|(_, entry)| entry.kind() == Some(kind) && entry.name_bytes() == name.as_bytes())
    }
}

/// The header of a manifest with `entries` entries.
pub fn header(entries: usize) -> [u8; HEADER_SIZE] {
    let header: [U32; 2] = [U32::new(VERSION), U32::new(entries as u32)];
    zerocopy::transmute!(header)
}

/// Writes the whole note of a manifest into `out`. `None` if there are more than [`DEVICES_MAX`]
/// devices, a name is not valid ([`is_name`]), or `out` is not exactly [`note_size`] long.
pub fn encode<'d>(
    devices: impl ExactSizeIterator<Item = (&'d str, DeviceType)>,
    out: &mut [u8],
) -> Option<()> {
    let entries = devices.len().checked_add(1).filter(|entries| *entries <= ENTRIES_MAX)?;
    let length = PADDING + size(entries);
    let descriptor = note::frame(out, note::OWNER_SOLO5, note::TYPE_MFT1, length)?;
    let (head, rest) = descriptor.get_mut(PADDING..)?.split_at_mut_checked(HEADER_SIZE)?;
    head.copy_from_slice(&header(entries));
    let (reserved, rest) = rest.split_at_mut_checked(Entry::SIZE)?;
    reserved.copy_from_slice(Entry::RESERVED.as_bytes());
    for (slot, (name, kind)) in rest.chunks_exact_mut(Entry::SIZE).zip(devices) {
        slot.copy_from_slice(Entry::device(name, kind)?.as_bytes());
    }
    Some(())
}
