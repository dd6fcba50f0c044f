//! Between the bindings and a Rust program: what [`main!`](crate::main!) expands to.
//!
//! The macro defines the allocator, the panic handler and the unwinder's names in the program, not
//! here. So a crate that only depends on this one, and its tests on the host, keep their own.

use core::ffi::{CStr, c_char, c_int};
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};

use crate::start::Start;
use crate::status::Termination;
use crate::{println, sys};

pub use crate::heap::Heap;
use crate::heap::heap_part;

/// `struct solo5_start_info` (docs/reference/guest-api.md#lifecycle).
#[repr(C)]
pub struct StartInfo {
    /// NUL-terminated command line, never null.
    pub cmdline: *const c_char,
    /// First address of the region for the heap, and for the stack if the manifest asks for none.
    pub heap_start: usize,
    /// Length of that region in bytes. A stack in it begins at its end.
    pub heap_size: usize,
}

#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<StartInfo>() == 24);

/// Runs the program: the whole of `solo5_app_main`.
///
/// # Safety
///
/// To be called once, by the bindings, with their start information.
pub unsafe fn enter<T: Termination>(
    info: *const StartInfo,
    heap: &'static Heap,
    main: fn(&Start) -> T,
) -> c_int {
    // SAFETY: the bindings pass a structure that lives as long as the guest
    // (docs/reference/guest-api.md#lifecycle).
    let info = unsafe { &*info };
    let region = core::ptr::with_exposed_provenance_mut(info.heap_start);
    let on_stack = 0u8;
    let size = heap_part(info.heap_start, info.heap_size, (&raw const on_stack).addr());
    // SAFETY: the region is the program's alone; a stack at its top keeps its share.
    unsafe { heap.start(region, size) };
    // SAFETY: never null, NUL-terminated, and as long-lived as the guest
    // (docs/reference/guest-api.md#lifecycle).
    let command_line = unsafe { CStr::from_ptr(info.cmdline) };
    c_int::from(main(&Start::new(command_line)).report().code())
}

/// Prints where and why the program panicked, and ends it with status 255.
pub fn panic(info: &PanicInfo<'_>) -> ! {
    static PANICKING: AtomicBool = AtomicBool::new(false);
    if PANICKING.swap(true, Ordering::Relaxed) {
        println!("(printing the message panicked as well)");
    } else {
        // The location is printed separately: the message comes from program code, which may panic
        // again.
        match info.location() {
            Some(location) => println!("panicked at {location}:"),
            None => println!("panicked:"),
        }
        println!("{}", info.message());
    }
    sys::abort()
}

/// Makes the function `$main` the program.
///
/// It takes a [`&Start`](crate::Start) and returns anything that is a
/// [`Termination`](crate::Termination): `()`, a [`Status`](crate::Status), or a `Result` of those
/// whose error can be displayed. The macro also defines the global allocator and the panic handler,
/// so it is used once, in the program's crate. A program compiled as a test has those of `std`, and
/// the macro only refers to the function.
///
/// ```ignore
/// // Not compiled with the documentation, which is built with `std` and its panic handler;
/// // `examples/http` is a program that the tests build and run.
/// #![no_std]
/// #![no_main]
///
/// use solo5::{Instant, Net, Start, yield_until};
///
/// solo5::main!(count);
///
/// /// Ends when a hundred frames have come.
/// fn count(_start: &Start) -> Result<(), solo5::Error> {
///     let mut net = Net::acquire("service")?;
///     let mut buffer = [0; 2048];
///     let mut frames = 0;
///     while frames < 100 {
///         yield_until(Instant::MAX);
///         while net.read(&mut buffer)?.is_some() {
///             frames += 1;
///         }
///     }
///     Ok(())
/// }
/// ```
#[macro_export]
macro_rules! main {
    ($main:path) => {
        #[cfg(test)]
        const _: () = {
            let _ = $main;
        };
        #[cfg(not(test))]
        const _: () = {
            #[global_allocator]
            static HEAP: $crate::runtime::Heap = $crate::runtime::Heap::new();

            #[panic_handler]
            fn panic(info: &::core::panic::PanicInfo<'_>) -> ! {
                $crate::runtime::panic(info)
            }

            /// Called by the bindings when the platform is ready.
            #[unsafe(no_mangle)]
            unsafe extern "C" fn solo5_app_main(
                info: *const $crate::runtime::StartInfo,
            ) -> ::core::ffi::c_int {
                // SAFETY: the bindings call this function once, with their start information.
                unsafe { $crate::runtime::enter(info, &HEAP, $main) }
            }

            // The prebuilt `core` and `alloc` are compiled for unwinding: their tables name a
            // personality routine and their landing pads end in `_Unwind_Resume`. With `panic =
            // "abort"` neither is ever called, but the linker still needs the names.
            #[unsafe(no_mangle)]
            extern "C" fn rust_eh_personality() -> ! {
                $crate::abort()
            }

            #[unsafe(no_mangle)]
            extern "C" fn _Unwind_Resume() -> ! {
                $crate::abort()
            }
        };
    };
}

#[cfg(test)]
mod tests {
    use core::alloc::{GlobalAlloc, Layout};

    use super::*;
    use crate::{Status, host};

    static HEAP: Heap = Heap::new();

    fn program(start: &Start) -> Status {
        // SAFETY: the layout has a size.
        let block = unsafe { HEAP.alloc(Layout::new::<[u64; 1000]>()) };
        assert!(!block.is_null(), "the heap is ready before the program");
        let words = start.arguments().unwrap().count();
        crate::println!("{words} in {:?}", start.command_line().unwrap());
        Status::new(7).unwrap()
    }

    #[test]
    fn a_program_gets_its_heap_and_command_line_and_its_status_is_returned() {
        let region = vec![0u8; 1 << 20].leak();
        let info = StartInfo {
            cmdline: c"one two".as_ptr(),
            heap_start: region.as_mut_ptr().expose_provenance(),
            heap_size: region.len(),
        };
        host::take_output();
        // SAFETY: the only call with this heap; region and command line live as long as the process.
        assert_eq!(unsafe { enter(&info, &HEAP, program) }, 7);
        assert_eq!(host::take_output(), b"2 in \"one two\"\n");
    }
}
