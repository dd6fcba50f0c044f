//! What a guest's entry needs of the processor's architecture: the tender's last instructions and how to
//! reach them. Each architecture has one file with the same names in it.
//!
//! The instructions are between the symbols `solo5_spt_leave` and `solo5_spt_leave_end`. They run at
//! another address than they are linked to, so they refer to nothing outside. In this order, they unmap
//! ranges of addresses, install the filter, close a descriptor, clear all registers, and jump to the
//! guest. At `solo5_spt_signal`, in between, is a signal handler that ends the process with status 128
//! plus the signal's number.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(all(target_arch = "powerpc64", target_endian = "little"))]
mod ppc64le;
#[cfg(not(target_arch = "x86_64"))]
mod probe;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "aarch64")]
pub(crate) use aarch64::{STACK_OFFSET, STATE, addresses_end, leave, rules, state};
#[cfg(all(target_arch = "powerpc64", target_endian = "little"))]
pub(crate) use ppc64le::{STACK_OFFSET, STATE, addresses_end, leave, rules, state};
#[cfg(target_arch = "x86_64")]
pub(crate) use x86_64::{STACK_OFFSET, STATE, addresses_end, leave, rules, state};

#[cfg(not(any(
    target_arch = "x86_64",
    target_arch = "aarch64",
    all(target_arch = "powerpc64", target_endian = "little")
)))]
compile_error!(
    "solo5-spt is written for x86_64, aarch64 and ppc64le; another architecture needs its own file here"
);

/// What the copied instructions work on. Addresses are of their mapping.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leave {
    /// The copied instructions.
    pub(crate) code: u64,
    /// The words of [`state`].
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "no words there"))]
    pub(crate) state: u64,
    /// Pairs of address and length to unmap, ended by a length of 0.
    pub(crate) ranges: u64,
    /// A `struct sock_fprog`.
    pub(crate) program: u64,
    /// Size of the host's pages.
    #[cfg_attr(target_arch = "x86_64", allow(dead_code, reason = "it has only one size"))]
    pub(crate) page: u64,
    /// The guest's entry point.
    pub(crate) entry: u64,
    /// The guest's stack pointer.
    pub(crate) stack: u64,
    /// The guest's argument.
    pub(crate) boot_info: u64,
    /// A descriptor to close after the filter is installed, or -1.
    pub(crate) close: i64,
}
