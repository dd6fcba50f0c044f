//! The machine of a virtio unikernel: a PC without a tender (`docs/reference/virtio.md`).
//!
//! Drivers get what they need of the machine from [`Setup`] while they attach, and from
//! [`physical`] afterwards. The target calls the functions of [`devices`].

pub mod ram;

#[cfg(all(feature = "virtio", not(test)))]
pub(crate) mod devices;
#[cfg(all(feature = "virtio", not(test)))]
pub(crate) mod setup;
