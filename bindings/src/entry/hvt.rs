//! The entry of an hvt guest (`docs/reference/hvt.md#bindings`).

use core::ffi::{CStr, c_char};
use core::ptr;

use solo5_abi::hvt::BootInfo;

use crate::log::{self, Level};
use crate::message::Message;
use crate::{arch, attached, start, target, trap};

/// Entered by the tender, with the stack at the end of memory.
///
/// # Safety
///
/// `at` points to the boot information, which never changes.
#[unsafe(no_mangle)]
unsafe extern "C" fn _start(at: *const BootInfo) -> ! {
    // Uses of thread-local storage before the application sets it up have to fault.
    target::set_tls_base(0);
    arch::handle_traps(trap::report);
    // SAFETY: the caller's promise. An older tender's structure is shorter, but its manifest
    // follows, and that is larger than the missing part.
    let info = unsafe { at.read() };
    // SAFETY: the tender has filled in a manifest there and no longer touches it.
    unsafe { attached::set(info.mft.get()) };
    start::guard(attached::random());
    let line = ptr::with_exposed_provenance::<c_char>(info.cmdline.get() as usize);
    // SAFETY: the boot information points to a string that never changes.
    let rest = start::greet(unsafe { CStr::from_ptr(line) });
    let heap = start::memory(info.mem_size.get(), |heap| {
        if let Some(ring) = info.ring_offered(at.addr() as u64) {
            target::queue_frames(ring, heap);
        }
    });
    start_clock(info.cpu_cycle_freq.get());
    start::run(rest, &heap)
}

/// Starts the clock and logs its scale.
fn start_clock(frequency: u64) {
    let scale = target::start_clock(frequency);
    let mut message = Message::new();
    message
        .text("Solo5: tscclock_init(): tsc_freq=")
        .decimal(frequency)
        .text(" tsc_mult=")
        .decimal(scale.mult.into())
        .text(" tsc_shift=")
        .decimal(scale.shift.into())
        .text("\n");
    log::print(Level::Debug, &message);
}
