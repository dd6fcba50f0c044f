//! `tar`: what Google Compute Engine imports, a compressed archive in the old GNU format with one
//! member, the sparse file `disk.raw` (GNU tar manual, appendix D.1, "Old GNU format"; Compute Engine
//! documentation, "Manually import boot disks").

use std::io::{self, Write};

use flate2::{Compression, GzBuilder};
use tar::{Builder, EntryType, Header};

use crate::disk::Disk;

/// The name that Compute Engine looks for.
const MEMBER: &str = "disk.raw";
/// Compute Engine takes disks of whole gibibytes.
pub const UNIT: u64 = 1 << 30;
/// gzip's number for "no system in particular".
const NO_SYSTEM: u8 = 255;

/// Writes the archive. `time` is the member's, in seconds since 1970.
///
/// # Errors
///
/// The system's error.
pub fn write(disk: &Disk, time: u64, to: &mut dyn Write) -> io::Result<()> {
    let disk = disk.clone().rounded_to(UNIT);
    let mut header = Header::new_gnu();
    header.set_path(MEMBER)?;
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(time);
    header.set_entry_type(EntryType::GNUSparse);
    let parts = disk.parts();
    header.set_size(parts.iter().map(|(_, bytes)| bytes.len() as u64).sum());
    let gnu = header.as_gnu_mut().ok_or_else(|| io::Error::other("the header is not GNU's"))?;
    gnu.set_real_size(disk.size());
    // The last entry is empty and says where the file ends.
    let entries = parts.iter().map(|(offset, bytes)| (*offset, bytes.len() as u64));
    let entries: Vec<_> = entries.chain([(disk.size(), 0)]).collect();
    if entries.len() > gnu.sparse.len() {
        return Err(io::Error::other("the disk has more parts than the header has room for"));
    }
    for (place, (offset, length)) in gnu.sparse.iter_mut().zip(entries) {
        place.set_offset(offset);
        place.set_length(length);
    }
    header.set_cksum();

    let content: Vec<u8> = parts.iter().flat_map(|(_, bytes)| bytes).copied().collect();
    let gzip = GzBuilder::new().operating_system(NO_SYSTEM).write(to, Compression::best());
    let mut archive = Builder::new(gzip);
    archive.append(&header, &content[..])?;
    archive.into_inner()?.finish()?;
    Ok(())
}
