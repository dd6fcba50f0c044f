//! The machine of a virtio unikernel: a PC without a tender (`docs/reference/virtio.md`).
//!
//! | what | file |
//! |---|---|
//! | what the loader says: command line, memory | [`info`] |
//! | where memory lies, for the unikernel and for devices | [`ram`] |
//! | what may be done with which page | [`paging`], `pages.rs` |
//! | the console | `serial.rs` |
//! | clocks | `clock.rs`, [`rtc`] |
//! | sleeping, and interrupts | `interrupt.rs` |
//! | transports that the machine announces | [`transports`], `fw_cfg.rs` |
//! | the firmware's tables | [`acpi`], `firmware.rs` |
//! | the end | `power.rs` |
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
//! | finding devices on PCI | [`pci`] |
//! | registers of real devices | `hardware.rs` |
//! | which device is whose | [`names`] |
//! | finding and attaching devices; driving them | `attach.rs`, `devices.rs` |
//!
//! Adversary: the devices. All that they write is checked as input of a stranger is.

pub mod acpi;
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

#[cfg(all(feature = "virtio", not(test)))]
pub(crate) mod attach;
#[cfg(all(feature = "virtio", not(test)))]
pub(crate) mod clock;
#[cfg(all(feature = "virtio", not(test)))]
pub(crate) mod devices;
#[cfg(test)]
mod double;
#[cfg(all(feature = "virtio", not(test)))]
pub(crate) mod firmware;
#[cfg(all(feature = "virtio", not(test)))]
pub(crate) mod fw_cfg;
#[cfg(all(feature = "virtio", not(test)))]
pub(crate) mod hardware;
#[cfg(all(feature = "virtio", not(test)))]
pub(crate) mod interrupt;
#[cfg(all(feature = "virtio", not(test)))]
pub(crate) mod pages;
#[cfg(all(feature = "virtio", not(test)))]
pub(crate) mod power;
#[cfg(all(feature = "virtio", not(test)))]
pub(crate) mod serial;
#[cfg(all(feature = "virtio", not(test)))]
pub(crate) mod setup;
