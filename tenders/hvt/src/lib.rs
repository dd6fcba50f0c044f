//! The KVM tender: a guest on a CPU of its own, in a process that can do little else.
//!
//! Phases, after those that all tenders share (`solo5_tender::boot`):
//!
//! | phase | file |
//! |---|---|
//! | the tender as `boot` sees it | [`run`] |
//! | the phases in order | `prepare` |
//! | the machine | [`vm`] |
//! | guest memory, loaded | [`place`] |
//! | memory map, page tables, registers | [`layout`] |
//! | what the CPU says of itself | [`cpuid`] |
//! | boot information, manifest, command line | [`boot_info`] |
//! | rules; giving up everything else | [`filter`], [`sandbox`] |
//! | why the CPU stopped → a hypercall | [`exit`] |
//! | answering it | [`hypercall`], `net`, `block`, [`devices`] |
//! | frames without stopping the CPU | [`ring`] |
//! | the CPU's loop | `running` |
//! | the end | [`end`], [`fault`], [`stack`], [`signals`] |
//! | `solo5-hvt-debug` alone | [`gdb`], `xsave`, [`dumpcore`] |
//!
//! Guest memory is reached through [`memory`] alone.
//!
//! Adversary: a hostile image before the guest runs, read by `solo5_image`; then a hostile guest with
//! all of a CPU's privileges inside its machine, which can change its memory at any time, while it
//! is read too; and failing devices. None of them makes the tender panic, and what a hypercall says
//! is checked as a copy.

// Input, guests and the host never cause a panic.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

#[cfg(not(target_arch = "x86_64"))]
compile_error!("solo5-hvt is written for x86_64; another architecture needs its own `layout`");

#[cfg(feature = "block")]
pub mod block;
pub mod boot_info;
pub mod cpuid;
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
#[cfg(feature = "debug")]
pub mod xsave;

use std::ffi::OsString;

/// The whole program, without its entry point: returns the exit status unless a guest runs.
/// `arguments` start with the program's own name. `DEBUG`: it is `solo5-hvt-debug`.
pub fn main<const DEBUG: bool>(arguments: &[OsString]) -> u8 {
    solo5_tender::boot::main(&run::Hvt::<DEBUG>, arguments)
}
