//! Payload and command line → a disk that a BIOS or UEFI boots (`docs/reference/disk-image.md#disk`).
//!
//! The boot sector, the loader and the system partition are made from `boot/` by `build.rs`; this file
//! fills in their parameters.

use std::ops::Range;

use crate::disk::Disk;
use crate::layout::{
    DISK_ID_AT, LOADER_CODE_SIZE, LOADER_LBA, LOADER_NAME, LOADER_NAME_AT, LOADER_SECTORS,
    LOADER_SIZE, PAYLOAD_LBA, SECTOR, SYSTEM_PARTITION_LBA, SYSTEM_PARTITION_SECTORS, VOLUME_ID_AT,
};
use crate::payload::Payload;

/// The boot sector's code.
pub const BOOT_SECTOR: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/sector.bin"));
/// The loader without parameters.
pub const LOADER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/loader.bin"));
/// The loader for UEFI, a PE file.
pub const UEFI_LOADER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/uefi.bin"));
/// The EFI system partition with that loader; zeros follow.
const SYSTEM_PARTITION: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/system-partition.bin"));

/// A disk's size is a multiple of this many bytes.
const SIZE_UNIT: u64 = 64 << 10;
/// Partition types "data without a file system" and "EFI system partition".
const DATA: u8 = 0xda;
const SYSTEM: u8 = 0xef;
/// First word of the command line: by convention the name of the kernel, which unikernels drop.
const KERNEL_NAME: &[u8] = b"unikernel.bin";
/// Most bytes of arguments: unikernels take no more.
pub const ARGUMENTS_MAX: usize = 8191;

/// Offsets in the loader of its parameters, as `boot/loader.S` lists them.
const CHECKSUM_AT: usize = 8;
const PARAMETERS_AT: usize = 12;

/// The disk that boots `payload` with `arguments`; `None` if those are longer than [`ARGUMENTS_MAX`].
pub fn disk(payload: &Payload, arguments: &[u8]) -> Option<Disk> {
    let sectors = u64::try_from(payload.content.len()).ok()?.div_ceil(SECTOR);
    let mut content = payload.content.clone();
    content.resize(usize::try_from(sectors * SECTOR).ok()?, 0);
    let (loader, id) = loader(payload, u32::try_from(sectors).ok()?, arguments)?;
    let start = PAYLOAD_LBA * SECTOR;
    let size = (start + sectors * SECTOR).next_multiple_of(SIZE_UNIT);
    let mut head = boot_sector(id, &(PAYLOAD_LBA..size / SECTOR))?.to_vec();
    head.extend(loader);
    let mut system = SYSTEM_PARTITION.to_vec();
    put(&mut system, VOLUME_ID_AT, &id.to_le_bytes())?;
    Disk::new(size, vec![(0, head), (SYSTEM_PARTITION_LBA * SECTOR, system), (start, content)])
}

/// The loader with its parameters, and the identifier of its disk.
fn loader(payload: &Payload, sectors: u32, arguments: &[u8]) -> Option<(Vec<u8>, u32)> {
    if arguments.len() > ARGUMENTS_MAX {
        return None;
    }
    let length = u32::try_from(payload.content.len()).ok()?;
    let crc = crc32fast::hash(&payload.content);
    let mut loader = LOADER.to_vec();
    loader.extend_from_slice(KERNEL_NAME);
    if !arguments.is_empty() {
        loader.push(b' ');
        loader.extend_from_slice(arguments);
    }
    // The rest is zero: the end of the command line.
    loader.resize(LOADER_SIZE, 0);

    let mut parameters = PAYLOAD_LBA.to_le_bytes().to_vec();
    let end = payload.load_address.checked_add(length)?;
    let words = [sectors, crc, payload.load_address, end, payload.bss_end, payload.entry];
    parameters.extend(words.into_iter().flat_map(u32::to_le_bytes));
    put(&mut loader, PARAMETERS_AT, &parameters)?;

    // Another payload or another command line is another disk.
    let id = crc32fast::hash(&loader).max(1);
    put(&mut loader, LOADER_NAME_AT + LOADER_NAME.len(), format!("{id:08x}").as_bytes())?;
    let sum = 0_u32.wrapping_sub(sum_of(&loader));
    put(&mut loader, CHECKSUM_AT, &sum.to_le_bytes())?;
    Some((loader, id))
}

/// The sum of the words of `bytes`.
fn sum_of(bytes: &[u8]) -> u32 {
    let words = bytes.chunks_exact(4).filter_map(|word| word.try_into().ok());
    words.map(u32::from_le_bytes).fold(0, u32::wrapping_add)
}

