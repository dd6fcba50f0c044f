//! The KVM tender: the guest runs on a virtual CPU of its own, in a process that can do little
//! else.
//!
//! Its phases follow those that all tenders share (`solo5_tender::boot`):
//!
//! | phase | file |
//! |---|---|
//! | the `Tender` trait that `boot` calls | [`run`] |
//! | the phases below, in order | `prepare` |
//! | the virtual machine | [`vm`] |
//! | guest memory: mapped and loaded | [`place`] |
//! | memory map | [`layout`] |
//! | page tables, the CPU and its registers, one file per architecture | [`arch`] |
//! | boot information, manifest, command line | [`boot_info`] |
//! | system call rules; dropping privileges | [`filter`], [`sandbox`] |
//! | decoding a CPU exit into a hypercall | [`exit`] |
//! | answering the hypercall | [`hypercall`], `net`, `block`, [`devices`] |
//! | the network ring: frames without CPU exits | [`ring`] |
//! | the run loop | `running` |
//! | the guest's end | [`end`], [`fault`], [`stack`], [`signals`] |
//! | only in `solo5-hvt-debug` | [`gdb`], `xsave`, [`dumpcore`] |
//!
//! Only [`memory`] accesses the memory of a running guest.
//!
//! Threat model: before the guest runs, a hostile image, read by `solo5_image`. While it runs, a
//! hostile guest, which has all of a CPU's privileges inside its machine and can change its memory
//! at any time, even while the tender reads it; and host devices that fail. None of them makes the
//! tender panic. Hypercall arguments are copied before they are checked.

// Input, guests and the host never cause a panic.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod arch;
#[cfg(feature = "block")]
pub mod block;
pub mod boot_info;
pub mod devices;
#[cfg_attr(not(feature = "debug"), path = "no_dumpcore.rs")]
pub mod dumpcore;
pub mod end;
pub mod exit;
pub mod fault;
pub mod filter;
#[cfg_attr(not(feature = "debug"), path = "no_gdb.rs")]
pub mod gdb;
pub mod hypercall;
mod kvm_error;
pub mod layout;
pub mod memory;
#[cfg(feature = "net")]
pub mod net;
pub mod place;
mod prepare;
#[cfg_attr(not(feature = "net"), path = "no_ring.rs")]
pub mod ring;
pub mod run;
mod running;
pub mod sandbox;
pub mod signals;
pub mod stack;
pub mod vm;
#[cfg(all(feature = "debug", target_arch = "x86_64"))]
pub mod xsave;

use std::ffi::OsString;

/// The whole program apart from the C entry point. Returns the exit status if no guest is started;
/// otherwise it does not return. `arguments` starts with the program's name. `DEBUG` is true for
/// `solo5-hvt-debug`.
pub fn main<const DEBUG: bool>(arguments: &[OsString]) -> u8 {
    solo5_tender::boot::main(&run::Hvt::<DEBUG>, arguments)
}
