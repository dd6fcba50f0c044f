//! What depends on the processor's architecture and is the same for all tenders. Each architecture has
//! one file with the same names in it; a tender has its own `arch` for what only it needs.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(all(target_arch = "powerpc64", target_endian = "little"))]
mod ppc64le;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "aarch64")]
use aarch64 as host;
#[cfg(all(target_arch = "powerpc64", target_endian = "little"))]
use ppc64le as host;
#[cfg(target_arch = "x86_64")]
use x86_64 as host;

pub(crate) use host::registers;
pub use host::{PC, publish_code, system_call};
#[cfg(target_env = "gnu")]
pub(crate) use host::{RSEQ_SIGNATURE, thread_pointer};

#[cfg(not(any(
    target_arch = "x86_64",
    target_arch = "aarch64",
    all(target_arch = "powerpc64", target_endian = "little")
)))]
compile_error!(
    "the tenders are written for x86_64, aarch64 and ppc64le; another architecture needs its own file here"
);
