//! The seccomp tender: a guest as a Linux process that can make a handful of system calls.
//!
//! Phases, after those that all tenders share (`solo5_tender::boot`):
//!
//! | phase | file |
//! |---|---|
//! | guest memory at the guest's own addresses | [`place`] |
//! | segments | `solo5_tender::load` |
//! | timer and epoll set | [`run`] |
//! | boot information, manifest, command line | [`boot_info`] |
//! | rules and the filter | [`filter`], `solo5_tender::seccomp` |
//! | program, heap and stack unmapped, filter installed, registers cleared, jump | [`enter`] |
//!
//! The tender becomes the guest: nothing of it runs afterwards, and nothing of its memory stays but the
//! program's and the image's name.
//!
//! Adversary: a hostile image before the jump; after it, a hostile process whose only way out is
//! the filter.

// Input, guests and the host never cause a panic.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod boot_info;
pub mod enter;
pub mod filter;
pub mod place;
pub mod run;

use std::ffi::OsString;

/// The whole program, without its entry point: returns the exit status unless a guest runs.
/// `arguments` start with the program's own name.
pub fn main(arguments: &[OsString]) -> u8 {
    solo5_tender::boot::main(&run::Spt, arguments)
}
