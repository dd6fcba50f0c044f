//! What the tenders share: a launch from its options to a guest that is allowed and has its
//! devices.
//!
//! | phase | file |
//! |---|---|
//! | the whole launch, in order | [`boot`] |
//! | options | `solo5_launch` |
//! | digest and signers of the image, if a policy asks | [`seal`] |
//! | image | `solo5_image` |
//! | what the manifest asks of the launch | [`needs`] |
//! | policy, on strings and then on descriptors | [`gate`] |
//! | devices | [`attach`] |
//! | guest memory, segments | [`memory`], [`mod@load`] |
//! | command line, events | [`start`] |
//! | what is given up, and whether it can be | [`confine`], [`safeguard`] |
//! | system call filters | [`seccomp`] |
//!
//! Beside them: [`error`] (every code `T4xx` and its text), [`console`] (what is said),
//! [`mod@explain`] (`--explain`), [`report`] (`--report`), [`sys`] (system calls), [`entry`] (the
//! entry point of a tender), [`signals`].
//!
//! Adversary: a hostile image, read by `solo5_image`; a policy, read by `solo5_policy`; a hostile
//! guest, which meets only [`memory`] and the filter; and a host that fails at any call. None of
//! them makes a tender panic.

// Input, guests and the host never cause a panic.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod attach;
pub mod boot;
pub mod confine;
pub mod console;
pub mod entry;
pub mod error;
pub mod explain;
pub mod gate;
pub mod load;
pub mod memory;
pub mod needs;
#[cfg(feature = "net")]
pub mod netlink;
pub mod report;
pub mod safeguard;
pub mod seal;
pub mod seccomp;
pub mod signals;
pub mod start;
pub mod sys;
