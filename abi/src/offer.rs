//! What a tender offers a guest beyond the interface of Solo5 0.12, and how the two find out
//! (`docs/reference/features.md`).
//!
//! The bindings say which features they know in the ABI note ([`Abi1::features`](crate::abi1)). The
//! manifest says which of them the unikernel needs ([`Mft2::needs`](crate::mft2::Mft2)). The tender
//! offers a feature by a bit in the manifest's first entry, whose 16 bytes of properties are an
//! [`Offer`]: it leads to the [`Record`] with the values. Old images and old tenders have zeros in
//! both places.

use core::fmt;

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// A feature that a tender can offer. A new one also needs a row in [`Feature::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// A stack of its own size, with a guard below it.
    Stack,
    /// Reads and writes of several sectors in one call.
    Transfers,
    /// `solo5_block_flush`.
    Flush,
    /// `solo5_seed`.
    Seed,
}

impl Feature {
    /// Every feature, in the order of bits.
    pub const ALL: [Feature; 4] =
        [Feature::Stack, Feature::Transfers, Feature::Flush, Feature::Seed];

    /// Its bit in a set.
    pub const fn bit(self) -> u32 {
        match self {
            Feature::Stack => 1,
            Feature::Transfers => 1 << 1,
            Feature::Flush => 1 << 2,
            Feature::Seed => 1 << 3,
        }
    }

    /// Its name in options, messages and output.
    pub const fn name(self) -> &'static str {
        match self {
            Feature::Stack => "stack",
            Feature::Transfers => "transfers",
            Feature::Flush => "flush",
            Feature::Seed => "seed",
        }
    }

    /// The feature called `name`.
    pub fn from_name(name: &str) -> Option<Feature> {
        Feature::ALL.into_iter().find(|feature| feature.name() == name)
    }
}

/// A set of features. It keeps bits that this version does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features(u32);

impl Features {
    /// No feature.
    pub const NONE: Features = Features(0);
    /// Every feature that this version knows.
    pub const ALL: Features = Features::of(&Feature::ALL);

    /// The set of these features.
    pub const fn of(features: &[Feature]) -> Features {
        let (mut bits, mut index) = (0, 0);
        while index < features.len() {
            bits |= features[index].bit();
            index += 1;
        }
        Features(bits)
    }

    /// The set as stored.
    pub const fn from_bits(bits: u32) -> Features {
        Features(bits)
    }

    /// The bits to store.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether `feature` is in the set.
    pub const fn has(self, feature: Feature) -> bool {
        self.0 & feature.bit() != 0
    }

    /// Whether the set is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// This set and `feature`.
    #[must_use]
    pub const fn with(self, feature: Feature) -> Features {
        Features(self.0 | feature.bit())
    }

    /// The features in both sets.
    #[must_use]
    pub const fn and(self, other: Features) -> Features {
        Features(self.0 & other.0)
    }

    /// The features in this set that are not in `other`.
    #[must_use]
    pub const fn without(self, other: Features) -> Features {
        Features(self.0 & !other.0)
    }

    /// The known features of the set.
    pub fn iter(self) -> impl Iterator<Item = Feature> {
        Feature::ALL.into_iter().filter(move |feature| self.has(*feature))
    }
}

/// Names with commas between them; unknown bits as one number; `none` for the empty set.
impl fmt::Display for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unknown = self.without(Features::ALL).0;
        if self.is_empty() {
            return f.write_str("none");
        }
        let mut separator = "";
        for feature in self.iter() {
            write!(f, "{separator}{}", feature.name())?;
            separator = ", ";
        }
        if unknown != 0 {
            write!(f, "{separator}{unknown:#x}")?;
        }
        Ok(())
    }
}

/// The properties of the manifest's first entry in a guest's copy.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
    Unaligned,
)]
#[repr(C)]
pub struct Offer {
    features: U32,
    length: U32,
    address: U64,
}

impl Offer {
    /// An offer of `features`, whose record of [`Record::SIZE`] bytes is at `address`.
    pub fn new(features: Features, address: u64) -> Offer {
        Offer {
            features: features.0.into(),
            length: (Record::SIZE as u32).into(),
            address: address.into(),
        }
    }

    /// What is offered. Nothing if the record is shorter than the first version's, because its values
    /// would be missing.
    pub fn features(&self) -> Features {
        if self.length.get() as usize >= Record::SIZE_MIN {
            Features(self.features.get())
        } else {
            Features::NONE
        }
    }

    /// Whether the record has [`Record::random`].
    pub fn has_random(&self) -> bool {
        self.length.get() as usize >= Record::SIZE && !self.features().is_empty()
    }

    /// The address of the record.
    pub fn address(&self) -> u64 {
        self.address.get()
    }
}

/// The values of an offer. A field of a feature has a meaning only if the feature is offered. Later
/// versions append fields.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
    Unaligned,
)]
#[repr(C)]
pub struct Record {
    /// [`Feature::Stack`]: where the heap ends and the guard begins.
    pub heap_end: U64,
    /// [`Feature::Transfers`]: most bytes in one transfer; a multiple of every sector size.
    pub transfer_max: U64,
    /// [`Feature::Seed`]: address of the page that begins with [`SEED_SIZE`] random bytes.
    pub seed: U64,
    /// Of no feature: random bits for the stack protector; 0 if the tender has none.
    pub random: U64,
}

impl Record {
    /// Size in bytes.
    pub const SIZE: usize = 32;
    /// Size in bytes of the first version, without [`Record::random`].
    pub const SIZE_MIN: usize = 24;

    /// No value.
    pub const NONE: Record =
        Record { heap_end: U64::ZERO, transfer_max: U64::ZERO, seed: U64::ZERO, random: U64::ZERO };
}

const _: () = {
    use core::mem::offset_of;
    assert!(size_of::<Offer>() == 16 && offset_of!(Offer, address) == 8);
    assert!(size_of::<Record>() == Record::SIZE);
    assert!(offset_of!(Record, transfer_max) == 8 && offset_of!(Record, seed) == 16);
    assert!(offset_of!(Record, random) == Record::SIZE_MIN);
};

/// Most bytes that this suite's tenders transfer in one call.
pub const TRANSFER_MAX: u64 = 1 << 20;

/// Random bytes in a seed.
pub const SEED_SIZE: usize = 32;

/// Address of the seed's page. It belongs to no other part of low memory on any target.
pub const SEED_PAGE: u64 = 0x1_f000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_has_the_fields_that_its_record_is_long_enough_for() {
        let offer =
            |features, length: u32| Offer { features, length: length.into(), address: 8.into() };
        let seed = Features::of(&[Feature::Seed]);
        for (length, features, random) in [
            (0, false, false),
            (23, false, false),
            (24, true, false),
            (31, true, false),
            (32, true, true),
        ] {
            let some = offer(seed.bits().into(), length);
            assert_eq!(
                (!some.features().is_empty(), some.has_random()),
                (features, random),
                "{length}"
            );
            assert!(!offer(0.into(), length).has_random(), "nothing is offered");
        }
        assert!(Offer::new(seed, 8).has_random() && !Offer::default().has_random());
    }
}
