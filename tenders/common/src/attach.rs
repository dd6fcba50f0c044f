//! Devices of the host, opened and measured for a guest.
//!
//! [`net`] and [`block`] each open one device and read its properties from the descriptor. Other
//! modules check these against the manifest and the policy. [`Inherited`] separates descriptors
//! that the launcher passed on from those that the tender opened itself.

#[cfg(feature = "block")]
pub mod block;
pub mod device;
pub mod disks;
pub mod file_id;
pub mod inherited;
pub mod locks;
#[cfg(feature = "net")]
pub mod net;

pub use device::{Backing, Device};
pub use inherited::Inherited;
#[cfg(any(feature = "net", feature = "block"))]
use inherited::check_not_standard;
pub use locks::Locks;
pub use solo5_launch::{Access, FileId, NAMED_TWICE};
