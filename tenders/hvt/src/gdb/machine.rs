//! What debugging needs to know of the processor's architecture. Each architecture has one file, with the
//! same names in it.
//!
//! | names | what |
//! |---|---|
//! | `Description`, `read`, `write` | registers, as gdb numbers them |
//! | `BREAKPOINT`, `executed`, `go_back`, `pass_on` | the instruction that is a software breakpoint |
//! | `HARDWARE_MAX`, `Limits`, `request`, `cause` | breakpoints and watchpoints of the CPU, single steps |
//! | `fetch_anew`, `rules` | how the guest comes to see an instruction that the debugger changed |
//! | `REQUESTS` | KVM's requests for all that |

#[cfg(target_arch = "aarch64")]
mod aarch64;
mod stop;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "aarch64")]
pub use aarch64::*;
pub(crate) use stop::{Cause, Hardware};
#[cfg(target_arch = "x86_64")]
pub use x86_64::*;

// What is a plain value is tested on every host.
#[cfg(all(test, not(target_arch = "aarch64")))]
#[path = "machine/aarch64/description.rs"]
#[allow(dead_code, reason = "here only its own tests use it")]
mod aarch64_description;
#[cfg(all(test, not(target_arch = "aarch64")))]
#[path = "machine/aarch64/exception.rs"]
#[allow(dead_code, reason = "here only its own tests use it")]
mod aarch64_exception;
#[cfg(all(test, not(target_arch = "aarch64")))]
#[path = "machine/aarch64/points.rs"]
#[allow(dead_code, reason = "here only its own tests use it")]
mod aarch64_points;
