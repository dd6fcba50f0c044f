//! Entry point of `solo5-spt`.
//!
//! The standard library's start-up is left out: it would set handlers for SIGSEGV and SIGBUS and
//! ignore SIGPIPE, and the guest inherits this process as it is. It is also why static linking
//! starts fast. The C library calls `main` directly.

#![cfg_attr(not(test), no_main)]

#[cfg(not(test))]
mod start {
    use std::ffi::{CStr, OsStr, OsString, c_char, c_int};
    use std::os::unix::ffi::OsStrExt;

    /// # Safety
    ///
    /// Called by the C library alone: `argv` points to `argc` pointers to strings.
    // SAFETY: no other function of this name exists in a program without the standard start-up,
    // and its type is the one the C library calls.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn main(argc: c_int, argv: *const *const c_char) -> c_int {
        let count = usize::try_from(argc).unwrap_or(0);
        let arguments: Vec<OsString> = (0..count)
            .map(|index| {
                // SAFETY: `index` is below `argc`, so this is one of the pointers.
                let argument = unsafe { *argv.add(index) };
                // SAFETY: each of them is to a string with a terminator, which stays.
                let argument = unsafe { CStr::from_ptr(argument) };
                OsStr::from_bytes(argument.to_bytes()).to_owned()
            })
            .collect();
        solo5_spt::main(&arguments).into()
    }
}
