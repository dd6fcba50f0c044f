//! Payload and command line → a disk that a BIOS boots (`docs/reference/disk-image.md#disk`).
//!
//! The boot sector and the loader are assembled from `boot/`; this file fills in their parameters.

use std::ops::Range;

use crate::disk::Disk;
use crate::layout::{
    DISK_ID_AT, LOADER_CODE_SIZE, LOADER_LBA, LOADER_NAME, LOADER_NAME_AT, LOADER_SIZE, SECTOR,
};
use crate::payload::Payload;

/// The boot sector's code.
pub const BOOT_SECTOR: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/sector.bin"));
/// The loader without parameters.
pub const LOADER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/loader.bin"));

/// First sector of the partition that holds the payload: 1 MiB, as other tools align partitions.
pub const PAYLOAD_LBA: u64 = 2048;
/// A disk's size is a multiple of this many bytes.
const SIZE_UNIT: u64 = 64 << 10;
/// Partition type "data without a file system".
const PARTITION_TYPE: u8 = 0xda;
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
    let partition = PAYLOAD_LBA..size / SECTOR;
    let mut head = boot_sector(id, &partition)?.to_vec();
    head.extend(loader);
    Disk::new(size, vec![(0, head), (start, content)])
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

/// The first sector: code, identifier, and a table with one partition, which is active.
fn boot_sector(id: u32, partition: &Range<u64>) -> Option<[u8; SECTOR as usize]> {
    // Cylinder, head and sector of an address beyond what they can express.
    const NOWHERE: [u8; 3] = [0xfe, 0xff, 0xff];
    let start = u32::try_from(partition.start).ok()?;
    let length = u32::try_from(partition.end.checked_sub(partition.start)?).ok()?;
    let mut sector = [0; SECTOR as usize];
    put(&mut sector, 0, BOOT_SECTOR)?;
    put(&mut sector, DISK_ID_AT, &id.to_le_bytes())?;
    let mut entry = vec![0x80];
    entry.extend(NOWHERE);
    entry.push(PARTITION_TYPE);
    entry.extend(NOWHERE);
    entry.extend(start.to_le_bytes());
    entry.extend(length.to_le_bytes());
    put(&mut sector, 446, &entry)?;
    put(&mut sector, 510, &[0x55, 0xaa])?;
    Some(sector)
}

// The loader follows the boot sector, and both have the sizes that they were assembled for.
const _: () = assert!(LOADER_LBA == 1);
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
    fn the_partition_holds_the_payload() {
        let disk = disk(&payload(), b"").unwrap();
        assert_eq!(disk.size(), (1 << 20) + SIZE_UNIT);
        assert_eq!(disk.block(PAYLOAD_LBA, 512).unwrap(), [7; 512]);
    }
}
