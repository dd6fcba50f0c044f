//! The differences between tenders and hypervisors. Each target is one file.
//!
//! A target that runs an application has its `_start` in `entry/`. It offers what `api.rs`, `start.rs`
//! and `notes.rs` use: `TARGET`, `ABI_VERSION`, `FEATURES`, `console_write`, `exit`, `panic`, `clock_monotonic`,
//! `clock_wall`, `wait`, `set_tls_base`, `net_*` and `block_*`. After calls of `net_submit` comes one of
//! `net_submitted`. A target without a kernel also offers
//! `fault`, which ends the guest after a trap.

#[cfg(feature = "hvt")]
mod hvt;
#[cfg(feature = "hvt")]
pub(crate) use hvt::*;

#[cfg(feature = "spt")]
mod spt;
#[cfg(feature = "spt")]
pub(crate) use spt::*;

#[cfg(feature = "stub")]
mod stub;
#[cfg(feature = "stub")]
pub(crate) use stub::*;

#[cfg(feature = "virtio")]
mod virtio;
#[cfg(feature = "virtio")]
pub(crate) use virtio::*;

/// Prints `text`, whatever the log level, and ends the guest (`docs/reference/guest-api.md#abort`).
#[cfg(feature = "guest")]
#[cold]
pub(crate) fn abort(text: &[u8]) -> ! {
    console_write(text);
    exit(crate::api_types::EXIT_ABORT)
}
