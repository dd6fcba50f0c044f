//! Stands for `dumpcore` in a tender that is not for debugging: there is no option for it, so there
//! is never a [`Dump`].

use std::ffi::OsStr;
use std::os::fd::RawFd;

use solo5_abi::hvt::x86_64::TrapFrame;
use solo5_tender::error::Error;
use solo5_tender::seccomp::Rule;
use solo5_tender::sys::Errno;

use crate::memory::SharedMemory;
use crate::vm::Vcpu;

/// No value of it exists.
#[derive(Debug)]
pub enum Dump {}

impl Dump {
    /// Refuses.
    pub fn create(_: &OsStr, _: u64) -> Result<Dump, Error> {
        let what = "this tender is not for debugging".to_owned();
        Err(Error::Dumpcore { what, error: Errno::NOSYS })
    }

    /// Of no dump.
    pub fn directory(&self) -> RawFd {
        match *self {}
    }

    /// Of no dump.
    pub fn descriptors(&self) -> [RawFd; 2] {
        match *self {}
    }

    /// Of no dump.
    pub fn file(&self) -> RawFd {
        match *self {}
    }

    /// Of no dump.
    pub fn remove(&self) {
        match *self {}
    }

    /// Of no dump.
    pub fn write(&self, _: &Vcpu, _: &SharedMemory, _: Option<TrapFrame>, _: &str) {
        match *self {}
    }
}

/// No rules.
pub fn rules(_: RawFd, _: RawFd, _: RawFd) -> Vec<Rule> {
    Vec::new()
}
