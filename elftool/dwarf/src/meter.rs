//! A reader that counts. gimli reads every byte through it, so its limit bounds all of gimli's work.

use std::borrow::Cow;
use std::cell::Cell;

use gimli::{EndianSlice, Error, Format, LittleEndian, Reader, ReaderOffsetId};

/// Work left, in reads.
#[derive(Debug)]
pub(crate) struct Meter {
    left: Cell<u64>,
    short: Cell<bool>,
}

impl Meter {
    pub(crate) fn new(reads: u64) -> Meter {
        Meter { left: Cell::new(reads), short: Cell::new(false) }
    }

    /// Whether the limit stopped any work.
    pub(crate) fn fell_short(&self) -> bool {
        self.short.get()
    }

    /// Records that the limit stopped work.
    pub(crate) fn fall_short(&self) {
        self.short.set(true);
    }

    /// How much is left.
    #[cfg(test)]
    pub(crate) fn left(&self) -> u64 {
        self.left.get()
    }

    /// Takes `count` reads from what is left; `None` if fewer are left.
    pub(crate) fn charge(&self, count: u64) -> Option<()> {
        let left = self.left.get().checked_sub(count);
        self.left.set(left.unwrap_or(0));
        if left.is_none() {
            self.fall_short();
        }
        left.map(drop)
    }

    /// Runs `work` with at most `most` reads.
    pub(crate) fn within<T>(&self, most: u64, work: impl FnOnce() -> T) -> T {
        let before = self.left.get();
        let granted = before.min(most);
        self.left.set(granted);
        let result = work();
        // The count only falls, so this is what `work` used.
        let used = granted.saturating_sub(self.left.get());
        self.left.set(before.saturating_sub(used));
        result
    }
}

/// Bytes of a section, little-endian as every machine of Solo5 is.
#[derive(Clone, Debug)]
pub(crate) struct Metered<'a> {
    bytes: EndianSlice<'a, LittleEndian>,
    meter: &'a Meter,
}

impl<'a> Metered<'a> {
    pub(crate) fn new(bytes: &'a [u8], meter: &'a Meter) -> Metered<'a> {
        let bytes = EndianSlice::new(bytes, LittleEndian);
        Metered { bytes, meter }
    }

    /// The unread bytes as text, at most `most` of them. Callers keep text in memory, so each byte
    /// is charged.
    pub(crate) fn text(&self, most: usize) -> Option<String> {
        let bytes = self.bytes();
        let text = String::from_utf8_lossy(bytes.get(..most).unwrap_or(bytes));
        self.meter.charge(text.len() as u64)?;
        Some(text.into_owned())
    }

    /// The unread bytes.
    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.bytes.slice()
    }

    fn charge(&self, count: u64) -> Result<(), Error> {
        let end = Error::UnexpectedEof(self.bytes.offset_id());
        self.meter.charge(count).ok_or(end)
    }
}

impl Reader for Metered<'_> {
    type Endian = LittleEndian;
    type Offset = usize;

    fn endian(&self) -> LittleEndian {
        LittleEndian
    }

    fn len(&self) -> usize {
        self.bytes.len()
    }

    fn empty(&mut self) {
        self.bytes.empty();
    }

    fn truncate(&mut self, length: usize) -> Result<(), Error> {
        self.charge(1)?;
        self.bytes.truncate(length)
    }

    fn offset_from(&self, base: &Self) -> usize {
        self.bytes.offset_from(base.bytes)
    }

    fn offset_id(&self) -> ReaderOffsetId {
        self.bytes.offset_id()
    }

    fn lookup_offset_id(&self, id: ReaderOffsetId) -> Option<usize> {
        self.bytes.lookup_offset_id(id)
    }

    fn find(&self, byte: u8) -> Result<usize, Error> {
        let found = Reader::find(&self.bytes, byte);
        let looked_at = found.as_ref().map_or(self.bytes.len(), |at| *at);
        self.charge(1 + looked_at as u64 / 16)?;
        found
    }

    fn skip(&mut self, length: usize) -> Result<(), Error> {
        self.charge(1)?;
        self.bytes.skip(length)
    }

    fn split(&mut self, length: usize) -> Result<Self, Error> {
        self.charge(1)?;
        let bytes = self.bytes.split(length)?;
        Ok(Metered { bytes, ..*self })
    }

    fn to_slice(&self) -> Result<Cow<'_, [u8]>, Error> {
        Reader::to_slice(&self.bytes)
    }

    fn to_string(&self) -> Result<Cow<'_, str>, Error> {
        Reader::to_string(&self.bytes)
    }

    fn to_string_lossy(&self) -> Result<Cow<'_, str>, Error> {
        Ok(self.bytes.to_string_lossy())
    }

    fn read_slice(&mut self, out: &mut [u8]) -> Result<(), Error> {
        self.charge(1)?;
        self.bytes.read_slice(out)
    }

    fn read_u8(&mut self) -> Result<u8, Error> {
        self.charge(1)?;
        self.bytes.read_u8()
    }

    /// gimli adds offsets unchecked, so none may be larger than a section can be.
    fn read_offset(&mut self, format: Format) -> Result<usize, Error> {
        let offset = self.read_word(format)?;
        isize::try_from(offset).map_err(|_| Error::UnsupportedOffset)?;
        Ok(offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_ends_when_the_meter_does() {
        let meter = Meter::new(5);
        let mut reader = Metered::new(&[0; 100], &meter);
        let read = std::iter::from_fn(|| reader.read_u8().ok()).count();
        assert_eq!(read, 5);
        assert!(reader.read_u16().is_err() && reader.split(1).is_err());
    }

    #[test]
    fn a_part_of_the_work_has_its_own_limit() {
        let meter = Meter::new(10);
        assert!(!meter.fell_short());
        assert_eq!(meter.within(3, || meter.charge(4)), None);
        assert!(meter.fell_short());
        assert_eq!(meter.charge(7), Some(()));
        assert_eq!(meter.charge(1), None);
    }
}
