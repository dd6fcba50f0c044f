//! The entry point of a tender, without the standard library's start-up.
//!
//! The standard start-up would install handlers for SIGSEGV and SIGBUS and ignore SIGPIPE. But an
//! spt guest inherits the process as it is, and hvt installs its own handlers. So the C library
//! calls our `main` directly.

use std::ffi::{CStr, OsStr, OsString, c_char, c_int};
use std::os::unix::ffi::OsStrExt;

pub use dlmalloc::GlobalDlmalloc;

/// Defines the C `main`. It calls `$main`, a function from the arguments to the exit status.
///
/// The program also needs `#![cfg_attr(not(test), no_main)]` at its top.
#[macro_export]
macro_rules! entry_point {
    ($main:expr) => {
        #[cfg(not(test))]
        mod entry_point {
            /// Makes the start faster: musl's allocator asks the kernel for only a few pages at a
            /// time.
            #[global_allocator]
            static ALLOCATOR: $crate::entry::GlobalDlmalloc = $crate::entry::GlobalDlmalloc;

            /// # Safety
            ///
            /// Only the C library calls it: `argv` points to `argc` pointers to strings.
            // SAFETY: no other function of this name exists in a program without the standard
            // start-up, and its type is the one the C library calls.
            #[unsafe(no_mangle)]
            unsafe extern "C" fn main(
                argc: ::std::ffi::c_int,
                argv: *const *const ::std::ffi::c_char,
            ) -> ::std::ffi::c_int {
                // SAFETY: the caller's promise.
                let arguments = unsafe { $crate::entry::arguments(argc, argv) };
                $main(&arguments).into()
            }
        }
    };
}

/// The arguments that the C library hands to `main`.
///
/// # Safety
///
/// `argv` points to `argc` pointers to terminated strings.
pub unsafe fn arguments(argc: c_int, argv: *const *const c_char) -> Vec<OsString> {
    let count = usize::try_from(argc).unwrap_or(0);
    let argument = |index| {
        // SAFETY: the caller's promise; `index` is below `argc`.
        let place = unsafe { argv.add(index) };
        // SAFETY: as above.
        let string = unsafe { *place };
        // SAFETY: as above.
        let string = unsafe { CStr::from_ptr(string) };
        OsStr::from_bytes(string.to_bytes()).to_owned()
    };
    (0..count).map(argument).collect()
}
