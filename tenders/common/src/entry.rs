//! The entry point of a tender, without the standard library's start-up.
//!
//! That start-up would set handlers for SIGSEGV and SIGBUS and ignore SIGPIPE. A guest of spt
//! inherits the process as it is, and hvt sets its handlers itself. The C library calls `main`.

use std::ffi::{CStr, OsStr, OsString, c_char, c_int};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::sync::OnceLock;

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

/// Addresses of the strings that the kernel has put at the end of the stack: arguments, then environment.
static STRINGS: OnceLock<Range<usize>> = OnceLock::new();

/// The arguments that the C library hands to `main`.
///
/// # Safety
///
/// `argv` points to `argc` pointers to strings, a null pointer, as many to the environment's, and
/// another; the strings stay as they are until [`wipe`].
pub unsafe fn arguments(argc: c_int, argv: *const *const c_char) -> Vec<OsString> {
    let count = usize::try_from(argc).unwrap_or(0);
    // SAFETY: the caller's promise.
    let arguments = unsafe { strings(argv) };
    // SAFETY: the environment is behind the arguments and their null pointer.
    let environment = unsafe { argv.add(count + 1) };
    // SAFETY: as above.
    let environment = unsafe { strings(environment) };
    let ends = |string: &&CStr| {
        let start = string.as_ptr().expose_provenance();
        [start, start + string.to_bytes_with_nul().len()]
    };
    let ends = || arguments.iter().chain(&environment).flat_map(ends);
    let at = argv.addr();
    let _ = STRINGS.set(ends().min().unwrap_or(at)..ends().max().unwrap_or(at));
    arguments.iter().map(|argument| OsStr::from_bytes(argument.to_bytes()).to_owned()).collect()
}

/// The strings that `list` points to, up to a null pointer.
///
/// # Safety
///
/// There is a null pointer, and all in front of it are to strings with a terminator, which stay.
unsafe fn strings(list: *const *const c_char) -> Vec<&'static CStr> {
    let mut found = Vec::new();
    loop {
        // SAFETY: no null pointer was before this one.
        let place = unsafe { list.add(found.len()) };
        // SAFETY: as above.
        let string = unsafe { *place };
        if string.is_null() {
            return found;
        }
        // SAFETY: it is to a string with a terminator, which stays.
        found.push(unsafe { CStr::from_ptr(string) });
    }
}

/// Overwrites arguments and environment. What `ps` shows stays: the program's name and `image`. Returns the
/// addresses of all of it.
///
/// # Safety
///
/// Nobody uses the environment again, nor the strings that [`arguments`] has copied.
pub unsafe fn wipe(image: &OsStr) -> Range<usize> {
    let Some(all) = STRINGS.get().cloned() else { return 0..0 };
    let at = std::ptr::with_exposed_provenance_mut::<u8>(all.start);
    // SAFETY: the strings lie one behind the other, and this process may write to its own stack.
    let bytes = unsafe { std::slice::from_raw_parts_mut(at, all.len()) };
    let kept = bytes.iter().position(|byte| *byte == 0).map_or(0, |end| end + 1);
    let image = image.as_bytes();
    let (_, rest) = bytes.split_at_mut(kept);
    let (name, rest) = rest.split_at_mut(image.len().min(rest.len()));
    // The name was one of the arguments, so there is room for it.
    name.copy_from_slice(image.get(..name.len()).unwrap_or_default());
    rest.fill(0);
    all
}
