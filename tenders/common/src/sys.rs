//! Safe functions for the system calls that the tenders need and `rustix` does not wrap.
//!
//! No function here knows what a tender is. Each is one call, or the smallest useful group of
//! calls, and returns the kernel's result. Errors are [`Errno`]; [`strerror`] gives the text.

pub mod descriptors;
mod errno;
pub mod filters;
pub mod image;
pub mod landlock;
pub mod limits;
pub(crate) mod ptrace;
#[cfg(feature = "net")]
pub mod tap;
pub mod users;

pub use errno::{Errno, name, strerror};
pub(crate) use errno::{check, last_error};
