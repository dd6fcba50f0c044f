//! Calls to the hvt tender: 32-bit stores to addresses behind the memory
//! (`docs/reference/hvt.md#hypercalls`).

use core::arch::asm;
use core::ptr;

use solo5_abi::hvt::Hypercall;
use solo5_abi::hvt::aarch64::KICK;

/// Makes a hypercall. Afterwards `argument` holds the outcome.
///
/// # Safety
///
/// `Argument` is the argument type of `call`, and the caller may write the memory that it names for
/// the tender to write.
pub(crate) unsafe fn hypercall<Argument>(call: Hypercall, argument: &mut Argument) {
    // Guest memory ends at 4 GiB, so the cast loses nothing.
    let address = ptr::from_mut(argument).expose_provenance() as u32;
    // SAFETY: the tender reads and writes the argument and what it names, which the caller vouches
    // for, and nothing else.
    unsafe { store(call.mmio(), address) };
}

/// Wakes the I/O thread of a tender that offers a ring. It sees what was written before.
pub(crate) fn kick() {
    // SAFETY: it touches no memory of the guest.
    unsafe { store(KICK, 0) };
}

/// Stores to a device's address. As far as the compiler knows, all memory may change. The barrier
/// orders the store behind those to memory. The instruction is one that the processor describes to KVM:
/// one register, and an address that it does not change.
///
/// # Safety
///
/// The tender's reaction to the store must be sound.
unsafe fn store(address: u64, value: u32) {
    // SAFETY: the caller's promise.
    unsafe {
        asm!(
            "dsb ish",
            "str {value:w}, [{address}]",
            address = in(reg) address,
            value = in(reg) value,
            options(nostack, preserves_flags),
        );
    }
}
