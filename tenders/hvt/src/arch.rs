//! What of a machine depends on the processor's architecture: page tables, the CPU's state at entry, its
//! counter, its registers in messages, and how a hypercall leaves it. Each architecture has one file, and
//! a folder, with the same names in it.
//!
//! | names | what |
//! |---|---|
//! | `TABLES`, `tables` | page tables, and where they are |
//! | `Support`, `set_cpu`, `counter_frequency` | what KVM offers, and the CPU |
//! | `KICK`, `CALLS` | the kick's address; from where on stores are hypercalls |
//! | `Registers`, `registers`, `pc`, `sp`, `PC`, `SP`, `READ_REGISTERS`, `write_registers` | registers |
//! | `core_file` | registers in a core file |
//! | `TrapFrame`, `trap_pc`, `trap_sp`, `trap_address`, `write_trap` | the trap that a guest reports |

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "aarch64")]
pub use aarch64::*;
#[cfg(target_arch = "x86_64")]
pub use x86_64::*;

// Page tables are plain values, so they are tested on every host.
#[cfg(test)]
#[path = "arch/aarch64/layout.rs"]
#[allow(unreachable_pub)]
mod aarch64_layout;

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!(
    "solo5-hvt is written for x86_64 and aarch64; another architecture needs its own file here"
);
