//! Calls to the hvt tender: 32-bit writes to ports (`docs/reference/hvt.md#hypercalls`).

use core::arch::asm;
use core::ptr;

use solo5_abi::hvt::Hypercall;
use solo5_abi::hvt::x86_64::KICK_PORT;

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
    unsafe { out(call.port(), address) };
}

/// Wakes the I/O thread of a tender that offers a ring.
pub(crate) fn kick() {
    // SAFETY: it touches no memory of the guest.
    unsafe { out(KICK_PORT, 0) };
}

/// Writes to a port. As far as the compiler knows, all memory may change.
///
/// # Safety
///
/// The tender's reaction to the write must be sound.
unsafe fn out(port: u16, value: u32) {
    // SAFETY: the caller's promise.
    unsafe {
        asm!("out dx, eax", in("dx") port, in("eax") value, options(nostack, preserves_flags));
    }
}
