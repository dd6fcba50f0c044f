//! The check that no two disks of a guest are one, and that none is the guest's own image.

use super::extent::Extent;
use super::file_id::FileId;
use super::launch::Access;
use super::unfit::Unfit;

/// The disks of a guest, as far as they were looked at.
#[derive(Debug, Default)]
pub struct Disks<'d> {
    image: Option<FileId>,
    seen: Vec<Disk<'d>>,
}

/// A disk of a guest.
#[derive(Clone, Debug)]
pub struct Disk<'d> {
    /// The name of its device.
    pub name: &'d str,
    /// Its path, or `@NN` for a descriptor.
    pub path: &'d str,
    /// What the guest may do with it.
    pub access: Access,
    /// What it is a piece of, as [`extents`](crate::extents) tells; empty if nobody knows.
    pub pieces: Vec<Extent>,
}

impl<'d> Disks<'d> {
    /// None yet; `image` is the guest's own, if its identity is known.
    pub fn of(image: Option<FileId>) -> Disks<'d> {
        Disks { image, seen: Vec::new() }
    }

    /// Adds a disk.
    ///
    /// # Errors
    ///
    /// The guest could write to its image through it, or it is another one of these disks and either
    /// may be written to. Locks detect neither, because they only exclude other processes.
    pub fn add(&mut self, disk: Disk<'d>) -> Result<(), Unfit> {
        let is_image = disk.pieces.iter().any(|piece| Some(piece.file) == self.image);
        if disk.access == Access::ReadWrite && is_image {
            return Err(Unfit::BlockImage { path: disk.path.to_owned() });
        }
        let same = self.seen.iter().find(|other| {
            [disk.access, other.access].contains(&Access::ReadWrite) && disk.shares(other)
        });
        if let Some(other) = same {
            let names = [other.name.to_owned(), disk.name.to_owned()];
            return Err(Unfit::BlockTwice { names, path: disk.path.to_owned() });
        }
        self.seen.push(disk);
        Ok(())
    }
}

impl Disk<'_> {
    /// Whether both have some of the same bytes.
    fn shares(&self, other: &Disk<'_>) -> bool {
        if self.pieces.is_empty() {
            return other.pieces.is_empty() && self.path == other.path;
        }
        self.pieces.iter().any(|piece| other.pieces.iter().any(|other| piece.overlaps(other)))
    }
}
