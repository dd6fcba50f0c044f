//! `solo5-hvt` run as a program on small images whose code is written here, byte by byte.
//!
//! | file | what |
//! |---|---|
//! | [`guest`] | images of a few instructions; running the tender on them |
//! | [`options`] | command lines, texts and statuses, without KVM |
//! | [`machine`] | the CPU and memory a guest finds, and what ends it |
//! | [`devices`] | console, clock, block devices, taps |
//! | [`safeguards`] | what confines a guest, taken away piece by piece |
//!
//! Those that run a guest need a KVM that runs code as a CPU does, and are skipped by name where
//! there is none.

mod devices;
mod guest;
mod machine;
mod options;
mod safeguards;
