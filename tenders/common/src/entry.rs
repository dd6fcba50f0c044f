//! The entry point of a tender, without the standard library's start-up.
//!
//! The standard start-up would install handlers for SIGSEGV and SIGBUS and ignore SIGPIPE. But an
//! spt guest inherits the process as it is, and hvt installs its own handlers. So the C library
//! calls our `main` directly.

use std::ffi::{CStr, OsStr, OsString, c_char, c_int};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::sync::OnceLock;

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

/// Address range of the strings that the kernel put at the end of the stack: first the arguments,
/// then the environment.
static STRINGS: OnceLock<Range<usize>> = OnceLock::new();

/// The arguments that the C library hands to `main`.
///
/// # Safety
///
/// `argv` points to `argc` pointers to strings and a null pointer, followed by the pointers to the
/// environment's strings and a null pointer. The strings do not change until [`wipe`].
pub unsafe fn arguments(argc: c_int, argv: *const *const c_char) -> Vec<OsString> {
    let count = usize::try_from(argc).unwrap_or(0);
    // SAFETY: the caller's promise.
    let arguments = unsafe { strings(argv) };
    // SAFETY: the environment follows the arguments and their null pointer.
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

/// The strings that `list` points to, up to the null pointer.
///
/// # Safety
///
/// `list` ends with a null pointer. Every pointer before it points to a terminated string that
/// lives as long as the process.
unsafe fn strings(list: *const *const c_char) -> Vec<&'static CStr> {
    let mut found = Vec::new();
    loop {
        // SAFETY: no earlier pointer was null, so the list goes on.
        let place = unsafe { list.add(found.len()) };
        // SAFETY: as above.
        let string = unsafe { *place };
        if string.is_null() {
            return found;
        }
        // SAFETY: it points to a terminated string that stays, as the caller promises.
        found.push(unsafe { CStr::from_ptr(string) });
    }
}

/// Overwrites arguments and environment, except for what `ps` is to show: the program's name and
/// `image`. Returns the address range of the whole area.
///
/// # Safety
///
/// Nothing uses the environment again, nor the original strings that [`arguments`] has copied.
pub unsafe fn wipe(image: &OsStr) -> Range<usize> {
    let Some(all) = STRINGS.get().cloned() else { return 0..0 };
    let at = std::ptr::with_exposed_provenance_mut::<u8>(all.start);
    // SAFETY: the strings are adjacent, and this process may write to its own stack.
    let bytes = unsafe { std::slice::from_raw_parts_mut(at, all.len()) };
    let kept = bytes.iter().position(|byte| *byte == 0).map_or(0, |end| end + 1);
    let image = image.as_bytes();
    let (_, rest) = bytes.split_at_mut(kept);
    let (name, rest) = rest.split_at_mut(image.len().min(rest.len()));
    // The image's name was one of the arguments, so it fits.
    name.copy_from_slice(image.get(..name.len()).unwrap_or_default());
    rest.fill(0);
    all
}
