//! Which bytes of which files a block device consists of: a partition is a piece of a disk, a loop
//! device a piece of a file. Two devices that share bytes are one disk under two names.
//!
//! Linux tells this in `/sys/dev/block`. What it does not tell is left out: a loop device whose file
//! is not reachable here, and what the device mapper does with its devices.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use rustix::fs::{major, minor, stat};

use super::file_id::FileId;

/// Most devices below one another.
const DEPTH_MAX: usize = 8;
/// Bytes in a unit of `/sys`.
const SECTOR: u64 = 512;

/// Bytes of a file or device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The file.
    pub file: FileId,
    /// Its bytes.
    pub bytes: Range<u64>,
}

impl Extent {
    /// Whether both are about some of the same bytes.
    pub fn overlaps(&self, other: &Extent) -> bool {
        let (one, two) = (&self.bytes, &other.bytes);
        self.file == other.file && one.start < two.end && two.start < one.end
    }
}

/// What `file` is, and what it is a piece of, one below the other.
pub fn extents(file: FileId) -> Vec<Extent> {
    let mut found = vec![Extent { file, bytes: 0..u64::MAX }];
    while let Some(Extent { file: FileId::Device(number), bytes }) = found.last()
        && found.len() < DEPTH_MAX
        && let Some(below) = below(*number, bytes)
    {
        found.push(below);
    }
    found
}

/// The piece of a disk or file that `bytes` of a device are.
fn below(number: u64, bytes: &Range<u64>) -> Option<Extent> {
    let name = format!("/sys/dev/block/{}:{}", major(number), minor(number));
    let device = fs::canonicalize(name).ok()?;
    let (file, whole) = partition(&device).or_else(|| loop_device(&device))?;
    let at = |offset: u64| whole.start.saturating_add(offset).min(whole.end);
    Some(Extent { file, bytes: at(bytes.start)..at(bytes.end) })
}

/// The disk that a partition is on, and where. Its folder is in that of the disk.
fn partition(device: &Path) -> Option<(FileId, Range<u64>)> {
    number(&device.join("partition"))?;
    let start = number(&device.join("start"))?.checked_mul(SECTOR)?;
    let size = number(&device.join("size"))?.checked_mul(SECTOR)?;
    let disk = text(&device.parent()?.join("dev"))?;
    let (major, minor) = disk.split_once(':')?;
    let disk = rustix::fs::makedev(major.parse().ok()?, minor.parse().ok()?);
    Some((FileId::Device(disk), start..start.checked_add(size)?))
}

/// The file behind a loop device, and which part of it.
fn loop_device(device: &Path) -> Option<(FileId, Range<u64>)> {
    let device = device.join("loop");
    let file = PathBuf::from(text(&device.join("backing_file"))?);
    let file = FileId::with_content(&stat(&file).ok()?)?;
    let start = number(&device.join("offset")).unwrap_or(0);
    let size = number(&device.join("sizelimit")).filter(|size| *size > 0);
    let end = size.map_or(u64::MAX, |size| start.saturating_add(size));
    Some((file, start..end))
}

fn number(file: &Path) -> Option<u64> {
    text(file)?.parse().ok()
}

fn text(file: &Path) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    Some(text.strip_suffix('\n').unwrap_or(&text).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder as in `/sys`, with these files.
    fn device(at: &Path, files: &[(&str, &str)]) {
        for (name, text) in files {
            let file = at.join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, format!("{text}\n")).unwrap();
        }
    }

    #[test]
    fn a_partition_is_a_piece_of_its_disk() {
        let folder = tempfile::tempdir().unwrap();
        let disk = folder.path().join("sda");
        device(&disk, &[("dev", "8:0"), ("size", "100")]);
        device(&disk.join("sda1"), &[("partition", "1"), ("start", "8"), ("size", "16")]);
        assert_eq!(partition(&disk), None);
        let whole = FileId::Device(rustix::fs::makedev(8, 0));
        assert_eq!(partition(&disk.join("sda1")), Some((whole, 4096..12288)));
    }

    #[test]
    fn a_loop_device_is_a_piece_of_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a file");
        fs::write(&file, "x").unwrap();
        let id = FileId::of(fs::File::open(&file).unwrap()).unwrap();
        let device_at = folder.path().join("loop0");
        let name = file.to_str().unwrap();
        device(
            &device_at,
            &[("loop/backing_file", name), ("loop/offset", "0"), ("loop/sizelimit", "0")],
        );
        assert_eq!(loop_device(&device_at), Some((id, 0..u64::MAX)));
        device(&device_at, &[("loop/offset", "512"), ("loop/sizelimit", "1024")]);
        assert_eq!(loop_device(&device_at), Some((id, 512..1536)));
        device(&device_at, &[("loop/backing_file", &format!("{name} (deleted)"))]);
        assert_eq!(loop_device(&device_at), None);
        assert_eq!(loop_device(folder.path()), None);
    }

    #[test]
    fn pieces_overlap_if_they_share_bytes() {
        let extent = |file, bytes| Extent { file: FileId::Device(file), bytes };
        assert!(extent(1, 0..512).overlaps(&extent(1, 511..600)));
        assert!(!extent(1, 0..512).overlaps(&extent(1, 512..600)), "two partitions");
        assert!(extent(1, 0..u64::MAX).overlaps(&extent(1, 512..600)));
        assert!(!extent(1, 0..512).overlaps(&extent(2, 0..512)));
        let file = FileId::Inode(1, 2);
        assert_eq!(extents(file), [Extent { file, bytes: 0..u64::MAX }]);
    }
}
