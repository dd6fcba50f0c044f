//! The check that nothing but the guest writes to its disks, and that it writes to nothing else
//! through them.

use solo5_launch::{Disk, Disks, Extent, FileId, extents};

use super::file_id::{silence, standard_writer};
use super::{Backing, Device};
use crate::error::Error;

/// Refuses a disk that something else could write to: a standard descriptor, or another disk of the
/// same guest unless both are read-only. Also refuses a disk through which the guest could write to
/// its own `image`. Locks detect none of this, because they only exclude other processes.
pub fn check_disks(devices: &[Device], image: Option<FileId>) -> Result<(), Error> {
    check(devices, image, extents)
}

/// As [`check_disks`]; `extents` says what a device is a piece of.
fn check(
    devices: &[Device],
    image: Option<FileId>,
    extents: impl Fn(FileId) -> Vec<Extent>,
) -> Result<(), Error> {
    let mut disks = Disks::of(image);
    for device in devices {
        let Backing::Block { path, file, access, .. } = &device.backing else { continue };
        let pieces = extents(*file);
        if let Some(standard) = pieces.iter().find_map(|piece| standard_writer(piece.file)) {
            silence(standard);
            return Err(Error::BlockStandard { path: path.clone(), standard });
        }
        disks.add(Disk { name: &device.name, path, access: *access, pieces })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use solo5_abi::device::SectorSize;
    use solo5_launch::Access;

    use super::*;

    fn disk(name: &str, file: FileId, access: Access) -> Device {
        let backing = Backing::Block {
            path: "d".into(),
            file,
            capacity: 512,
            sector_size: SectorSize::DEFAULT,
            access,
            capacity_minimum: None,
            flush: false,
        };
        Device { index: 1, name: name.into(), backing, fd: None }
    }

    #[test]
    fn a_disk_that_is_the_image_is_refused_unless_read_only() {
        let (image, other) = (FileId::Inode(1, 1), FileId::Inode(1, 2));
        let check = |file, access| check_disks(&[disk("a", file, access)], Some(image));
        assert_eq!(check(other, Access::ReadWrite), Ok(()));
        assert_eq!(check(image, Access::ReadOnly), Ok(()));
        assert_eq!(check(image, Access::ReadWrite).unwrap_err().code(), "T427");
    }

    #[test]
    fn a_disk_given_twice_is_refused_unless_both_are_read_only() {
        let (one, other) = (FileId::Device(1), FileId::Inode(1, 1));
        let (reads, writes) = (Access::ReadOnly, Access::ReadWrite);
        let check = |first, second, access| {
            let disks = [disk("a", one, access), disk("b", first, reads), disk("c", second, reads)];
            check_disks(&disks, None)
        };
        assert_eq!(check(other, other, writes), Ok(()));
        assert_eq!(check(one, other, reads), Ok(()));
        for result in [check(one, other, writes), check(other, one, writes)] {
            let line = result.unwrap_err().line();
            assert!(line.contains("T426") && line.contains("'a' and '"), "{line}");
        }
    }

    /// Number 1 is a disk, 11 and 12 are its partitions, and 7 is a loop device over the file.
    #[test]
    fn a_disk_under_another_name_is_the_same_disk() {
        let file = FileId::Inode(1, 1);
        let piece = |file, bytes| Extent { file, bytes };
        let stack = |id: FileId| {
            let below = match id {
                FileId::Device(11) => Some(piece(FileId::Device(1), 0..100)),
                FileId::Device(12) => Some(piece(FileId::Device(1), 100..200)),
                FileId::Device(7) => Some(piece(file, 0..u64::MAX)),
                _ => None,
            };
            [piece(id, 0..u64::MAX)].into_iter().chain(below).collect()
        };
        let code = |one, other, access| {
            let disks = [disk("a", one, Access::ReadOnly), disk("b", other, access)];
            check(&disks, None, stack).err().map(|error| error.code())
        };
        let (reads, writes) = (Access::ReadOnly, Access::ReadWrite);
        let device = FileId::Device;
        for (one, other) in [(device(1), device(11)), (device(12), device(1)), (file, device(7))] {
            assert_eq!(code(one, other, writes), Some("T426"), "{one:?} {other:?}");
            assert_eq!(code(one, other, reads), None);
        }
        assert_eq!(code(device(11), device(12), writes), None, "two partitions");
        let over_image = |access| check(&[disk("a", device(7), access)], Some(file), stack);
        assert_eq!(over_image(reads), Ok(()));
        assert_eq!(over_image(writes).unwrap_err().code(), "T427");
    }
}
