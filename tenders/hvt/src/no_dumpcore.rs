//! Replaces `dumpcore` in the tender without debugging. It has no option for core dumps, so a
//! [`Dump`] never exists.

use std::ffi::OsStr;
use std::os::fd::RawFd;

use solo5_tender::error::Error;
use solo5_tender::seccomp::Rule;
use solo5_tender::sys::Errno;

use crate::arch::TrapFrame;
use crate::memory::SharedMemory;
use crate::vm::Vcpu;

/// Uninhabited: no value exists.
#[derive(Debug)]
pub enum Dump {}

/// There is nothing to check.
pub fn check(_: &OsStr) -> Result<(), Error> {
    Ok(())
}

impl Dump {
    /// Always fails.
    pub fn create(_: &OsStr, _: u64) -> Result<Dump, Error> {
        Err(Error::Dumpcore {
            what: "this tender is not for debugging".to_owned(),
            error: Errno::NOSYS,
        })
    }

    /// Never called: there is no value.
    pub fn directory(&self) -> RawFd {
        match *self {}
    }

    /// Never called: there is no value.
    pub fn descriptors(&self) -> [RawFd; 2] {
        match *self {}
    }

    /// Never called: there is no value.
    pub fn file(&self) -> RawFd {
        match *self {}
    }

    /// Never called: there is no value.
    pub fn remove(&self) {
        match *self {}
    }

    /// Never called: there is no value.
    pub fn write(&self, _: &Vcpu, _: &SharedMemory, _: Option<TrapFrame>, _: &str) {
        match *self {}
    }
}

/// No rules.
pub fn rules(_: RawFd, _: RawFd, _: RawFd) -> Vec<Rule> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tender_without_debugging_says_so_and_allows_no_call_for_it() {
        let error = Dump::create(OsStr::new("/tmp"), 0x20_0000).unwrap_err();
        assert_eq!(
            error.line(),
            "dumpcore: this tender is not for debugging: Function not implemented (ENOSYS)"
        );
        assert!(rules(-1, -1, -1).is_empty());
    }
}
