//! What differs between machines. Each architecture offers the same names: `TLS`, `PAGE_SIZE`,
//! `counter`, `has_steady_counter`, `random`, `symbol!` and, for targets on Linux, `linux`; and it
//! defines the memory functions that compilers call.

#[cfg(target_arch = "x86_64")]
mod x86_64;
#[cfg(all(feature = "guest", target_arch = "x86_64"))]
pub(crate) use x86_64::*;

#[cfg(not(target_arch = "x86_64"))]
compile_error!("no bindings for this architecture: add arch/<arch>.rs");
