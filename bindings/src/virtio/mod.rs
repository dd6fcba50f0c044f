//! The machine of a virtio unikernel: a PC, or a `virt` machine of Arm, without a tender
//! (`docs/reference/virtio.md`).
//!
//! | what | file, of a PC |
//! |---|---|
//! | what the loader says: command line, memory | [`info`] |
//! | where memory lies, for the unikernel and for devices | [`ram`] |
//! | what may be done with which page | [`paging`], `pages.rs` |
//! | the console | `serial.rs` |
//! | clocks | `clock.rs`, [`rtc`] |
//! | sleeping, and interrupts | `interrupt.rs` |
//! | transports that the machine announces | [`transports`], `fw_cfg.rs` |
//! | the firmware's tables | [`acpi`], `firmware.rs` |
//! | PCI's configuration space | `configuration.rs` |
//! | the end | `power.rs` |
//!
//! A machine of Arm has the same parts in `virt/`, and says in a device tree, [`tree`], what a PC says in
//! its own ways.
//!
//! Drivers get what they need of the machine from [`Setup`] while they attach, and from
//! [`physical`] afterwards. The target calls the functions of [`devices`].
//!
//! | what a driver is made of | file |
//! |---|---|
//! | memory that a device changes | [`shared`] |
//! | queues | [`ring`] |
//! | negotiation, waits with an end | [`transport`] |
//! | block and network devices | [`disk`], [`nic`] |
//! | finding devices on PCI; their addresses, where no firmware has set them | [`pci`], [`bars`] |
//! | registers of real devices; one access to one | `hardware.rs`, `register.rs` |
//! | which device is whose | [`names`] |
//! | finding and attaching devices; driving them | `attach.rs`, `devices.rs` |
//!
//! Adversary: the devices. All that they write is checked as input of a stranger is.

pub mod acpi;
pub mod bars;
pub mod disk;
pub mod info;
pub mod names;
pub mod nic;
pub mod paging;
pub mod pci;
pub mod ram;
pub mod ring;
pub mod rtc;
pub mod shared;
pub mod transport;
pub mod transports;
#[cfg(any(test, all(feature = "virtio", target_arch = "aarch64")))]
pub mod tree;

#[cfg(all(feature = "virtio", not(test)))]
pub(crate) mod attach;
#[cfg(all(feature = "virtio", not(test), target_arch = "x86_64"))]
pub(crate) mod clock;
#[cfg(all(feature = "virtio", not(test), target_arch = "x86_64"))]
pub(crate) mod configuration;
#[cfg(all(feature = "virtio", not(test)))]
pub(crate) mod devices;
#[cfg(test)]
mod double;
#[cfg(all(feature = "virtio", not(test), target_arch = "x86_64"))]
pub(crate) mod firmware;
#[cfg(all(feature = "virtio", not(test), target_arch = "x86_64"))]
pub(crate) mod fw_cfg;
#[cfg(all(feature = "virtio", not(test)))]
pub(crate) mod hardware;
#[cfg(all(feature = "virtio", not(test), target_arch = "x86_64"))]
pub(crate) mod interrupt;
#[cfg(all(feature = "virtio", not(test)))]
pub(crate) mod pages;
#[cfg(all(feature = "virtio", not(test), target_arch = "x86_64"))]
pub(crate) mod power;
#[cfg(all(feature = "virtio", not(test)))]
pub(crate) mod register;
#[cfg(all(feature = "virtio", not(test), target_arch = "x86_64"))]
pub(crate) mod serial;
#[cfg(all(feature = "virtio", not(test)))]
pub(crate) mod setup;
#[cfg(all(feature = "virtio", not(test), target_arch = "aarch64"))]
mod virt;
#[cfg(all(feature = "virtio", not(test), target_arch = "aarch64"))]
pub(crate) use virt::{clock, configuration, interrupt, power, serial};
