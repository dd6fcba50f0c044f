//! aarch64: the counter, random numbers and the linker's symbols. The other parts have their own
//! files.
//!
//! | what | file |
//! |---|---|
//! | exceptions as text, tested on the host | [`exception`] |
//! | taking exceptions | `trap.rs` |
//! | calls to a tender | `hvt.rs`, `linux.rs` |
//! | the boot of a machine without a tender, its system registers, PCI's ports | `boot.rs`, `control.rs`, `port.rs` |
//! | memory functions | `mem.rs` |
//!
//! An hvt guest runs in EL1 on the tender's page tables, with floating point usable from the first
//! instruction on. Vector registers need no care: the hosts that interpret guests are of x86_64.

pub mod exception;

#[cfg(all(feature = "virtio", not(test)))]
mod boot;
#[cfg(all(feature = "virtio", not(test)))]
pub(crate) mod control;
#[cfg(all(feature = "hvt", not(test)))]
pub(crate) mod hvt;
#[cfg(all(feature = "spt", not(test)))]
pub(crate) mod linux;
#[cfg(all(feature = "freestanding", not(test)))]
mod mem;
#[cfg(all(feature = "virtio", not(test)))]
pub(crate) mod port;
#[cfg(all(feature = "machine", not(test)))]
mod trap;
#[cfg(all(feature = "machine", not(test)))]
pub(crate) use solo5_abi::hvt::aarch64::TrapFrame;
#[cfg(all(feature = "machine", not(test)))]
pub(crate) use trap::handle_traps;

#[cfg(all(feature = "guest", not(test)))]
mod cpu {
    use core::arch::asm;

    use crate::tls::Variant;

    /// How thread-local storage is laid out.
    pub(crate) const TLS: Variant = Variant::Aarch64;

    /// Granularity in bytes of the heap's start.
    pub(crate) const PAGE_SIZE: u64 = solo5_abi::Arch::Aarch64.page_size();

    /// The value of a symbol that the linker defines: an address below 4 GiB, a length, or 0 for a
    /// weak symbol that is missing. Assembly reads it, because the compiler assumes that the
    /// address of a symbol is never 0.
    macro_rules! symbol {
        ($name:literal) => {{
            let value: u64;
            // SAFETY: loads a constant that the linker fills in, and touches nothing else.
            unsafe {
                core::arch::asm!(
                    concat!("movz {0}, #:abs_g1:", $name),
                    concat!("movk {0}, #:abs_g0_nc:", $name),
                    out(reg) value,
                    options(pure, nomem, nostack, preserves_flags),
                );
            }
            value
        }};
    }
    pub(crate) use symbol;

    /// The virtual counter of the generic timer. The barrier keeps it from being read early.
    pub(crate) fn counter() -> u64 {
        let ticks: u64;
        // SAFETY: reads a counter, and touches nothing else. Linux lets programs read it.
        unsafe {
            asm!(
                "isb",
                "mrs {0}, cntvct_el0",
                out(reg) ticks,
                options(nomem, nostack, preserves_flags),
            );
        }
        ticks
    }

    /// Ticks a second of [`counter`]; 0 if the firmware has not said so.
    #[cfg(any(feature = "spt", feature = "virtio"))]
    pub(crate) fn frequency() -> u64 {
        let frequency: u64;
        // SAFETY: reads a constant, and touches nothing else. Whoever may read the counter may read it.
        unsafe {
            asm!(
                "mrs {0}, cntfrq_el0",
                out(reg) frequency,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        frequency & 0xffff_ffff
    }

    /// The counter in units of about a nanosecond, which [`crate::clock`] expects. Many machines' counters
    /// have some 24 million ticks a second.
    #[cfg(feature = "spt")]
    pub(crate) fn fine_counter() -> u64 {
        /// Number of bits of a gigahertz.
        const GIGA_BITS: u32 = 30;
        let shift = GIGA_BITS.saturating_sub(u64::BITS - frequency().leading_zeros());
        counter() << shift
    }

    /// Whether the counter runs at one rate: the architecture says so.
    #[cfg(feature = "spt")]
    pub(crate) fn has_steady_counter() -> bool {
        frequency() != 0
    }

    /// A random number from the CPU, if it makes any.
    pub(crate) fn random() -> Option<u64> {
        /// Attempts before giving up.
        const TRIES: u32 = 10;
        let features: u64;
        // SAFETY: reads a constant, and touches nothing else. Linux answers programs that read it.
        unsafe {
            asm!(
                "mrs {0}, id_aa64isar0_el1",
                out(reg) features,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        if features >> 60 == 0 {
            return None;
        }
        (0..TRIES).find_map(|_| {
            let (number, valid): (u64, u64);
            // SAFETY: the feature register says that RNDR exists; reading it touches the registers
            // named and the flags.
            unsafe {
                asm!(
                    "mrs {0}, s3_3_c2_c4_0",
                    "cset {1}, ne",
                    out(reg) number,
                    out(reg) valid,
                    options(nomem, nostack),
                );
            }
            (valid != 0).then_some(number)
        })
    }

    /// Sets the thread pointer, which the CPU never refuses.
    pub(crate) fn set_thread_pointer(base: usize) -> bool {
        // SAFETY: this crate does not use the register, and every value is legal.
        unsafe {
            asm!("msr tpidr_el0, {0}", in(reg) base, options(nomem, nostack, preserves_flags));
        }
        true
    }
}
#[cfg(all(feature = "guest", not(test)))]
pub(crate) use cpu::*;
