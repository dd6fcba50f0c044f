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

/// [`crate::arch::system_call`] through the C library.
///
/// # Safety
///
/// As for the call: what it writes is the caller's to write, and what it does to the process is wanted.
#[cfg(not(target_arch = "x86_64"))]
pub unsafe fn system_call(number: libc::c_long, arguments: [usize; 6]) -> isize {
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: the caller's promise.
    match unsafe { libc::syscall(number, a, b, c, d, e, f) } {
        -1 => -(last_error().raw_os_error() as isize),
        result => result as isize,
    }
}
