//! The differences between machines.
//!
//! Each architecture offers the same names: `TLS`, `PAGE_SIZE`, `counter`, `random` and `symbol!`.
//! Targets on Linux also need `linux`, `fine_counter` and `has_steady_counter`. Targets without a
//! kernel need `handle_traps`, `TrapFrame`, `exception` and `set_thread_pointer`, and hvt needs `hvt`.
//! An architecture also defines the memory functions that compilers call.

#[cfg(any(test, target_arch = "aarch64"))]
pub mod aarch64;
#[cfg(all(feature = "guest", not(test), target_arch = "aarch64"))]
pub(crate) use aarch64::*;

#[cfg(all(target_arch = "powerpc64", target_endian = "little"))]
pub mod ppc64le;
#[cfg(all(feature = "guest", not(test), target_arch = "powerpc64", target_endian = "little"))]
pub(crate) use ppc64le::*;

#[cfg(target_arch = "x86_64")]
pub mod x86_64;
#[cfg(all(feature = "guest", not(test), target_arch = "x86_64"))]
pub(crate) use x86_64::*;

#[cfg(all(
    feature = "freestanding",
    not(any(
        target_arch = "aarch64",
        all(target_arch = "powerpc64", target_endian = "little"),
        target_arch = "x86_64"
    ))
))]
compile_error!("no bindings for this architecture: add arch/<arch>.rs");

#[cfg(all(feature = "hvt", target_arch = "powerpc64"))]
compile_error!("there are no hvt bindings for ppc64le");

#[cfg(all(feature = "virtio", target_arch = "powerpc64"))]
compile_error!("there are no virtio bindings for ppc64le");
