//! `vhd`, a disk of fixed size, for Azure, Hyper-V and VirtualBox: the raw disk, and a footer of one
//! sector (Microsoft, Virtual Hard Disk Image Format Specification 1.0).

use std::fs::File;
use std::io::{self, Write};

use super::raw;
use crate::disk::Disk;

/// Azure takes disks of whole mebibytes.
pub const UNIT: u64 = 1 << 20;
/// Seconds from 1970 to 2000, where the format's times begin.
const YEAR_2000: u64 = 946_684_800;
/// Offset of the checksum in the footer.
const CHECKSUM_AT: usize = 64;
/// Readers believe the size from this creator, and others' cylinders, heads and sectors.
const CREATOR: &[u8; 4] = b"win ";
const CREATOR_VERSION: u32 = 0x000a_0000;
const FIXED: u32 = 2;

/// Writes the disk to the empty file `to`. `time` is in seconds since 1970; `identifier` tells this
/// disk from others.
///
/// # Errors
///
/// The system's error.
pub fn write(disk: &Disk, time: u64, identifier: [u8; 16], to: &mut File) -> io::Result<()> {
    let disk = disk.clone().rounded_to(UNIT);
    raw::write(&disk, to)?;
    to.write_all(&footer(disk.size(), time, identifier))
}

fn footer(size: u64, time: u64, identifier: [u8; 16]) -> [u8; 512] {
    let mut fields = b"conectix".to_vec();
    fields.extend(2_u32.to_be_bytes()); // features: a bit that is always set
    fields.extend(0x0001_0000_u32.to_be_bytes()); // version of the format
    fields.extend([0xff; 8]); // no further header
    let time = time.saturating_sub(YEAR_2000).min(u32::MAX.into()) as u32;
    fields.extend(time.to_be_bytes());
    fields.extend(CREATOR);
    fields.extend(CREATOR_VERSION.to_be_bytes());
    fields.extend(b"Wi2k");
    fields.extend(size.to_be_bytes()); // at first
    fields.extend(size.to_be_bytes()); // now
    let (cylinders, heads, sectors) = geometry(size / 512);
    fields.extend(cylinders.to_be_bytes());
    fields.extend([heads, sectors]);
    fields.extend(FIXED.to_be_bytes());
    fields.extend([0; 4]); // the checksum
    fields.extend(identifier);
    let mut footer = [0; 512];
    for (place, byte) in footer.iter_mut().zip(fields) {
        *place = byte;
    }
    let sum = footer.iter().fold(0_u32, |sum, byte| sum.wrapping_add((*byte).into()));
    for (place, byte) in footer.iter_mut().skip(CHECKSUM_AT).zip((!sum).to_be_bytes()) {
        *place = byte;
    }
    footer
}

/// Cylinders, heads and sectors per track for a disk of so many sectors, as the specification's
/// appendix computes them.
fn geometry(total: u64) -> (u16, u8, u8) {
    let total = total.min(65535 * 16 * 255);
    let (sectors, heads, tracks) = if total >= 65535 * 16 * 63 {
        (255, 16, total / 255)
    } else {
        let tracks = total / 17;
        let heads = tracks.div_ceil(1024).max(4);
        if tracks < heads * 1024 && heads <= 16 {
            (17, heads, tracks)
        } else {
            let tracks = total / 31;
            if tracks < 16 * 1024 { (31, 16, tracks) } else { (63, 16, total / 63) }
        }
    };
    ((tracks / heads).min(65535) as u16, heads as u8, sectors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_footer_sums_to_its_checksum() {
        let mut footer = footer(3 << 20, YEAR_2000 + 1, [9; 16]);
        assert_eq!(footer[24..28], [0, 0, 0, 1]);
        let stored = u32::from_be_bytes(footer[64..68].try_into().unwrap());
        footer[64..68].fill(0);
        assert_eq!(stored, !footer.iter().map(|byte| u32::from(*byte)).sum::<u32>());
    }

    #[test]
    fn geometry_never_says_more_than_there_is() {
        for size in [2048, 4096, 1 << 21, 1 << 24, 1 << 30, u64::MAX] {
            let (cylinders, heads, sectors) = geometry(size);
            assert!(u64::from(cylinders) * u64::from(heads) * u64::from(sectors) <= size);
        }
        assert_eq!(geometry(1 << 22), (4161, 16, 63), "2 GiB");
    }
}
