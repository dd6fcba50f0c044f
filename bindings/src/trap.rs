//! A trap of the processor: it is reported, and the guest ends
//! (`docs/reference/hvt.md#bindings-traps`).

use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use solo5_abi::offer::Feature;
use solo5_abi::stack::GUARD;

use crate::arch::TrapFrame;
use crate::arch::exception;
use crate::log::{self, Level};
use crate::{abort, attached, target};

/// Whether a trap is being reported.
static TRAPPED: AtomicBool = AtomicBool::new(false);

/// The handler of every trap.
pub(crate) extern "C" fn report(vector: usize, frame: &TrapFrame) -> ! {
    // A trap in this handler would only cause more traps.
    if !TRAPPED.swap(true, Relaxed) {
        log::print(Level::Info, &exception::describe(vector, frame));
        let mut line = abort::line!("Fatal trap");
        if let Some((address, stack)) = exception::refused(vector, frame) {
            log::print(Level::Info, &exception::describe_address(frame));
            if is_overflow(address, stack) {
                line = abort::line!("Stack overflow");
            }
        }
        target::console_write(line);
    }
    target::fault(frame)
}

/// Whether the stack has grown into its guard, if the tender gave it one.
fn is_overflow(address: u64, stack: u64) -> bool {
    attached::offered(Feature::Stack).is_some_and(|record| {
        let start = record.heap_end.get();
        let guard = start..start.wrapping_add(GUARD);
        solo5_abi::stack::is_overflow(&guard, address, stack)
    })
}
