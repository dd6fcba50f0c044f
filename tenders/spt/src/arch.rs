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
