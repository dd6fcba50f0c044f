//! x86_64: the counter, random numbers and the linker's symbols. The other parts have their own
//! files.
//!
//! | what | file |
//! |---|---|
//! | descriptor tables as bits, tested on the host | [`descriptor`] |
//! | exceptions as text, tested on the host | [`exception`] |
//! | taking exceptions | `trap.rs` |
//! | calls to a tender | `hvt.rs`, `linux.rs` |
//! | the boot of a PC, its control registers, interrupts and ports | `boot.rs`, `control.rs`, `interrupt.rs`, `port.rs` |
//! | memory functions | `mem.rs` |

pub mod descriptor;
pub mod exception;

#[cfg(all(feature = "virtio", not(test)))]
pub(crate) mod boot;
#[cfg(all(feature = "virtio", not(test)))]
pub(crate) mod control;
#[cfg(all(feature = "hvt", not(test)))]
pub(crate) mod hvt;
#[cfg(all(feature = "virtio", not(test)))]
pub(crate) mod interrupt;
#[cfg(all(feature = "spt", not(test)))]
pub(crate) mod linux;
#[cfg(all(feature = "freestanding", not(test)))]
mod mem;
#[cfg(all(feature = "virtio", not(test)))]
#[allow(dead_code, reason = "drivers use more of it than the start")]
pub(crate) mod port;
#[cfg(all(feature = "machine", not(test)))]
mod trap;
#[cfg(all(feature = "machine", not(test)))]
pub(crate) use solo5_abi::hvt::x86_64::TrapFrame;
#[cfg(all(feature = "machine", not(test)))]
pub(crate) use trap::handle_traps;

#[cfg(all(feature = "guest", not(test)))]
mod cpu {
    use core::arch::asm;
    use core::arch::x86_64::{__cpuid, CpuidResult};

    use crate::tls::Variant;

    /// How thread-local storage is laid out.
    pub(crate) const TLS: Variant = Variant::X86_64;

    /// Granularity in bytes of the heap's start.
    pub(crate) const PAGE_SIZE: u64 = solo5_abi::Arch::X86_64.page_size();

    /// The value of a symbol that the linker defines: an address below 4 GiB, a length, or 0 for a
    /// weak symbol that is missing. Assembly reads it, because the compiler assumes that the
    /// address of a symbol is never 0.
    macro_rules! symbol {
        ($name:literal) => {{
            let value: u64;
            // SAFETY: loads a constant that the linker fills in, and touches nothing else.
            unsafe {
                core::arch::asm!(
                    concat!("mov {0:e}, offset ", $name),
                    out(reg) value,
                    options(pure, nomem, nostack, preserves_flags),
                );
            }
            value
        }};
    }
    pub(crate) use symbol;

    /// The time stamp counter.
    pub(crate) fn counter() -> u64 {
        let (low, high): (u64, u64);
        // SAFETY: reads a counter into the registers named, and touches nothing else. On a host that
        // forbids the instruction, no guest of this target runs.
        unsafe { asm!("rdtsc", out("rax") low, out("rdx") high, options(nomem, nostack)) };
        high << 32 | low
    }

    /// The counter in units of about a nanosecond, which [`crate::clock`] expects.
    #[cfg(feature = "spt")]
    pub(crate) use counter as fine_counter;

    /// A leaf of CPUID; of one that has several parts, the first.
    #[allow(unused_unsafe, reason = "newer versions of Rust have a safe function")]
    pub(crate) fn cpuid(leaf: u32) -> CpuidResult {
        // SAFETY: every processor with 64 bits has the instruction, and it only writes registers.
        unsafe { __cpuid(leaf) }
    }

    /// Whether the counter runs at one rate, whatever the CPU's state: "invariant TSC".
    #[cfg(any(feature = "spt", feature = "virtio"))]
    pub(crate) fn has_steady_counter() -> bool {
        const POWER: u32 = 0x8000_0007;
        cpuid(0x8000_0000).eax >= POWER && cpuid(POWER).edx & 1 << 8 != 0
    }

    /// A random number from the CPU, if it makes any.
    pub(crate) fn random() -> Option<u64> {
        const RDRAND: u32 = 1 << 30;
        /// Attempts that Intel advises before giving up.
        const TRIES: u32 = 10;
        if cpuid(1).ecx & RDRAND == 0 {
            return None;
        }
        (0..TRIES).find_map(|_| {
            let (number, valid): (u64, u8);
            // SAFETY: CPUID says that the instruction exists; it touches the registers named and
            // the flags.
            unsafe {
                asm!(
                    "rdrand {0}",
                    "setc {1}",
                    out(reg) number,
                    out(reg_byte) valid,
                    options(nomem, nostack),
                );
            }
            (valid != 0).then_some(number)
        })
    }

    /// Sets the thread pointer. Returns `false` for what the CPU refuses: an address is 48 bits,
    /// extended by its sign.
    #[cfg(feature = "machine")]
    pub(crate) fn set_thread_pointer(base: usize) -> bool {
        const IA32_FS_BASE: u32 = 0xc000_0100;
        let base = base as u64;
        let significant = (base << 16).cast_signed() >> 16;
        if significant.cast_unsigned() != base {
            return false;
        }
        // SAFETY: this crate does not use the register, and every such value is legal.
        unsafe {
            asm!(
                "wrmsr",
                in("ecx") IA32_FS_BASE,
                in("eax") base as u32,
                in("edx") (base >> 32) as u32,
                options(nomem, nostack, preserves_flags),
            );
        }
        true
    }
}
#[cfg(all(feature = "guest", not(test)))]
pub(crate) use cpu::*;
