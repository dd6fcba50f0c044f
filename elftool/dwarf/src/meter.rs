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

    /// gimli's own reader, which does not count.
    fn plain(bytes: &[u8]) -> EndianSlice<'_, LittleEndian> {
        EndianSlice::new(bytes, LittleEndian)
    }

    #[test]
    fn bytes_and_text_are_those_of_gimlis_own_reader() {
        let meter = Meter::new(1000);
        for bytes in [&b"a name\0rest"[..], b"\xff\xfe\0", b""] {
            let (ours, theirs) = (Metered::new(bytes, &meter), plain(bytes));
            assert_eq!(ours.len(), theirs.len());
            assert_eq!(ours.endian(), theirs.endian());
            assert_eq!(ours.to_slice(), Reader::to_slice(&theirs));
            assert_eq!(ours.to_string().ok(), Reader::to_string(&theirs).ok());
            assert_eq!(ours.to_string_lossy(), Reader::to_string_lossy(&theirs));
            assert_eq!(ours.find(0).ok(), Reader::find(&theirs, 0).ok());
        }
    }

    #[test]
    fn parts_know_where_they_are() {
        let meter = Meter::new(1000);
        let whole = Metered::new(&[1, 2, 3, 4, 5, 6], &meter);
        let mut rest = whole.clone();
        rest.skip(2).unwrap();
        assert_eq!(rest.offset_from(&whole), 2);
        assert_eq!(whole.lookup_offset_id(rest.offset_id()), Some(2));
        let mut part = rest.split(3).unwrap();
        assert_eq!((part.bytes(), rest.bytes()), (&[3, 4, 5][..], &[6][..]));
        part.truncate(2).unwrap();
        let mut read = [0; 2];
        part.read_slice(&mut read).unwrap();
        assert_eq!(read, [3, 4]);
        assert!(part.read_u8().is_err() && rest.skip(2).is_err());
        rest.empty();
        assert_eq!(rest.len(), 0);
    }

    #[test]
    fn no_offset_is_larger_than_a_section() {
        let meter = Meter::new(1000);
        let offset = |word: u64| {
            let bytes = word.to_le_bytes();
            Metered::new(&bytes, &meter).read_offset(Format::Dwarf64)
        };
        assert_eq!(offset(1 << 40), Ok(1 << 40));
        assert_eq!(offset(1 << 63), Err(Error::UnsupportedOffset));
    }

    #[test]
    fn text_is_cut_and_each_byte_of_it_counts() {
        let meter = Meter::new(10);
        let reader = Metered::new(b"a long name", &meter);
        assert_eq!(reader.text(6).as_deref(), Some("a long"));
        assert_eq!(meter.left(), 4);
        assert_eq!(reader.text(6), None);
        assert!(meter.fell_short());
    }
}
