//! Extended numbering: section 0 holds numbers that do not fit into the file header.

use zerocopy::FromBytes;

use crate::elf::{self, FileHeader, RawSectionHeader, SectionHeader};
use crate::read::{ReadAt, ReadError, read_vec};

/// Section 0; `None` if the file has no section headers, or ends before the first.
pub(crate) fn section_0<R: ReadAt + ?Sized>(
    reader: &R,
    header: &FileHeader,
) -> Result<Option<SectionHeader>, ReadError> {
    if header.e_shoff == 0 || usize::from(header.e_shentsize) != elf::SECTION_HEADER_SIZE {
        return Ok(None);
    }
    let bytes = read_vec(reader, header.e_shoff, elf::SECTION_HEADER_SIZE)?;
    Ok(RawSectionHeader::ref_from_bytes(&bytes).ok().map(SectionHeader::decode))
}

/// The number of program headers.
///
/// # Errors
///
/// The number is in section 0, and reading section 0 fails.
pub fn program_headers<R: ReadAt + ?Sized>(
    reader: &R,
    header: &FileHeader,
) -> Result<u32, ReadError> {
    let first = match header.e_phnum {
        elf::PN_XNUM => section_0(reader, header)?,
        _ => None,
    };
    let extended = first.map(|first| first.sh_info).filter(|count| *count != 0);
    Ok(extended.unwrap_or(header.e_phnum.into()))
}
