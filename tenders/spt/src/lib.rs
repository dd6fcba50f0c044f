//! The seccomp tender: the guest runs as a Linux process that can make only a handful of system
//! calls.
//!
//! Its phases follow those that all tenders share (`solo5_tender::boot`):
//!
//! | phase | file |
//! |---|---|
//! | guest memory at the guest's own addresses | [`place`] |
//! | segments | `solo5_tender::load`, [`solo5_image::pages`] |
//! | timer and epoll set | [`run`] |
//! | boot information, manifest, command line | [`boot_info`] |
//! | rules and the filter | [`filter`], `solo5_tender::seccomp` |
//! | program, heap and stack unmapped, filter installed, registers cleared, jump | [`enter`], `arch` |
//!
//! The tender's process becomes the guest. Two things of the tender stay: the names of the program
//! and the image, in the guest's low memory, and one mapping with the last instructions and the
//! filter. Of that code only a signal handler can still run, and only in process 1 of a container.
//!
//! Threat model: before the jump, a hostile image; after it, a hostile process whose only way out
//! is a call that the filter allows.

// Input, guests and the host never cause a panic.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod arch;
pub mod boot_info;
pub mod enter;
pub mod filter;
mod leave;
pub mod place;
pub mod run;

use std::ffi::OsString;

/// The whole program apart from the C entry point. Returns the exit status if no guest is started;
/// otherwise it does not return. `arguments` starts with the program's name.
pub fn main(arguments: &[OsString]) -> u8 {
    solo5_tender::boot::main(&run::Spt, arguments)
}
