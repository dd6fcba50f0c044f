//! Safe Rust API for Solo5 unikernels.
//!
//! A unikernel has one thread, no operating system below it, and only the devices that its manifest
//! declares. This crate gives the guest API of `solo5.h` (`docs/reference/guest-api.md`) Rust's
//! types: a device is an owned value, "nothing queued" is `None`, a point in time is an [`Instant`].
//!
//! ```ignore
//! // Not compiled with the documentation, which is built with `std` and its panic handler.
//! #![no_std]
//! #![no_main]
//!
//! use solo5::{Start, println};
//!
//! solo5::main!(hello);
//!
//! fn hello(start: &Start) -> Result<(), core::str::Utf8Error> {
//!     println!("Hello, World");
//!     println!("Command line is: '{}'", start.command_line()?);
//!     Ok(())
//! }
//! ```
//!
//! # Life of a program
//!
//! 1. `_start` in the bindings prepares the platform and calls `solo5_app_main`, which [`main!`]
//!    defines (`runtime.rs`): it gives the heap its memory (`heap.rs`), calls the program's
//!    function with the start information (`start.rs`, `arguments.rs`), and turns its result into
//!    an exit status (`status.rs`).
//! 2. The program takes its devices by their names in the manifest: [`Net::acquire`] (`net.rs`),
//!    [`Block::acquire`] (`block.rs`). It prints with [`println!`] (`console.rs`).
//! 3. It takes random bytes of the host with [`seed`] (`seed.rs`), or through the crate `getrandom`
//!    (`random.rs`).
//! 4. It sleeps in [`yield_until`] until a device has input or a deadline has come (`ready.rs`,
//!    `time.rs`).
//! 5. It returns, or panics: the message goes to the console and the status is 255.
//!
//! Only `sys.rs` calls the bindings. `mem.rs` and `unaligned.rs` hold the functions that compiled code
//! expects from a C library.
//!
//! # Linking
//!
//! The crate is compiled with `-C relocation-model=static` and `panic = "abort"`: on x86_64 and ppc64le for
//! Linux's target, which on x86_64 is the host's own, and for `aarch64-unknown-none`. The linker is the wrapper
//! `…-solo5-none-static-cc`, or `…-ld`, which adds the bindings of the target that
//! `-z solo5-abi=` names and the notes of the manifest that `-z solo5-manifest=` names.
//! `examples/http` is a complete program; `docs/rust.md` explains its configuration line by line.
//!
//! # Trust
//!
//! The crate trusts the bindings and, through them, the tender; it trusts nothing that comes
//! through a device. A length that the bindings report is nevertheless checked before it indexes a
//! buffer.
//!
//! # Memory
//!
//! Solo5 gives a unikernel one region for heap and stack without a guard between them
//! (docs/reference/guest-api.md#memory). [`main!`] keeps 1 MiB at its top for the stack (half of
//! the region if that is less) and makes the rest the heap of `alloc`. Nothing detects a stack that
//! grows beyond its share.

#![cfg_attr(not(test), no_std)]

mod arguments;
mod block;
mod console;
mod error;
mod net;
#[cfg(feature = "getrandom")]
pub mod random;
mod ready;
mod seed;
mod start;
mod status;
mod sys;
mod time;

#[cfg(feature = "runtime")]
mod heap;
#[cfg(any(feature = "runtime", test))]
mod mem;
#[cfg(feature = "runtime")]
#[doc(hidden)]
pub mod runtime;
#[cfg(any(feature = "runtime", test))]
mod unaligned;

#[cfg(test)]
mod host;

pub use arguments::{Argument, Arguments};
pub use block::Block;
pub use console::Console;
pub use error::{Error, Result};
pub use net::{Frames, Net, Unsent};
pub use ready::{Handle, HandleSet, yield_until};
pub use seed::{SEED_SIZE, SeedError, seed};
pub use start::Start;
pub use status::{Status, Termination};
pub use time::{Instant, wall_clock};

/// Ends the unikernel with `status`.
///
/// No destructor runs. The usual way to end is to return from the program's function.
pub fn exit(status: Status) -> ! {
    sys::exit(status)
}

/// Ends the unikernel with status 255, as a panic does, but without a message.
///
/// A debugging tender may write a core file (docs/reference/guest-api.md#lifecycle).
pub fn abort() -> ! {
    sys::abort()
}
