//! The runner of virtio unikernels: QEMU makes the machine, and this program decides, as the tenders
//! do, whether it may start and with which devices.
//!
//! Its phases follow those that all tenders share (`solo5_tender::boot`):
//!
//! | phase | file |
//! |---|---|
//! | the `Tender` trait that `boot` calls | [`run`] |
//! | QEMU: where it is, which version, whether it can confine itself | [`qemu`] |
//! | whether guests can run on KVM here | [`accelerator`] |
//! | devices in their places | [`places`] |
//! | QEMU's arguments | [`vector`] |
//! | bhyve's commands, which are only shown | [`bhyve`] |
//! | the process, started | [`process`] |
//! | the guest's console and status | [`relay`] |
//! | whether the machine still runs | [`monitor`] |
//! | signals and the end | [`watch`] |
//!
//! QEMU gets descriptors of the devices and of a sealed copy of the image, never a path, so it opens
//! what was judged. No shell is involved.
//!
//! Threat model: before the guest runs, a hostile image, read by `solo5_image`. While it runs, a
//! hostile guest, and behind it a hostile QEMU: what comes through the two pipes and the monitor's socket is
//! any number of any bytes, or none. QEMU has no capability, gains no privilege, and confines itself with its own system call
//! filter if it was built with one.

// Input, guests and the host never cause a panic.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

#[cfg(not(target_arch = "x86_64"))]
compile_error!("virtio unikernels exist only for x86_64");

pub mod accelerator;
pub mod bhyve;
pub mod monitor;
pub mod places;
pub mod process;
pub mod qemu;
pub mod relay;
pub mod run;
pub mod vector;
pub mod watch;

use std::ffi::OsString;

/// The whole program apart from the C entry point. Returns the exit status if no guest is started;
/// otherwise it does not return. `arguments` starts with the program's name.
pub fn main(arguments: &[OsString]) -> u8 {
    solo5_tender::boot::main(&run::Virtio, arguments)
}
