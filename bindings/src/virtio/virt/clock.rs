//! The clocks: the virtual counter of the CPU, whose frequency the firmware has set, and the PL031
//! (`docs/reference/virtio.md#aarch64-clock`).
//!
//! The real-time clock is read once, when the wall clock is first asked for.

use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering::Relaxed};

use super::Bank;
use crate::abort::abort;
use crate::arch;
use crate::message::Message;
use crate::say::say;
use crate::scale::Scale;
use crate::virtio::ram::PAGE;
use crate::virtio::setup::Setup;

const NANOS: u64 = 1_000_000_000;
/// The PL031's register: seconds since 1970.
const SECONDS: u32 = 0;

// There is one thread. Atomics only make the statics writable.
static MULT: AtomicU32 = AtomicU32::new(0);
static SHIFT: AtomicU32 = AtomicU32::new(0);
/// The last reading of the clock; no later one is less.
static LAST: AtomicU64 = AtomicU64::new(0);
/// The wall clock's time at the monotonic clock's zero.
static WALL: AtomicU64 = AtomicU64::new(0);
static WALL_KNOWN: AtomicBool = AtomicBool::new(false);
/// The real-time clock's registers; NULL if there is none.
static REAL: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());

/// Starts the monotonic clock and logs it.
pub(crate) fn start() {
    let frequency = arch::frequency();
    let Some(scale) = Scale::new(frequency) else {
        abort!("Assertion `cntfrq' failed");
    };
    MULT.store(scale.mult, Relaxed);
    SHIFT.store(scale.shift, Relaxed);
    let mut message = Message::new();
    message.text("Solo5: Clock source: generic timer, ").decimal(frequency).text(" Hz\n");
    say!(Info, &message);
}

/// Uses the real-time clock at this address.
pub(crate) fn use_real(setup: &mut Setup<'_>, address: u64) {
    REAL.store(setup.registers(address, PAGE).unwrap_or_default(), Relaxed);
}

pub(crate) fn monotonic() -> u64 {
    let scale = Scale { mult: MULT.load(Relaxed), shift: SHIFT.load(Relaxed) };
    let now = scale.nanos(arch::counter()).max(LAST.load(Relaxed));
    LAST.store(now, Relaxed);
    now
}

pub(crate) fn wall() -> u64 {
    let now = monotonic();
    if !WALL_KNOWN.load(Relaxed) {
        let real = REAL.load(Relaxed);
        // Without a clock, time begins in 1970.
        let wall = if real.is_null() {
            0
        } else {
            (u64::from(Bank(real).read(SECONDS)) * NANOS).wrapping_sub(now)
        };
        WALL.store(wall, Relaxed);
        WALL_KNOWN.store(true, Relaxed);
    }
    WALL.load(Relaxed).wrapping_add(now)
}
