//! What the guest is offered beyond the interface of Solo5 0.12 (`docs/reference/features.md`).

use std::ops::Range;

use rustix::rand::GetRandomFlags;
use solo5_abi::mft1::Entry;
use solo5_abi::offer::{Feature, Features, Offer, Record, SEED_PAGE, SEED_SIZE, TRANSFER_MAX};
use zerocopy::{FromBytes, IntoBytes};

use crate::error::Error;
use crate::memory::GuestMemory;
use crate::sys::Errno;

/// Most bytes that [`append`] adds.
pub const SPACE: usize = 7 + Record::SIZE;

/// What a guest is offered, with the values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offered {
    /// The features.
    pub features: Features,
    /// Their values.
    pub record: Record,
}

impl Offered {
    /// Nothing, as by tenders that are older than offers.
    pub const NOTHING: Offered = Offered { features: Features::NONE, record: Record::NONE };

    /// `features`, with the end of the heap below `guard`, random bits, and the values that are the same
    /// for every guest.
    pub fn of(features: Features, guard: Option<&Range<u64>>) -> Offered {
        let heap_end = guard.map_or(0, |guard| guard.start);
        let random = random().unwrap_or_default().into();
        let mut record = Record { heap_end: heap_end.into(), random, ..Record::default() };
        if features.has(Feature::Transfers) {
            record.transfer_max = TRANSFER_MAX.into();
        }
        Offered { features, record }
    }
}

/// Random bits of the host; none if it has none yet.
fn random() -> Option<u64> {
    let mut bytes = [0; size_of::<u64>()];
    let got = rustix::rand::getrandom(&mut bytes, GetRandomFlags::NONBLOCK).ok()?;
    (got == bytes.len()).then(|| u64::from_ne_bytes(bytes))
}

/// Puts a new seed at the start of its page, if one is offered, and its address into the record.
/// The host's kernel writes it, so the tender has no copy.
pub fn seed(memory: &GuestMemory, offered: &mut Offered) -> Result<(), Error> {
    if !offered.features.has(Feature::Seed) {
        return Ok(());
    }
    let random = memory.randomize(SEED_PAGE, SEED_SIZE).unwrap_or(Err(Errno::FAULT));
    random.map_err(|error| Error::Host { what: "getrandom()", error })?;
    offered.record.seed = SEED_PAGE.into();
    Ok(())
}

/// Appends the record to low memory that begins at the guest address `base`, and leads to it from
/// the manifest's first entry, at `manifest` in `low`. An empty offer changes nothing.
pub fn append(low: &mut Vec<u8>, base: u64, manifest: usize, offered: Offered) {
    if offered.features.is_empty() {
        return;
    }
    low.resize(low.len().next_multiple_of(8), 0);
    let at = base + low.len() as u64;
    low.extend_from_slice(offered.record.as_bytes());
    let entry = low.get_mut(manifest..).and_then(|rest| Entry::mut_from_prefix(rest).ok());
    if let Some((entry, _)) = entry {
        entry.set_offer(Offer::new(offered.features, at));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_record_has_other_random_bits() {
        let random = || Offered::of(Features::NONE, None).record.random;
        assert_ne!(random(), random());
    }

    #[test]
    fn the_first_entry_leads_to_the_record() {
        let mut low = vec![0xaa; 3];
        low.extend_from_slice(Entry::RESERVED.as_bytes());
        let before = low.clone();
        append(&mut low, 0x1000, 3, Offered::NOTHING);
        assert_eq!(low, before);
        let record = Record { heap_end: 0x12_3000.into(), ..Record::default() };
        let features = Features::of(&[Feature::Stack]);
        append(&mut low, 0x1000, 3, Offered { features, record });
        let (entry, _) = Entry::read_from_prefix(&low[3..]).unwrap();
        assert_eq!(entry.offer().features(), features);
        let at = (entry.offer().address() - 0x1000) as usize;
        assert_eq!(at % 8, 0);
        assert_eq!(&low[at..], record.as_bytes());
    }
}
