//! Stands for `gdb` in a tender that is not for debugging: there is no option for it, so there is
//! never a [`Debugger`].

use std::os::fd::{OwnedFd, RawFd};
use std::path::Path;

use solo5_tender::boot::Gdb;
use solo5_tender::console::Console;
use solo5_tender::error::Error;
use solo5_tender::seccomp::Rule;
use solo5_tender::sys::Errno;

use crate::memory::SharedMemory;
use crate::running::Running;

/// No value of it exists.
#[derive(Debug)]
pub enum Debugger {}

fn none() -> Error {
    Error::Gdb { what: "this tender is not for debugging".to_owned(), error: Errno::NOSYS }
}

impl Debugger {
    /// Refuses.
    pub fn wait(_: &Gdb, _: &Path, _: &OwnedFd, _: u64, _: &Console) -> Result<Debugger, Error> {
        Err(none())
    }

    /// Of no debugger.
    pub fn fd(&self) -> RawFd {
        match *self {}
    }

    /// Of no debugger.
    pub(crate) fn run(self, _: Running, _: &SharedMemory) -> ! {
        match self {}
    }
}

/// No rules.
pub fn rules(_: RawFd, _: RawFd) -> Vec<Rule> {
    Vec::new()
}

/// Refuses.
pub fn backing(_: u64) -> Result<OwnedFd, Error> {
    Err(none())
}
