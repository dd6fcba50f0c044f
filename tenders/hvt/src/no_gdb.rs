//! Replaces `gdb` in the tender without debugging. It has no option for a debugger, so a
//! [`Debugger`] never exists.

use std::os::fd::{OwnedFd, RawFd};
use std::path::Path;

use kvm_ioctls::VmFd;
use solo5_tender::boot::Gdb;
use solo5_tender::console::Console;
use solo5_tender::error::Error;
use solo5_tender::seccomp::Rule;
use solo5_tender::sys::Errno;

use crate::memory::SharedMemory;
use crate::running::Running;

/// Uninhabited: no value exists.
#[derive(Debug)]
pub enum Debugger {}

/// Stands for what a machine has for a debugger.
#[derive(Clone, Copy, Debug)]
pub struct Limits;

impl Limits {
    /// Those of a machine.
    pub fn of(_: &VmFd) -> Limits {
        Limits
    }
}

/// Why there is none.
const NONE: &str = "this tender is not for debugging";

fn none() -> Error {
    Error::Gdb { what: NONE.to_owned(), error: Errno::NOSYS }
}

impl Debugger {
    /// Always fails.
    pub fn wait(
        _: (&Gdb, Limits),
        _: &Path,
        _: &OwnedFd,
        _: u64,
        _: &Console,
    ) -> Result<Debugger, Error> {
        Err(none())
    }

    /// Never called: there is no value.
    pub fn fd(&self) -> RawFd {
        match *self {}
    }

    /// Never called: there is no value.
    pub(crate) fn run(self, _: Running, _: &SharedMemory) -> ! {
        match self {}
    }
}

/// There is nothing to check.
pub fn check(_: &Gdb) -> Result<(), Error> {
    Ok(())
}

/// No rules.
pub fn rules(_: RawFd, _: RawFd) -> Vec<Rule> {
    Vec::new()
}

/// Always fails.
pub fn backing(_: u64) -> Result<OwnedFd, Error> {
    Err(none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tender_without_debugging_says_so_and_allows_no_call_for_it() {
        let error = backing(0x20_0000).unwrap_err();
        assert_eq!(
            error.line(),
            "GDB: this tender is not for debugging: Function not implemented (ENOSYS)"
        );
        assert!(rules(-1, -1).is_empty());
    }
}
