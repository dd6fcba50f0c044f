//! Unikernel → the raw form that loaders of Linux kernels take on aarch64
//! (`docs/reference/disk-image.md#kernel`).
//!
//! It is the memory of the image from its first byte on, with the header of such a kernel where the ELF header
//! is. Nothing else is changed: the linker script leaves that room, and the bindings' entry takes the address of
//! the device tree as such a kernel does.

use std::fmt;

use solo5_abi::{Arch, Target};
use solo5_image::{Image, ImageError};

/// Size in bytes of the header.
const HEADER: usize = 64;
/// `b`, whose low 26 bits are the distance in words.
const BRANCH: u32 = 0x1400_0000;
const BRANCH_MAX: u64 = 1 << 27;
/// Little-endian, pages of 4 KiB, at the beginning of memory.
const FLAGS: u64 = 1 << 1;
const MAGIC: &[u8; 4] = b"ARM\x64";
/// Largest kernel in bytes.
const SIZE_MAX: u64 = 1 << 30;

/// Why a unikernel has no raw form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KernelError {
    /// Its load plan has an error.
    Image(ImageError),
    /// There is no room for the header: its first segment does not begin with the ELF header.
    NoRoom,
    /// Its entry is too far away, or it is larger than a gibibyte.
    Size,
}

impl fmt::Display for KernelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KernelError::Image(error) => write!(f, "{}", error.explained()),
            KernelError::NoRoom => {
                f.write_str("its first segment does not begin with the ELF header")
            }
            KernelError::Size => {
                f.write_str("it is larger than 1 GiB, or its entry is too far from its start")
            }
        }
    }
}

/// The raw form of a virtio unikernel for aarch64.
///
/// # Errors
///
/// It has none.
pub fn of(file: &[u8], image: &Image) -> Result<Vec<u8>, KernelError> {
    let plan = image.plan(file, Target::Virtio).map_err(KernelError::Image)?;
    let base = plan.base;
    let filled: Vec<_> = plan.segments.iter().filter(|segment| !segment.file.is_empty()).collect();
    let begins = |first: &&&solo5_image::LoadSegment| {
        first.address == base && first.file.start == 0 && first.file.end >= HEADER as u64
    };
    filled.first().filter(begins).ok_or(KernelError::NoRoom)?;
    let end = plan.segments.iter().map(|segment| segment.pages.end).max().unwrap_or(base);
    let (size, distance) = (end - base, plan.entry - base);
    if size > SIZE_MAX || distance >= BRANCH_MAX || distance < HEADER as u64 || distance % 4 != 0 {
        return Err(KernelError::Size);
    }
    let mut content = Vec::new();
    for segment in filled {
        // Segments are in ascending order, none is below the base, and none ends behind `end`.
        let at = (segment.address - base) as usize;
        let (start, end) = (segment.file.start as usize, segment.file.end as usize);
        let bytes = file.get(start..end).ok_or(KernelError::NoRoom)?;
        content.resize(at, 0);
        content.extend_from_slice(bytes);
    }
    let offset = base - Target::Virtio.memory_start(Arch::Aarch64);
    let mut header = Vec::with_capacity(HEADER);
    header.extend((BRANCH | (distance / 4) as u32).to_le_bytes());
    header.extend([0; 4]);
    header.extend([offset, size, FLAGS, 0, 0, 0].iter().flat_map(|word| word.to_le_bytes()));
    header.extend(MAGIC);
    header.extend([0; 4]);
    if let Some(slots) = content.get_mut(..HEADER) {
        slots.copy_from_slice(&header);
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use solo5_image::testing::Sample;

    use super::*;

    #[test]
    fn an_image_without_room_for_the_header_has_no_raw_form() {
        let file = Sample::new(Target::Virtio, Arch::Aarch64, &[]).bytes();
        let image = Image::read(&file[..], &Arch::ALL).unwrap();
        assert_eq!(of(&file, &image), Err(KernelError::NoRoom));
    }
}
