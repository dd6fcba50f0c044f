//! Entry point of `solo5-spt`.
//!
//! The standard library's start-up is left out: it would set handlers for SIGSEGV and SIGBUS and
//! ignore SIGPIPE, and the guest inherits this process as it is. The C library calls `main`.

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
        // SAFETY: the C library passes exactly that.
        let arguments = unsafe { solo5_tender::sys::arguments(argc, argv) };
        solo5_spt::main(&arguments).into()
    }
}
