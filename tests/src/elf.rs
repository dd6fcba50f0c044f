//! Just enough of ELF to damage an image on purpose, and to find the parts that a test needs.
//!
//! Fields are written by offset, straight from the ELF-64 specification, and not through the
//! suite's own reader: a test that used it could not disagree with it.

use crate::outcome::Outcome;

/// Type of an unused program header.
pub const PT_NULL: u32 = 0;
/// Type of a segment that is loaded.
pub const PT_LOAD: u32 = 1;
/// Type of a segment of notes.
pub const PT_NOTE: u32 = 4;
/// A segment's flag: executable.
pub const PF_X: u64 = 1;
/// A segment's flag: readable.
pub const PF_R: u64 = 4;

/// Offsets in the file header.
pub const E_ENTRY: usize = 24;
const E_PHOFF: usize = 32;
const E_PHNUM: usize = 56;
const PROGRAM_HEADER: usize = 56;

/// A field of a program header: offset and size in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Field(usize, usize);

/// `p_type`
pub const P_TYPE: Field = Field(0, 4);
/// `p_flags`
pub const P_FLAGS: Field = Field(4, 4);
/// `p_offset`
pub const P_OFFSET: Field = Field(8, 8);
/// `p_vaddr`
pub const P_VADDR: Field = Field(16, 8);
/// `p_filesz`
pub const P_FILESZ: Field = Field(32, 8);
/// `p_memsz`
pub const P_MEMSZ: Field = Field(40, 8);
/// `p_align`
pub const P_ALIGN: Field = Field(48, 8);

/// The bytes of a sound ELF-64 file, to be changed.
#[derive(Clone, Debug)]
pub struct Image(pub Vec<u8>);

impl Image {
    /// Reads a little-endian number of `size` bytes.
    ///
    /// # Errors
    /// It is outside the file.
    pub fn get(&self, at: usize, size: usize) -> Outcome<u64> {
        let bytes = self.0.get(at..at + size).ok_or("outside the image")?;
        Ok(bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    /// Writes a little-endian number of `size` bytes.
    ///
    /// # Errors
    /// It is outside the file.
    pub fn set(&mut self, at: usize, size: usize, value: u64) -> Outcome {
        let bytes = self.0.get_mut(at..at + size).ok_or("outside the image")?;
        bytes.iter_mut().zip(value.to_le_bytes()).for_each(|(byte, new)| *byte = new);
        Ok(())
    }

    /// How many program headers there are.
    ///
    /// # Errors
    /// The file is too short.
    pub fn program_headers(&self) -> Outcome<usize> {
        Ok(self.get(E_PHNUM, 2)? as usize)
    }

    /// A field of a program header.
    ///
    /// # Errors
    /// There is no such header.
    pub fn field(&self, header: usize, field: Field) -> Outcome<u64> {
        self.get(self.place(header, field)?, field.1)
    }

    /// Changes a field of a program header.
    ///
    /// # Errors
    /// There is no such header.
    pub fn set_field(&mut self, header: usize, field: Field, value: u64) -> Outcome {
        self.set(self.place(header, field)?, field.1, value)
    }

    fn place(&self, header: usize, field: Field) -> Outcome<usize> {
        Ok(self.get(E_PHOFF, 8)? as usize + header * PROGRAM_HEADER + field.0)
    }

    /// The indices of the program headers of a type.
    ///
    /// # Errors
    /// The file is too short.
    pub fn headers_of(&self, wanted: u32) -> Outcome<Vec<usize>> {
        let mut found = Vec::new();
        for header in 0..self.program_headers()? {
            if self.field(header, P_TYPE)? == u64::from(wanted) {
                found.push(header);
            }
        }
        Ok(found)
    }

    /// The least guest memory in MiB that the image can be run with: its segments, a little heap and
    /// stack above them, in whole pages of 2 MiB.
    ///
    /// # Errors
    /// The file is too short, or a segment reaches past the end of all addresses.
    pub fn least_memory(&self) -> Outcome<u64> {
        /// For heap and stack, in bytes.
        const ROOM: u64 = 256 << 10;
        let mut end = ROOM;
        for segment in self.headers_of(PT_LOAD)? {
            let start = self.field(segment, P_VADDR)?.checked_add(ROOM);
            let past =
                start.and_then(|start| start.checked_add(self.field(segment, P_MEMSZ).ok()?));
            end = end.max(past.ok_or("a segment without an end")?);
        }
        Ok(end.div_ceil(2 << 20) * 2)
    }

    /// Where the first note of owner `Solo5` and this type begins.
    ///
    /// # Errors
    /// There is none at the start of a PT_NOTE.
    pub fn note(&self, kind: u32) -> Outcome<usize> {
        for header in self.headers_of(PT_NOTE)? {
            let at = self.field(header, P_OFFSET)? as usize;
            if self.field(header, P_FILESZ)? >= 20
                && self.get(at + 8, 4)? == u64::from(kind)
                && self.0.get(at + 12..at + 18) == Some(&b"Solo5\0"[..])
            {
                return Ok(at);
            }
        }
        Err(format!("no note of type {kind:#x}").into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_gets_memory_for_its_last_segment_and_a_stack() {
        let mut image = Image(vec![0; 64 + 2 * PROGRAM_HEADER]);
        image.set(E_PHOFF, 8, 64).expect("a field");
        image.set(E_PHNUM, 2, 2).expect("a field");
        for (header, start, size) in [(0, 1 << 20, 0x1000), (1, 0x10_1000, 0x1000)] {
            image.set_field(header, P_TYPE, PT_LOAD.into()).expect("a field");
            image.set_field(header, P_VADDR, start).expect("a field");
            image.set_field(header, P_MEMSZ, size).expect("a field");
        }
        assert_eq!(image.least_memory().expect("an end"), 2);
        image.set_field(1, P_MEMSZ, 0xff000).expect("a field");
        assert_eq!(image.least_memory().expect("an end"), 4, "a stack needs room too");
        image.set_field(1, P_MEMSZ, u64::MAX).expect("a field");
        assert!(image.least_memory().is_err());
    }
}
