//! What can be wrong with a manifest.

use core::fmt;

use super::{ENTRIES_MAX, Entry, HEADER_SIZE, NAME_MAX, PADDING, size};

/// What is wrong with a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The descriptor is shorter than its padding and header.
    Short,
    /// The version is not 1.
    Version(u32),
    /// The number of entries is 0 or above 64.
    Entries(u32),
    /// The length does not match the number of entries.
    Size,
    /// Entry 0 is not the reserved entry.
    NotReserved,
    /// A name has no terminator.
    NameUnterminated,
    /// An entry is marked as attached.
    Attached,
    /// A device's name is empty, too long, or not only letters and digits.
    Name,
    /// A device's type is not known.
    Type(u32),
    /// A device has the name and type of an earlier one.
    Duplicate,
    /// A property, the backend or padding is not zero.
    Preset,
}

/// The first error in a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error {
    /// What is wrong.
    pub kind: ErrorKind,
    /// Offset in bytes in the descriptor, counted from its padding.
    pub offset: usize,
}

impl Error {
    pub(super) fn in_entry(index: usize, field: usize, kind: ErrorKind) -> Error {
        Error { kind, offset: PADDING + size(index) + field }
    }

    /// Index of the entry with the error; `None` if the error is in the header.
    pub fn entry(&self) -> Option<usize> {
        Some(self.offset.checked_sub(PADDING + HEADER_SIZE)? / Entry::SIZE)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            ErrorKind::Short => write!(f, "the manifest is too short for its header"),
            ErrorKind::Version(version) => write!(f, "manifest version {version}, expected 1"),
            ErrorKind::Entries(entries) => {
                write!(f, "{entries} manifest entries, expected 1 to {ENTRIES_MAX}")
            }
            ErrorKind::Size => {
                write!(f, "the manifest's length does not match its number of entries")
            }
            ErrorKind::NotReserved => write!(f, "manifest entry 0 is not the reserved entry"),
            kind => {
                write!(f, "manifest entry {}: ", self.entry().unwrap_or_default())?;
                match kind {
                    ErrorKind::NameUnterminated => write!(f, "the name has no terminator"),
                    ErrorKind::Attached => write!(f, "marked as attached"),
                    ErrorKind::Name => {
                        write!(f, "the name is not 1 to {NAME_MAX} letters and digits")
                    }
                    ErrorKind::Type(number) => write!(f, "unknown device type {number:#x}"),
                    ErrorKind::Duplicate => write!(f, "an earlier device has its name and type"),
                    _ => write!(f, "a field that only a tender may fill in is not zero"),
                }
            }
        }
    }
}

impl core::error::Error for Error {}
