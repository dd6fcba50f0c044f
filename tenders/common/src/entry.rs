//! The entry point of a tender, without the standard library's start-up.
//!
//! That start-up would set handlers for SIGSEGV and SIGBUS and ignore SIGPIPE. A guest of spt
//! inherits the process as it is, and hvt sets its handlers itself. The C library calls `main`.

use std::ffi::{CStr, OsStr, OsString, c_char, c_int};
use std::os::unix::ffi::OsStrExt;

pub use dlmalloc::GlobalDlmalloc;

/// Makes `$main`, a function from the arguments to the exit status, what the C library calls.
///
/// A program that uses it has `#![cfg_attr(not(test), no_main)]` at its top.
#[macro_export]
macro_rules! entry_point {
    ($main:expr) => {
        #[cfg(not(test))]
        mod entry_point {
            /// Starts faster than musl's allocator, which asks the kernel for a few pages at a time.
            #[global_allocator]
            static ALLOCATOR: $crate::entry::GlobalDlmalloc = $crate::entry::GlobalDlmalloc;

            /// # Safety
            ///
            /// Called by the C library alone: `argv` points to `argc` pointers to strings.
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
/// `argv` points to `argc` pointers to strings that stay as they are.
pub unsafe fn arguments(argc: c_int, argv: *const *const c_char) -> Vec<OsString> {
    let count = usize::try_from(argc).unwrap_or(0);
    (0..count)
        .map(|index| {
            // SAFETY: `index` is below `argc`, so this is where one of the pointers is.
            let place = unsafe { argv.add(index) };
            // SAFETY: as above.
            let argument = unsafe { *place };
            // SAFETY: each of them is to a string with a terminator, which stays.
            let argument = unsafe { CStr::from_ptr(argument) };
            OsStr::from_bytes(argument.to_bytes()).to_owned()
        })
        .collect()
}
