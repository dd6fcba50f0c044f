//! A disk before it has a format: its size, and the parts that are not zero.

/// A disk. Everything outside its parts is zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    size: u64,
    /// Offset and content; in order, and apart from each other.
    parts: Vec<(u64, Vec<u8>)>,
}

impl Disk {
    /// A disk of `size` bytes with `parts`, which are in order, apart, and within the size; `None` if
    /// they are not.
    pub fn new(size: u64, parts: Vec<(u64, Vec<u8>)>) -> Option<Disk> {
        let mut end = 0;
        for (offset, bytes) in &parts {
            if *offset < end {
                return None;
            }
            end = offset.checked_add(u64::try_from(bytes.len()).ok()?)?;
        }
        (end <= size).then_some(Disk { size, parts })
    }

    /// Bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Offset and content of what is not zero.
    pub fn parts(&self) -> &[(u64, Vec<u8>)] {
        &self.parts
    }

    /// The same disk, with zeros appended up to the next multiple of `unit`. At most one unit is added.
    #[must_use]
    pub fn rounded_to(mut self, unit: u64) -> Disk {
        self.size = self.size.next_multiple_of(unit);
        self
    }

    /// The block of `size` bytes with number `index`; `None` if it is all zero. The last block of the
    /// disk is filled up with zeros.
    pub fn block(&self, index: u64, size: usize) -> Option<Vec<u8>> {
        let length = u64::try_from(size).ok()?;
        let from = index.checked_mul(length)?;
        let to = from.checked_add(length)?;
        let mut block = vec![0; size];
        for (offset, bytes) in &self.parts {
            let end = offset + u64::try_from(bytes.len()).ok()?;
            let (start, stop) = (from.max(*offset), to.min(end));
            if start < stop {
                let at = |base: u64, of: u64| usize::try_from(of - base).ok();
                let source = bytes.get(at(*offset, start)?..at(*offset, stop)?)?;
                block.get_mut(at(from, start)?..at(from, stop)?)?.copy_from_slice(source);
            }
        }
        block.iter().any(|byte| *byte != 0).then_some(block)
    }

    /// How many blocks of `size` bytes it has.
    pub fn blocks(&self, size: usize) -> u64 {
        self.size.div_ceil(size as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_show_the_parts_and_nothing_else() {
        let disk = Disk::new(40, vec![(3, vec![1; 2]), (15, vec![2; 10])]).unwrap();
        assert_eq!(disk.block(0, 8).unwrap(), [0, 0, 0, 1, 1, 0, 0, 0]);
        assert_eq!(disk.block(1, 8).unwrap(), [0, 0, 0, 0, 0, 0, 0, 2]);
        assert_eq!(disk.block(2, 8).unwrap(), [2; 8]);
        assert_eq!(disk.block(3, 8).unwrap(), [2, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(disk.block(4, 8), None);
        assert_eq!(disk.blocks(16), 3);
        assert_eq!(disk.rounded_to(64).size(), 64);
    }

    #[test]
    fn parts_that_overlap_or_reach_beyond_the_end_are_refused() {
        assert_eq!(Disk::new(9, vec![(0, vec![1; 4]), (3, vec![1])]), None);
        assert_eq!(Disk::new(3, vec![(0, vec![1; 4])]), None);
        assert_eq!(Disk::new(3, vec![(u64::MAX, vec![1; 4])]), None);
    }
}
