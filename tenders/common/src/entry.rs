//! The entry point of a tender, without the standard library's start-up.
//!
//! The standard start-up would install handlers for SIGSEGV and SIGBUS and ignore SIGPIPE. But an
//! spt guest inherits the process as it is, and hvt installs its own handlers. So the C library
//! calls our `main` directly.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;
use std::ffi::{CStr, OsStr, OsString, c_char, c_int};
use std::os::unix::ffi::OsStrExt;

use dlmalloc::Dlmalloc;
pub use dlmalloc::GlobalDlmalloc;

/// The allocator of a program that never has a second thread, so it needs no lock.
pub struct OneThread(UnsafeCell<Dlmalloc>);

impl OneThread {
    /// An allocator without memory.
    ///
    /// # Safety
    ///
    /// Only one thread ever allocates and frees with it.
    pub const unsafe fn new() -> OneThread {
        OneThread(UnsafeCell::new(Dlmalloc::new()))
    }
}

impl std::fmt::Debug for OneThread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OneThread")
    }
}

// SAFETY: by the contract of `new`, only one thread uses it.
unsafe impl Sync for OneThread {}

// SAFETY: memory comes from `Dlmalloc`, which keeps the contract: blocks of at least that size and alignment
// that do not overlap. No reference to it outlives a call, calls do not nest, and there is one thread.
unsafe impl GlobalAlloc for OneThread {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        let allocator = unsafe { &mut *self.0.get() };
        // SAFETY: the size of a layout is not too large for its alignment.
        unsafe { allocator.malloc(layout.size(), layout.align()) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        let allocator = unsafe { &mut *self.0.get() };
        // SAFETY: as in `alloc`.
        unsafe { allocator.calloc(layout.size(), layout.align()) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        let allocator = unsafe { &mut *self.0.get() };
        // SAFETY: the caller's promise: a block of this allocator with this layout.
        unsafe { allocator.free(block, layout.size(), layout.align()) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above.
        let allocator = unsafe { &mut *self.0.get() };
        // SAFETY: as in `dealloc`.
        unsafe { allocator.realloc(block, layout.size(), layout.align(), size) }
    }
}

/// Defines the C `main`. It calls `$main`, a function from the arguments to the exit status. With
/// `unsafe one_thread` the program promises that it never starts a thread.
///
/// The program also needs `#![cfg_attr(not(test), no_main)]` at its top.
#[macro_export]
macro_rules! entry_point {
    (unsafe one_thread $main:expr) => {
        // SAFETY: whoever wrote `unsafe` promises that the program starts no thread.
        $crate::entry_point!(@ $main, OneThread, unsafe { $crate::entry::OneThread::new() });
    };
    ($main:expr) => {
        $crate::entry_point!(@ $main, GlobalDlmalloc, $crate::entry::GlobalDlmalloc);
    };
    (@ $main:expr, $allocator:ident, $new:expr) => {
        #[cfg(not(test))]
        mod entry_point {
            /// Makes the start faster: musl's allocator asks the kernel for only a few pages at a
            /// time.
            #[global_allocator]
            static ALLOCATOR: $crate::entry::$allocator = $new;

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
