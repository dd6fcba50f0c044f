//! Replaces `ring` in a tender without the network module, where a ring never exists.

use std::os::fd::RawFd;

use crate::devices::Devices;
use crate::fault::GuestFault;
use crate::memory::SharedMemory;
use crate::place::Loaded;

/// Uninhabited: no value exists.
#[derive(Debug)]
pub enum Network {}

impl Network {
    /// Never called: there is no value.
    pub fn drain_if_pending(&self) -> Result<(), GuestFault> {
        match *self {}
    }

    /// Never called: there is no value.
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
