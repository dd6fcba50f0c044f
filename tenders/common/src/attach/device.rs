//! A device of the manifest with the host's device behind it, opened and measured.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use solo5_abi::device::{Mtu, SectorSize};
use solo5_abi::mft1::Flush;
use solo5_abi::offer::{Feature, Features};
use solo5_launch::{Access, FileId, Unfit};

use crate::error::Error;

/// A device of the manifest, with the host's device that backs it.
#[derive(Debug)]
pub struct Device {
    /// Index in the manifest; the guest uses it as the handle.
    pub index: usize,
    /// Its name in the manifest.
    pub name: String,
    /// The host's side.
    pub backing: Backing,
    /// Its descriptor. `None` under `--explain`, which attaches nothing.
    pub fd: Option<OwnedFd>,
}

/// The host's side of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backing {
    /// A tap.
    Net {
        /// Name of the interface, as the kernel reports it.
        interface: Vec<u8>,
        /// Longest frame in bytes, without the Ethernet header.
        mtu: Mtu,
        /// The guest's Ethernet address. `None` under `--explain` if no address was given: a launch
        /// would choose a random one.
        mac: Option<[u8; 6]>,
        /// Minimum MTU that the manifest requires.
        mtu_minimum: Option<u32>,
    },
    /// A file or block device.
    Block {
        /// The path that was opened, or `@NN` for an inherited descriptor.
        path: String,
        /// Identity of the file.
        file: FileId,
        /// Size in bytes.
        capacity: u64,
        /// Sector size: the guest transfers whole sectors.
        sector_size: SectorSize,
        /// What the guest may do.
        access: Access,
        /// Minimum capacity in bytes that the manifest requires.
        capacity_minimum: Option<u64>,
        /// Whether the manifest asks for flushing.
        flush: bool,
    },
}

impl Device {
    /// Whether the guest can flush the device, if it is offered `features`.
    pub fn flush(&self, features: Features) -> Flush {
        match self.backing {
            Backing::Block { flush: true, access, .. } if features.has(Feature::Flush) => {
                match access {
                    Access::ReadWrite => Flush::Available,
                    Access::ReadOnly => Flush::Needless,
                }
            }
            Backing::Block { .. } | Backing::Net { .. } => Flush::Unavailable,
        }
    }

    /// The descriptor's number; -1 under `--explain`.
    pub fn fd_number(&self) -> RawFd {
        self.fd.as_ref().map_or(-1, AsRawFd::as_raw_fd)
    }

    /// Checks the device against the minimum that the manifest requires
    /// (`docs/reference/manifest.md#requirements`).
    pub fn check_minimum(&self) -> Result<(), Error> {
        let name = || self.name.clone();
        match self.backing {
            Backing::Net { mtu: have, mtu_minimum: Some(least), .. }
                if u32::from(have.bytes()) < least =>
            {
                Err(Error::MtuMinimum { name: name(), have, least })
            }
            Backing::Block { capacity: have, capacity_minimum: Some(least), .. }
                if have < least =>
            {
                Err(Unfit::CapacityMinimum { name: name(), have, least }.into())
            }
            Backing::Net { .. } | Backing::Block { .. } => Ok(()),
        }
    }
}
