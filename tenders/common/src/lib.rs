//! Code that all tenders share. It takes a launch from its options to a guest that the policies
//! allow and whose devices are attached.
//!
//! | phase | file |
//! |---|---|
//! | the whole launch, in order | [`boot`] |
//! | options | `solo5_launch` |
//! | digest and signers of the image, if a policy needs them | [`seal`] |
//! | image | `solo5_image` |
//! | policy: first on option strings, then on open descriptors | [`gate`] |
//! | devices | [`attach`] |
//! | guest memory, segments | [`memory`], [`mod@load`] |
//! | guest command line, epoll set and timer | [`start`] |
//! | dropping privileges; checking that this host supports it | [`confine`], [`safeguard`] |
//! | system call filters | [`seccomp`] |
//!
//! Used by all phases: [`error`] (every code `T4xx` and its text), [`console`] (messages),
//! [`mod@explain`] (`--explain`), [`report`] and [`trace`] (`--report`), [`sys`] (system calls), [`process`] (the
//! parent of a guest), [`entry`] (the entry point of a tender), [`signals`] (signal dispositions),
//! [`root`] (whether the tender runs as root), [`arch`] (what depends on the processor).
//!
//! Threat model: a hostile image, read by `solo5_image`; a malformed policy, read by
//! `solo5_policy`; a hostile guest, which reaches only [`memory`] and the filter; and a host on
//! which any call can fail. None of them makes a tender panic.

// Input, guests and the host never cause a panic.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod arch;
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
#[cfg(feature = "net")]
pub mod netlink;
pub mod offer;
pub mod process;
pub mod report;
pub mod root;
pub mod safeguard;
pub mod seal;
pub mod seccomp;
pub mod signals;
pub mod start;
pub mod sys;
pub mod trace;
mod used_files;
