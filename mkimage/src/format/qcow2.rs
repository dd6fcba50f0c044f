//! `qcow2`, version 3, for QEMU, libvirt and OpenStack (QEMU, docs/interop/qcow2.txt).
//!
//! The clusters of the file in order: header, L1 table, reference count table, reference count blocks,
//! L2 tables, data. Clusters of the disk that are zero are not stored.

use std::io::{self, Write};

use crate::disk::Disk;

const CLUSTER_BITS: u32 = 16;
const CLUSTER: usize = 1 << CLUSTER_BITS;
/// Entries of an L2 table: 8 bytes each.
const L2_ENTRIES: u64 = (CLUSTER / 8) as u64;
/// Entries of a reference count block: 2 bytes each.
const COUNTS: usize = CLUSTER / 2;
/// Log2 of the bits of a reference count.
const REFCOUNT_ORDER: u32 = 4;
const HEADER_LENGTH: u32 = 104;
/// Flag of an entry: the cluster has exactly one reference, so it may be written in place.
const ONE_REFERENCE: u64 = 1 << 63;

/// Where the tables are, in clusters.
const L1_AT: u64 = 1;
const COUNT_TABLE_AT: u64 = 2;
const COUNT_BLOCKS_AT: u64 = 3;

/// Writes the image.
///
/// # Errors
///
/// The system's error, or that the disk needs more tables than one cluster can name.
pub fn write(disk: &Disk, to: &mut dyn Write) -> io::Result<()> {
    let data: Vec<(u64, Vec<u8>)> = (0..disk.blocks(CLUSTER))
        .filter_map(|index| Some((index, disk.block(index, CLUSTER)?)))
        .collect();
    let mut tables: Vec<u64> = data.iter().map(|(index, _)| index / L2_ENTRIES).collect();
    tables.dedup();
    let l1_size = disk.blocks(CLUSTER).div_ceil(L2_ENTRIES);
    let others = 3 + tables.len() + data.len();
    let mut count_blocks = others.div_ceil(COUNTS);
    while (others + count_blocks).div_ceil(COUNTS) > count_blocks {
        count_blocks += 1;
    }
    if l1_size > L2_ENTRIES || count_blocks > CLUSTER / 8 {
        return Err(io::Error::other("the disk is too large for this format"));
    }
    let total = others + count_blocks;
    let l2_at = COUNT_BLOCKS_AT + count_blocks as u64;
    let data_at = l2_at + tables.len() as u64;

    put(to, &header(disk.size(), l1_size))?;
    let mut l1 = vec![0; usize::try_from(l1_size).map_err(io::Error::other)?];
    for (number, table) in tables.iter().enumerate() {
        if let Some(entry) = usize::try_from(*table).ok().and_then(|table| l1.get_mut(table)) {
            *entry = offset(l2_at + number as u64) | ONE_REFERENCE;
        }
    }
    put(to, &words(&l1))?;
    let blocks: Vec<_> = (0..count_blocks as u64).map(|n| offset(COUNT_BLOCKS_AT + n)).collect();
    put(to, &words(&blocks))?;
    for block in 0..count_blocks {
        // Every cluster of the file has one reference.
        let used = (total - block * COUNTS).min(COUNTS);
        put(to, &1_u16.to_be_bytes().repeat(used))?;
    }
    for table in tables {
        let mut entries = vec![0; CLUSTER / 8];
        for (number, (index, _)) in data.iter().enumerate() {
            if index / L2_ENTRIES == table
                && let Ok(place) = usize::try_from(index % L2_ENTRIES)
                && let Some(entry) = entries.get_mut(place)
            {
                *entry = offset(data_at + number as u64) | ONE_REFERENCE;
            }
        }
        put(to, &words(&entries))?;
    }
    data.iter().try_for_each(|(_, bytes)| put(to, bytes))
}

fn header(size: u64, l1_size: u64) -> Vec<u8> {
    let mut header = b"QFI\xfb".to_vec();
    header.extend(3_u32.to_be_bytes()); // version
    header.extend([0; 12]); // no backing file: offset, length
    header.extend(CLUSTER_BITS.to_be_bytes());
    header.extend(size.to_be_bytes());
    header.extend([0; 4]); // not encrypted
    header.extend((l1_size as u32).to_be_bytes());
    header.extend(offset(L1_AT).to_be_bytes());
    header.extend(offset(COUNT_TABLE_AT).to_be_bytes());
    header.extend(1_u32.to_be_bytes()); // clusters of that table
    header.extend([0; 12]); // no snapshots: count, offset
    header.extend([0; 24]); // no features: incompatible, compatible, autoclear
    header.extend(REFCOUNT_ORDER.to_be_bytes());
    header.extend(HEADER_LENGTH.to_be_bytes());
    header
}

/// Where cluster `number` is in the file.
fn offset(number: u64) -> u64 {
    number << CLUSTER_BITS
}

fn words(values: &[u64]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_be_bytes()).collect()
}

/// Writes a cluster that begins with `bytes`.
fn put(to: &mut dyn Write, bytes: &[u8]) -> io::Result<()> {
    to.write_all(bytes)?;
    to.write_all(&vec![0; CLUSTER.saturating_sub(bytes.len())])
}
