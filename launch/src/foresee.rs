//! What a tender is certain to refuse of the things that a launch attaches, told from the launch and from
//! the status of the files that it names. `solo5-elftool check` asks this, and opens none of them.
//!
//! A file that does not exist here may exist where the launch starts, so nothing is said about it, but
//! that two devices cannot share it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Stat, stat};
use solo5_abi::device::SectorSize;
use solo5_abi::{Arch, Target};
use solo5_report::os_text;

use super::disks::{Disk, Disks};
use super::extent::extents;
use super::file_id::FileId;
use super::launch::{Backing, Block, FileOrFd, Interface, Launch};
use super::machine::{Hypervisor, Machine};
use super::memory;
use super::unfit::{NAMED_TWICE, STANDARD, Unfit};
use super::used_files::UsedFiles;

/// Most bytes of an interface's name.
const INTERFACE_MAX: usize = 15;

/// Refuses a disk called `name` whose `capacity` in bytes is not a whole number of sectors, or is below one
/// sector.
///
/// # Errors
///
/// Which of the two.
pub fn check_size(name: &str, capacity: u64, sector_size: SectorSize) -> Result<(), Unfit> {
    let name = name.to_owned();
    let sector = u64::from(sector_size.bytes());
    if !capacity.is_multiple_of(sector) {
        return Err(Unfit::Unaligned { name, sector_size });
    }
    if capacity < sector {
        return Err(Unfit::TooSmall { name, sector_size });
    }
    Ok(())
}

impl Launch {
    /// One descriptor that is named for two devices of the same type.
    pub fn descriptor_twice(&self) -> Option<Unfit> {
        let nets = self.nets.iter().filter_map(|net| match net.interface {
            Interface::Fd(fd) => Some((fd, net.name.as_str())),
            Interface::Tap(_) => None,
        });
        if let Some((fd, names)) = first_twice(nets) {
            return Some(Unfit::NetTwice { names, interface: format!("@{fd}") });
        }
        let (fd, names) = first_twice(self.block_fds())?;
        Some(Unfit::BlockFdTwice { names, fd })
    }

    fn block_fds(&self) -> impl Iterator<Item = (i32, &str)> {
        self.blocks.iter().filter_map(|block| match block.backing {
            Backing::Fd(fd) => Some((fd, block.name.as_str())),
            Backing::Path(_) => None,
        })
    }

    /// What a tender for `target` is certain to refuse, on a machine of the architecture `arch`. `image`
    /// is the identity of its image, and `of_host` are the files of the host's policies.
    pub fn unfit(
        &self,
        (target, arch): (Target, Arch),
        image: Option<FileId>,
        of_host: impl Iterator<Item = PathBuf>,
    ) -> Vec<Unfit> {
        let mut found: Vec<Unfit> = self.unfit_machine(target, arch).into_iter().collect();
        found.extend(self.unfit_report(of_host));
        found.extend(self.descriptor_twice());
        found.extend(self.unfit_descriptors());
        found.extend(self.unfit_interfaces());
        found.extend(self.unfit_disks(image));
        found
    }

    fn unfit_machine(&self, target: Target, arch: Arch) -> Vec<Unfit> {
        let (bytes, most) = (self.memory_asked(), memory::addresses(target, arch));
        let mut found = Vec::new();
        // hvt has a lower limit, which `guest_memory` tells.
        if target != Target::Hvt && bytes > most {
            found.push(Unfit::Memory { bytes, most });
        }
        if target != Target::Virtio {
            return found;
        }
        let Some(machine) = self.runner.machine.or(Machine::usual(arch)) else { return found };
        if machine.arch() != arch {
            found.push(Unfit::OtherMachine { machine: machine.name(), arch });
            return found;
        }
        let (count, most) = (self.nets.len() + self.blocks.len(), machine.most_devices());
        match self.runner.hypervisor {
            Hypervisor::Bhyve if self.explain => {}
            Hypervisor::Bhyve => found.push(Unfit::bhyve()),
            _ if count > most => {
                found.push(Unfit::Places { machine: machine.name(), count, most });
            }
            _ => {}
        }
        found
    }

