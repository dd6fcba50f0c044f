//! The machine of a virtio unikernel: a PC without a tender (`docs/reference/virtio.md`).
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

pub mod disk;
pub mod names;
pub mod nic;
pub mod pci;
pub mod ram;
pub mod ring;
pub mod shared;
pub mod transport;

#[cfg(all(feature = "virtio", not(test)))]
pub(crate) mod attach;
#[cfg(all(feature = "virtio", not(test)))]
pub(crate) mod devices;
#[cfg(test)]
mod double;
#[cfg(all(feature = "virtio", not(test)))]
pub(crate) mod hardware;
#[cfg(all(feature = "virtio", not(test)))]
pub(crate) mod setup;
