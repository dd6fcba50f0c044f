//! Devices of the host, opened and measured for a guest.
//!
//! [`net`] and [`block`] each open one device and read its properties from the descriptor. Other
//! modules check these against the manifest and the policy. [`Inherited`] separates descriptors
//! that the launcher passed on from those that the tender opened itself.

#[cfg(feature = "block")]
pub mod block;
pub mod device;
pub mod disks;
pub mod extent;
pub mod file_id;
pub mod inherited;
pub mod locks;
#[cfg(feature = "net")]
pub mod net;

pub use device::{Backing, Device};
pub use file_id::FileId;
#[cfg(any(feature = "net", feature = "block"))]
use inherited::check_not_standard;
pub use inherited::{Inherited, NAMED_TWICE, check_descriptors};
pub use locks::Locks;
pub use solo5_launch::Access;
