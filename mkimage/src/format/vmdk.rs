//! `vmdk`, "stream optimised", which VMware and AWS import: compressed grains of 64 KiB, each after a
//! marker that says what it is, and the tables after the data that they name (VMware, Virtual Disk
//! Format 5.0).

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::ZlibEncoder;

use crate::disk::Disk;

const SECTOR: usize = 512;
const MAGIC: &[u8; 4] = b"KDMV";
const VERSION: u32 = 3;
/// Flags: line ends can be checked, grains are compressed, there are markers.
const FLAGS: u32 = 1 | 1 << 16 | 1 << 17;
const GRAIN_SECTORS: u64 = 128;
const GRAIN: usize = GRAIN_SECTORS as usize * SECTOR;
/// Entries of a grain table, 4 bytes each.
const TABLE_ENTRIES: usize = 512;
const DESCRIPTOR_AT: u64 = 1;
const DESCRIPTOR_SECTORS: usize = 20;
/// Sectors before the first marker.
const OVERHEAD: u64 = 128;
/// In the header: the directory's place is in the footer.
const IN_FOOTER: u64 = u64::MAX;
const DEFLATE: u16 = 1;

/// What a marker announces.
#[derive(Clone, Copy)]
enum Marker {
    EndOfStream = 0,
    GrainTable = 1,
    GrainDirectory = 2,
    Footer = 3,
}

/// Writes the image. `identifier` tells this disk's content from another.
///
/// # Errors
///
/// The system's error, or that the image would be larger than its tables can express.
pub fn write(disk: &Disk, identifier: u32, to: &mut dyn Write) -> io::Result<()> {
    let mut out = Sectors { to, written: 0 };
    let capacity = disk.clone().rounded_to(GRAIN as u64).size() / SECTOR as u64;
    out.put(&header(capacity, IN_FOOTER))?;
    let text = descriptor(capacity, identifier);
    let mut sectors = text.into_bytes();
    sectors.resize(DESCRIPTOR_SECTORS * SECTOR, 0);
    out.put(&sectors)?;
    let rest = OVERHEAD.saturating_sub(out.written);
    out.put(&vec![0; usize::try_from(rest).map_err(io::Error::other)? * SECTOR])?;

    let grains = disk.blocks(GRAIN);
    let mut directory = Vec::new();
    for first in (0..grains).step_by(TABLE_ENTRIES) {
        let mut table = vec![0_u32; TABLE_ENTRIES];
        for (entry, index) in table.iter_mut().zip(first..grains) {
            if let Some(grain) = disk.block(index, GRAIN) {
                *entry = out.here()?;
                out.grain(index * GRAIN_SECTORS, &grain)?;
            }
        }
        if table.iter().all(|entry| *entry == 0) {
            directory.push(0);
            continue;
        }
        let bytes = words(&table);
        out.marker(Marker::GrainTable, bytes.len() / SECTOR)?;
        directory.push(out.here()?);
        out.put(&bytes)?;
    }
    let mut bytes = words(&directory);
    bytes.resize(bytes.len().next_multiple_of(SECTOR), 0);
    out.marker(Marker::GrainDirectory, bytes.len() / SECTOR)?;
    let directory_at = out.here()?;
    out.put(&bytes)?;
    out.marker(Marker::Footer, 1)?;
    out.put(&header(capacity, directory_at.into()))?;
    out.marker(Marker::EndOfStream, 0)
}

/// The file, counted in sectors.
struct Sectors<'a> {
    to: &'a mut dyn Write,
    written: u64,
}

impl Sectors<'_> {
    /// Writes whole sectors.
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.written += (bytes.len() / SECTOR) as u64;
        self.to.write_all(bytes)
    }

    /// The next sector, as tables express it.
    fn here(&self) -> io::Result<u32> {
        u32::try_from(self.written).map_err(io::Error::other)
    }

    fn marker(&mut self, marker: Marker, sectors: usize) -> io::Result<()> {
        let mut bytes = (sectors as u64).to_le_bytes().to_vec();
        bytes.extend(0_u32.to_le_bytes());
        bytes.extend((marker as u32).to_le_bytes());
        bytes.resize(SECTOR, 0);
        self.put(&bytes)
    }

    /// A grain with its own marker: address and size, then the content.
    fn grain(&mut self, address: u64, content: &[u8]) -> io::Result<()> {
        let mut deflated = ZlibEncoder::new(Vec::new(), Compression::best());
        deflated.write_all(content)?;
        let deflated = deflated.finish()?;
        let mut bytes = address.to_le_bytes().to_vec();
        bytes.extend(u32::try_from(deflated.len()).map_err(io::Error::other)?.to_le_bytes());
        bytes.extend(deflated);
        bytes.resize(bytes.len().next_multiple_of(SECTOR), 0);
        self.put(&bytes)
    }
}

fn words(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn header(capacity: u64, directory_at: u64) -> Vec<u8> {
    let mut header = MAGIC.to_vec();
    header.extend(VERSION.to_le_bytes());
    header.extend(FLAGS.to_le_bytes());
    header.extend(capacity.to_le_bytes());
    header.extend(GRAIN_SECTORS.to_le_bytes());
    header.extend(DESCRIPTOR_AT.to_le_bytes());
    header.extend((DESCRIPTOR_SECTORS as u64).to_le_bytes());
    header.extend((TABLE_ENTRIES as u32).to_le_bytes());
    header.extend(0_u64.to_le_bytes()); // no second directory
    header.extend(directory_at.to_le_bytes());
    header.extend(OVERHEAD.to_le_bytes());
    header.push(0); // it was closed properly
    header.extend(b"\n \r\n"); // damaged if a transfer changed line ends
    header.extend(DEFLATE.to_le_bytes());
    header.resize(SECTOR, 0);
    header
}

/// The text that describes the disk.
fn descriptor(capacity: u64, identifier: u32) -> String {
    const HEADS: u64 = 16;
    const TRACK: u64 = 63;
    let cylinders = (capacity / (HEADS * TRACK)).clamp(1, 65535);
    format!(
        "# Disk DescriptorFile\nversion=1\nCID={identifier:08x}\nparentCID=ffffffff\n\
         createType=\"streamOptimized\"\n\n# Extent description\n\
         RW {capacity} SPARSE \"disk.vmdk\"\n\n# The Disk Data Base\n#DDB\n\n\
         ddb.virtualHWVersion = \"4\"\nddb.geometry.cylinders = \"{cylinders}\"\n\
         ddb.geometry.heads = \"{HEADS}\"\nddb.geometry.sectors = \"{TRACK}\"\n\
         ddb.adapterType = \"lsilogic\"\n"
    )
}