fn put(bytes: &mut [u8], at: usize, what: &[u8]) -> Option<()> {
    bytes.get_mut(at..at.checked_add(what.len())?)?.copy_from_slice(what);
    Some(())
}

/// The first sector: code, identifier, and a table with the two partitions. `data` is the active one.
fn boot_sector(id: u32, data: &Range<u64>) -> Option<[u8; SECTOR as usize]> {
    let mut sector = [0; SECTOR as usize];
    put(&mut sector, 0, BOOT_SECTOR)?;
    put(&mut sector, DISK_ID_AT, &id.to_le_bytes())?;
    let system = SYSTEM_PARTITION_LBA..SYSTEM_PARTITION_LBA + SYSTEM_PARTITION_SECTORS;
    put(&mut sector, 446, &partition(&system, SYSTEM, false)?)?;
    put(&mut sector, 462, &partition(data, DATA, true)?)?;
    put(&mut sector, 510, &[0x55, 0xaa])?;
    Some(sector)
}

/// An entry of the partition table.
fn partition(sectors: &Range<u64>, kind: u8, active: bool) -> Option<Vec<u8>> {
    // Cylinder, head and sector of an address beyond what they can express.
    const NOWHERE: [u8; 3] = [0xfe, 0xff, 0xff];
    let start = u32::try_from(sectors.start).ok()?;
    let length = u32::try_from(sectors.end.checked_sub(sectors.start)?).ok()?;
    let mut entry = vec![if active { 0x80 } else { 0 }];
    entry.extend(NOWHERE);
    entry.push(kind);
    entry.extend(NOWHERE);
    entry.extend(start.to_le_bytes());
    entry.extend(length.to_le_bytes());
    Some(entry)
}

// The loader follows the boot sector, and both have the sizes that they were assembled for.
const _: () = assert!(LOADER_LBA == 1 && LOADER_LBA + LOADER_SECTORS <= SYSTEM_PARTITION_LBA);
const _: () = assert!(SYSTEM_PARTITION.len() as u64 <= SYSTEM_PARTITION_SECTORS * SECTOR);
const _: () = assert!(BOOT_SECTOR.len() == DISK_ID_AT && LOADER.len() == LOADER_CODE_SIZE);
const _: () = assert!(LOADER_CODE_SIZE + KERNEL_NAME.len() + 1 + ARGUMENTS_MAX < LOADER_SIZE);

#[cfg(test)]
mod tests {
    use super::*;

    fn payload() -> Payload {
        let content = vec![7; 1000];
        Payload { content, load_address: 0x10_0000, bss_end: 0x10_2000, entry: 0x10_0010 }
    }

    #[test]
    fn parameters_are_where_the_loader_looks_for_them() {
        assert_eq!(LOADER[4..8], *b"SOL5");
        let name = &LOADER[LOADER_NAME_AT..LOADER_NAME_AT + LOADER_NAME.len() + 9];
        assert_eq!(name, format!("{LOADER_NAME}00000000\0").as_bytes());
        assert_eq!(LOADER[PARAMETERS_AT..LOADER_NAME_AT], [0; 32]);
    }

    #[test]
    fn the_loader_sums_to_zero_and_every_argument_counts() {
        let (one, id) = loader(&payload(), 2, b"a").unwrap();
        assert_eq!(sum_of(&one), 0);
        assert_eq!(one.len(), LOADER_SIZE);
        assert!(one[LOADER_CODE_SIZE..].starts_with(b"unikernel.bin a\0"));
        assert_ne!(loader(&payload(), 2, b"b").unwrap().1, id);
        assert!(loader(&payload(), 2, &[b'x'; ARGUMENTS_MAX]).is_some());
        assert!(loader(&payload(), 2, &[b'x'; ARGUMENTS_MAX + 1]).is_none());
    }

    #[test]
    fn the_partitions_hold_the_payload_and_the_loader_for_uefi() {
        let disk = disk(&payload(), b"").unwrap();
        assert_eq!(disk.size(), (1 << 20) + SIZE_UNIT);
        assert_eq!(disk.block(PAYLOAD_LBA, 512).unwrap(), [7; 512]);
        let system = disk.block(SYSTEM_PARTITION_LBA, 512).unwrap();
        assert_eq!(system[VOLUME_ID_AT - 1], 0x29, "there is an identifier");
        assert_eq!(system[VOLUME_ID_AT..VOLUME_ID_AT + 4], disk.block(0, 512).unwrap()[440..444]);
        assert_eq!(UEFI_LOADER[..2], *b"MZ");
        // Tar's sparse members consist of whole blocks.
        let ends: Vec<usize> = disk.parts().iter().map(|(_, bytes)| bytes.len() % 512).collect();
        assert_eq!(ends, [0, 0, 0]);
    }
}
