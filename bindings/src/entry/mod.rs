//! Where a tender or a loader enters the guest: `_start`, one file for each target that has an application.
//!
//! It passes the boot information to the other modules, in order, and runs the application.

#[cfg(feature = "hvt")]
mod hvt;
#[cfg(feature = "spt")]
mod spt;
#[cfg(all(feature = "spt", target_arch = "powerpc64"))]
pub(crate) use spt::_start;
#[cfg(feature = "virtio")]
mod virtio;