    fn unfit_report(&self, of_host: impl Iterator<Item = PathBuf>) -> Option<Unfit> {
        let Some(FileOrFd::Path(path)) = &self.report else { return None };
        let target = os_text(path).into_owned();
        let stat = status(path)?;
        let what = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Some("a folder"),
            FileType::Fifo => Some("a named pipe"),
            FileType::Socket => Some("a socket"),
            _ => None,
        };
        if let Some(what) = what {
            return Some(Unfit::ReportKind { target, what });
        }
        let disks = self.blocks.iter().map(|block| (block.name.as_str(), &block.backing));
        let used = UsedFiles { disks, kernel: &self.kernel, policies: &self.policies };
        let what = used.find(FileId::with_content(&stat)?, |_| None, of_host)?;
        Some(Unfit::ReportUsed { target, what })
    }

    /// Standard descriptors as devices, and descriptors that another option names.
    fn unfit_descriptors(&self) -> Vec<Unfit> {
        let mut taken = BTreeSet::new();
        if let Some(FileOrFd::Fd(fd)) = &self.report {
            taken.insert(*fd);
        }
        taken.extend(self.policies.iter().filter_map(|policy| match policy {
            FileOrFd::Fd(fd) => Some(*fd),
            FileOrFd::Path(_) => None,
        }));
        let why = |fd, taken: &BTreeSet<i32>| match fd {
            0..=2 => Some(STANDARD),
            fd => taken.contains(&fd).then_some(NAMED_TWICE),
        };
        let nets = self.nets.iter().filter_map(|net| match net.interface {
            Interface::Fd(fd) => Some(fd),
            Interface::Tap(_) => None,
        });
        let nets: Vec<i32> = nets.collect();
        let of_nets = nets.iter().filter_map(|fd| {
            let why = why(*fd, &taken)?;
            Some(Unfit::TapFd { fd: *fd, why })
        });
        let mut found: Vec<Unfit> = of_nets.collect();
        taken.extend(nets);
        found.extend(self.block_fds().filter_map(|(fd, _)| {
            let why = why(fd, &taken)?;
            Some(Unfit::BlockFd { fd, why })
        }));
        found
    }

    fn unfit_interfaces(&self) -> Vec<Unfit> {
        let taps: Vec<(&OsStr, &str)> = self
            .nets
            .iter()
            .filter_map(|net| match &net.interface {
                Interface::Tap(tap) => Some((tap.as_os_str(), net.name.as_str())),
                Interface::Fd(_) => None,
            })
            .collect();
        let impossible = taps.iter().filter(|(tap, _)| !is_interface_name(tap));
        let mut found: Vec<Unfit> = impossible
            .map(|(tap, _)| Unfit::InterfaceName { interface: os_text(tap).into_owned() })
            .collect();
        found.extend(first_twice(taps.into_iter()).map(|(tap, names)| {
            let interface = os_text(tap).into_owned();
            Unfit::NetTwice { names, interface }
        }));
        found
    }

    fn unfit_disks(&self, image: Option<FileId>) -> Vec<Unfit> {
        let mut found = Vec::new();
        let mut disks = Disks::of(image);
        let named: Vec<(&Block, &OsStr, String)> = self
            .blocks
            .iter()
            .filter_map(|block| match &block.backing {
                Backing::Path(path) => Some((block, path.as_os_str(), os_text(path).into_owned())),
                Backing::Fd(_) => None,
            })
            .collect();
        for (block, path, shown) in &named {
            let (name, access) = (block.name.as_str(), block.access);
            let stat = status(path);
            found.extend(stat.as_ref().and_then(|stat| unfit_disk(block, shown, stat)));
            let file = stat.as_ref().and_then(FileId::with_content);
            let pieces = file.map(extents).unwrap_or_default();
            found.extend(disks.add(Disk { name, path: shown, access, pieces }).err());
        }
        found
    }
}

/// The status of the file at `path`; `None` if nothing is there, or if the path leads to another file in each
/// process, as `/dev/stdout` does.
fn status(path: &OsStr) -> Option<Stat> {
    const OWN: [&str; 6] =
        ["/dev/stdin", "/dev/stdout", "/dev/stderr", "/dev/fd", "/proc/self", "/proc/thread-self"];
    let path = Path::new(path);
    if OWN.iter().any(|own| path.starts_with(own)) {
        return None;
    }
    stat(path).ok()
}

/// What is wrong with a disk of this status, but for what its device tells when it is open.
fn unfit_disk(block: &Block, path: &str, stat: &Stat) -> Option<Unfit> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::BlockDevice => None,
        FileType::RegularFile => {
            let have = u64::try_from(stat.st_size).ok()?;
            let least = block.capacity_minimum.filter(|least| have < *least);
            let small = || {
                let name = block.name.clone();
                least.map(|least| Unfit::CapacityMinimum { name, have, least })
            };
            check_size(&block.name, have, block.sector_size).err().or_else(small)
        }
        _ => Some(Unfit::BlockKind { path: path.to_owned() }),
    }
}

/// Whether Linux lets an interface have this name.
pub fn is_interface_name(name: &OsStr) -> bool {
    let name = name.as_bytes();
    // What the kernel takes for a blank: those of ASCII, and that of Latin-1.
    let fits =
        |byte: &u8| !matches!(byte, b'/' | b':' | 0x0b | 0xa0) && !byte.is_ascii_whitespace();
    (1..=INTERFACE_MAX).contains(&name.len())
        && !matches!(name, b"." | b"..")
        && name.iter().all(fits)
}

/// The first key that occurs twice, with both names.
fn first_twice<'n, K: Ord + Copy>(
    named: impl Iterator<Item = (K, &'n str)>,
) -> Option<(K, [String; 2])> {
    let mut seen = BTreeMap::new();
    for (key, name) in named {
        if let Some(other) = seen.insert(key, name) {
            return Some((key, [other.to_owned(), name.to_owned()]));
        }
    }
    None
}
