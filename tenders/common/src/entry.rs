//! The arguments of a program without the standard library's start-up.

use std::ffi::{CStr, OsStr, OsString, c_char, c_int};
use std::os::unix::ffi::OsStrExt;

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
