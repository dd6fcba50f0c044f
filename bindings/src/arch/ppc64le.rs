//! ppc64le: the counter and the linker's symbols. The other parts have their own files.
//!
//! | what | file |
//! |---|---|
//! | the entry, which finds the table of contents | `entry.rs` |
//! | calls to the kernel | `linux.rs` |
//! | memory functions | `mem.rs` |
//!
//! Code follows the ELFv2 convention: `r1` is the stack, `r2` the table of contents (TOC), `r13` the
//! thread pointer. This crate has no thread-local storage, so nothing else touches `r13`.

#[cfg(all(feature = "spt", not(test)))]
mod entry;
#[cfg(all(feature = "spt", not(test)))]
pub(crate) mod linux;
#[cfg(all(feature = "freestanding", not(test)))]
mod mem;

#[cfg(all(feature = "guest", not(test)))]
mod cpu {
    use core::arch::asm;

    use crate::tls::Variant;

    /// How thread-local storage is laid out.
    pub(crate) const TLS: Variant = Variant::Ppc64le;

    /// Granularity in bytes of the heap's start.
    pub(crate) const PAGE_SIZE: u64 = solo5_abi::Arch::Ppc64le.page_size();

    /// The value of a symbol that the linker defines: an address below 4 GiB, a length, or 0 for a
    /// weak symbol that is missing. Assembly reads it, because the compiler assumes that the
    /// address of a symbol is never 0.
    macro_rules! symbol {
        ($name:literal) => {{
            let value: u64;
            // SAFETY: loads a constant that the linker fills in, and touches nothing else. The last
            // instruction clears what the first has extended by its sign.
            unsafe {
                core::arch::asm!(
                    concat!("lis {0}, ", $name, "@high"),
                    concat!("ori {0}, {0}, ", $name, "@l"),
                    "clrldi {0}, {0}, 32",
                    out(reg) value,
                    options(pure, nomem, nostack, preserves_flags),
                );
            }
            value
        }};
    }
    pub(crate) use symbol;

    /// The timebase.
    pub(crate) fn counter() -> u64 {
        let ticks;
        // SAFETY: reads a counter into a register, and touches nothing else. Linux never forbids it.
        unsafe { asm!("mftb {0}", out(reg) ticks, options(nomem, nostack, preserves_flags)) };
        ticks
    }

    /// Half a gigahertz and more, which [`crate::clock`] takes as it is.
    pub(crate) use counter as fine_counter;

    /// The architecture gives the timebase one rate, whatever the CPU's state.
    pub(crate) fn has_steady_counter() -> bool {
        true
    }

    /// `darn` makes random numbers from POWER9 on. Without a kernel's word, a program cannot tell
    /// whether its CPU has the instruction.
    pub(crate) fn random() -> Option<u64> {
        None
    }
}
#[cfg(all(feature = "guest", not(test)))]
pub(crate) use cpu::*;
