//! The differences between machines.
//!
//! Each architecture offers the same names: `TLS`, `PAGE_SIZE`, `counter`, `random` and `symbol!`.
//! Targets on Linux also need `linux` and `has_steady_counter`, targets without a kernel need
//! `handle_traps` and `set_thread_pointer`, and hvt needs `hvt`. An architecture also defines the
//! memory functions that compilers call.

#[cfg(target_arch = "x86_64")]
pub mod x86_64;
#[cfg(all(feature = "guest", not(test), target_arch = "x86_64"))]
pub(crate) use x86_64::*;

#[cfg(all(feature = "freestanding", not(target_arch = "x86_64")))]
compile_error!("no bindings for this architecture: add arch/<arch>.rs");
