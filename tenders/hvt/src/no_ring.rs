//! Stands for `ring` in a tender without the network module: there is never a ring.

use std::os::fd::RawFd;

use crate::devices::Devices;
use crate::fault::GuestFault;
use crate::memory::SharedMemory;
use crate::place::Loaded;

/// No value of it exists.
#[derive(Debug)]
pub enum Network {}

impl Network {
    /// Of no ring.
    pub fn drain_if_pending(&self) -> Result<(), GuestFault> {
        match *self {}
    }

    /// Of no ring.
    pub fn serve(&self) -> GuestFault {
        match *self {}
    }
}

/// No ring.
pub fn shared(
    _: &Loaded,
    _: &'static SharedMemory,
    _: &'static Devices,
    _: RawFd,
) -> Option<&'static Network> {
    None
}
