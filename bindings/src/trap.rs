//! A trap of the processor: it is reported, and the guest ends
//! (`docs/reference/hvt.md#bindings-traps`).

use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use solo5_abi::hvt::x86_64::TrapFrame;

use crate::arch::exception::{self, PAGE_FAULT};
use crate::log::{self, Level};
use crate::{abort, target};

/// Whether a trap is being reported.
static TRAPPED: AtomicBool = AtomicBool::new(false);

/// The handler of every trap.
pub(crate) extern "C" fn report(vector: usize, frame: &TrapFrame) -> ! {
    // A trap in this handler would only cause more traps.
    if !TRAPPED.swap(true, Relaxed) {
        log::print(Level::Info, &exception::describe(vector, frame));
        if vector == PAGE_FAULT {
            log::print(Level::Info, &exception::describe_address(frame));
        }
        target::console_write(abort::line!("Fatal trap"));
    }
    target::fault(frame)
}
