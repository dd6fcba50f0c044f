//! Entry point of `solo5-hvt`.
//!
//! The standard library's start-up is left out: the tender sets its signal handlers itself, and
//! starts faster without. The C library calls `main` directly.

#![cfg_attr(not(test), no_main)]

#[cfg(not(test))]
mod start {
    use std::ffi::{c_char, c_int};

    /// Programs start sooner with it than with musl's, which asks the kernel for a few pages at a time.
    #[global_allocator]
    static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

    /// # Safety
    ///
    /// Called by the C library alone: `argv` points to `argc` pointers to strings.
    // SAFETY: no other function of this name exists in a program without the standard start-up,
    // and its type is the one the C library calls.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn main(argc: c_int, argv: *const *const c_char) -> c_int {
        // SAFETY: the caller's promise.
        let arguments = unsafe { solo5_tender::entry::arguments(argc, argv) };
        solo5_hvt::main::<false>(&arguments).into()
    }
}
