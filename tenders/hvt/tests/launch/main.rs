//! Runs `solo5-hvt` as a program, on small images whose machine code the tests write byte by byte.
//!
//! | file | what |
//! |---|---|
//! | [`guest`] | images of a few instructions; running the tender on them |
//! | [`options`] | command lines, texts and statuses, without KVM |
//! | [`machine`] | CPU and memory at entry; guest faults |
//! | [`devices`] | console, clock, block devices, reports, the sandbox |
//! | [`safeguards`], [`without`] | hosts that lack one safeguard |
//!
//! Tests that run a guest need a KVM that runs code on the CPU. Without one they are skipped, and
//! print their names.

// The machine code is of x86_64. End-to-end tests run guests on every architecture.
#![cfg(target_arch = "x86_64")]

mod devices;
mod guest;
mod machine;
mod options;
mod safeguards;
#[path = "../../../common/tests/shared/without.rs"]
mod without;
