//! `solo5-virtio-mkimage`: a unikernel → a disk that a BIOS or UEFI boots, a raw kernel, or a container image.
//!
//! | phase | file | from → to |
//! |---|---|---|
//! | 1 | [`cli`] | arguments → options |
//! | 2 | [`unikernel`] | file → its bytes, audited |
//! | 3 | [`payload`] | Multiboot header → what belongs where in memory |
//! | 4 | [`boot`], [`layout`], `boot/*` | payload and arguments → boot sector, loader, system partition, [`disk`] |
//! | 5 | [`format`] | disk → `raw`, `tar`, `qcow2`, `vmdk`, `vhd` |
//! | 5 | [`kernel`] | unikernel for aarch64 → `kernel`, the raw form of Linux kernels |
//! | 5 | [`oci`] | unikernel → image layout |
//! | 6 | [`record`], [`epoch`] | digests of everything → `IMAGE.json`; the one time in an image |
//! | 7 | [`place`] | where image and record go, and what may be replaced there |
//! | 8 | [`make`](mod@make) | all of it, put in its place in one step |
//!
//! `boot/sector.S` and `boot/loader.S` run on the machine that boots the disk; with UEFI, `boot/uefi.c`
//! and `boot/uefi.S` do. Either loader copies sectors and checks their CRC-32; everything else is done
//! here.
//!
//! Adversary: a hostile unikernel of any bytes; it is read once, and the audit, the headers, the digest
//! and the image are about the same bytes. On the booting machine: a damaged disk, which the loader
//! reports instead of entering. Who can write to the disk decides what is booted.

#![forbid(unsafe_code)]

pub mod boot;
pub mod cli;
pub mod codes;
pub mod disk;
pub mod epoch;
pub mod format;
pub mod kernel;
pub mod layout;
pub mod make;
pub mod name;
pub mod oci;
pub mod payload;
pub mod place;
pub mod record;
pub mod unikernel;

/// The name of the program.
pub const PROGRAM: &str = "solo5-virtio-mkimage";
