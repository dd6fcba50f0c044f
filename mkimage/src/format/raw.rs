//! `raw`: the disk as it is, in a sparse file.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};

use crate::disk::Disk;

/// Writes `disk` to the empty file `to`. Zeros stay holes.
///
/// # Errors
///
/// The system's error.
pub fn write(disk: &Disk, to: &mut File) -> io::Result<()> {
    for (offset, bytes) in disk.parts() {
        to.seek(SeekFrom::Start(*offset))?;
        to.write_all(bytes)?;
    }
    to.set_len(disk.size())?;
    to.seek(SeekFrom::End(0))?;
    Ok(())
}
