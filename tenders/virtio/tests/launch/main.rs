//! Runs `solo5-virtio-run` as a program.
//!
//! | file | what |
//! |---|---|
//! | [`guest`] | images of a few instructions; a QEMU that only records; running the runner |
//! | [`options`] | command lines, policies, `--explain` |
//! | [`command`] | QEMU's command line and descriptors, seen by a QEMU that only records |
//! | [`waits`] | waits that end whatever QEMU, the guest or the reader does |
//! | [`machine`] | guests on the real QEMU: statuses, signals, locks, taps |

mod command;
mod guest;
mod machine;
mod options;
mod waits;
