//! The ABI note, ABI1: the target an image is linked for, and the version of that target's interface
//! (`docs/reference/notes.md#abi1`).

use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::offer::Features;
use crate::{Target, note};

/// Descriptor of the ABI note.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct Abi1 {
    target: U32,
    version: U32,
    features: U32,
    reserved: U32,
}

const _: () = assert!(size_of::<Abi1>() == Abi1::SIZE);

impl Abi1 {
    /// Length of the descriptor in bytes.
    pub const SIZE: usize = 16;
    /// Longest descriptor a reader accepts; bytes after the first [`Abi1::SIZE`] are ignored.
    pub const SIZE_MAX: usize = 32;
    /// Length of the whole note in bytes.
    pub const NOTE_SIZE: usize = note::size(note::OWNER_SOLO5, Abi1::SIZE);

    /// The descriptor for `version` of `target`'s interface.
    pub const fn new(target: Target, version: u32) -> Abi1 {
        Abi1 {
            target: U32::new(target.number()),
            version: U32::new(version),
            features: U32::ZERO,
            reserved: U32::ZERO,
        }
    }

    /// The same, for bindings that know `features`.
    #[must_use]
    pub const fn knowing(self, features: Features) -> Abi1 {
        Abi1 { features: U32::new(features.bits()), ..self }
    }

    /// Reads a descriptor; `None` unless its length is between [`Abi1::SIZE`] and
    /// [`Abi1::SIZE_MAX`]. The reserved word is ignored.
    pub fn parse(descriptor: &[u8]) -> Option<Abi1> {
        if descriptor.len() > Abi1::SIZE_MAX {
            return None;
        }
        Abi1::read_from_prefix(descriptor).ok().map(|(abi, _)| abi)
    }

    /// `abi_target` as stored, whether or not it is the number of a known target.
    pub fn target_number(&self) -> u32 {
        self.target.get()
    }

    /// The target; `None` if its number is unknown.
    pub fn target(&self) -> Option<Target> {
        Target::from_number(self.target.get())
    }

    /// The target's name as queries print it; `unknown` for an unknown number.
    pub fn target_name(&self) -> &'static str {
        self.target().map_or("unknown", Target::name)
    }

    /// `abi_version`.
    pub fn version(&self) -> u32 {
        self.version.get()
    }

    /// The features that the bindings know; none in images of older bindings.
    pub fn features(&self) -> Features {
        Features::from_bits(self.features.get())
    }

    /// The whole note, header and padding included.
    pub fn note(&self) -> [u8; Abi1::NOTE_SIZE] {
        let mut out = [0; Abi1::NOTE_SIZE];
        if let Some(descriptor) =
            note::frame(&mut out, note::OWNER_SOLO5, note::TYPE_ABI1, Abi1::SIZE)
        {
            descriptor.copy_from_slice(self.as_bytes());
        }
        out
    }
}
