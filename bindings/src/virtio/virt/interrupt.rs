//! Sleeping, and what ends a sleep: the virtual timer and the devices' interrupts
//! (`docs/reference/virtio.md#aarch64-interrupts`).
//!
//! The CPU sleeps until an interrupt is pending, and does so while it masks them: so none is ever taken, there
//! are no handlers, and the controller is only told which interrupts count. All are level-triggered. The timer is
//! switched off after the sleep, and the drivers acknowledge their devices, which ends both.
//!
//! Nothing depends on an interrupt that arrives: a sleep lasts [`NAP`] at most while there are devices
//! to ask. A device whose interrupt does not end makes waits poll, and keeps nothing from running.

use core::hint::spin_loop;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering::Relaxed};

use super::{Bank, clock};
use crate::arch;
use crate::arch::control;
use crate::message::Message;
use crate::say::say;
use crate::virtio::ram::PAGE;
use crate::virtio::setup::Setup;
use crate::virtio::tree::Gic;

/// Longest sleep in nanoseconds while a device could have input.
pub(crate) const NAP: u64 = 10_000_000;
/// Longest sleep.
const LONGEST: u64 = 1_000_000_000;
/// A shorter wait is not worth a sleep.
const SHORTEST: u64 = 20_000;
const NANOS: u64 = 1_000_000_000;

/// Interrupts from this number on are not a GIC's ordinary ones.
const LINES: u32 = 1020;
/// Those from this number on are of devices, those below it of this CPU.
const DEVICES: u32 = 32;

// Registers of the distributor; version 3 has those of the CPU's own interrupts in the redistributor.
const CONTROL: u32 = 0x000;
const GROUPS: u32 = 0x080;
const ENABLE: u32 = 0x100;
const PRIORITIES: u32 = 0x400;
/// Version 2.
const TARGETS: u32 = 0x800;
/// Version 3.
const ROUTES: u32 = 0x6000;
const DISTRIBUTOR_SIZE: u64 = 0x1_0000;
/// Both groups; version 3: and by affinity.
const CONTROL_ON: u32 = 3;
const CONTROL_ON_V3: u32 = CONTROL_ON | 1 << 4;

// Registers of version 2's CPU interface.
const CPU_CONTROL: u32 = 0x0;
const CPU_PRIORITY: u32 = 0x4;

// A redistributor of version 3: two frames of 64 KiB.
const WAKER: u32 = 0x14;
const WAKER_SLEEPS: u32 = 1 << 1;
const WAKER_CHILDREN_SLEEP: u32 = 1 << 2;
const FRAME: usize = 0x1_0000;
const REDISTRIBUTOR_SIZE: u64 = 2 * FRAME as u64;
/// Readings until it is awake.
const PATIENCE: u32 = 1 << 16;

/// A priority in the middle, for each of four interrupts.
const MIDDLE: u32 = 0x8080_8080;

/// The distributor's registers. NULL: there is none, and a wait does not sleep.
static DISTRIBUTOR: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());
static IS_V3: AtomicBool = AtomicBool::new(false);
/// Version 2: bits of this CPU, for each of four interrupts.
static TARGET: AtomicU32 = AtomicU32::new(0);

/// Starts the controller, with the timer's interrupt.
pub(crate) fn begin(setup: &mut Setup<'_>, gic: Option<Gic>, timer: Option<u32>) {
    let timer = timer.filter(|line| *line < DEVICES);
    let start = timer.and_then(|timer| match gic? {
        Gic::V2(distributor, cpu) => start_v2(setup, distributor, cpu, timer),
        Gic::V3(distributor, redistributors) => start_v3(setup, distributor, redistributors, timer),
    });
    match start {
        Some(start) => DISTRIBUTOR.store(start, Relaxed),
        None => {
            say!(Warn, Message::new().text("Solo5: warning: no interrupt controller, waits poll\n"))
        }
    }
}

fn start_v2(setup: &mut Setup<'_>, distributor: u64, cpu: u64, timer: u32) -> Option<*mut u8> {
    let start = setup.registers(distributor, PAGE)?;
    let interface = Bank(setup.registers(cpu, PAGE)?);
    let bank = Bank(start);
    enable(bank, timer);
    // What the CPU's own interrupts say of where they go is this CPU's bit.
    let own = bank.read(TARGETS) & 0xff;
    TARGET.store(own.max(1).wrapping_mul(0x0101_0101), Relaxed);
    bank.write(CONTROL, CONTROL_ON);
    interface.write(CPU_PRIORITY, 0xff);
    interface.write(CPU_CONTROL, CONTROL_ON);
    Some(start)
}

fn start_v3(setup: &mut Setup<'_>, distributor: u64, own: u64, timer: u32) -> Option<*mut u8> {
    let start = setup.registers(distributor, DISTRIBUTOR_SIZE)?;
    // The first redistributor is that of the CPU that starts.
    let own = setup.registers(own, REDISTRIBUTOR_SIZE)?;
    let redistributor = Bank(own);
    let waker = redistributor.read(WAKER);
    redistributor.write(WAKER, waker & !WAKER_SLEEPS);
    let is_awake = || redistributor.read(WAKER) & WAKER_CHILDREN_SLEEP == 0;
    if !(0..PATIENCE).any(|_| is_awake()) {
        return None;
    }
    Bank(start).write(CONTROL, CONTROL_ON_V3);
    let frame = Bank(own.wrapping_add(FRAME));
    frame.write(GROUPS, u32::MAX);
    enable(frame, timer);
    // SAFETY: the tree says that there is such a controller.
    unsafe { control::start_gic() };
    IS_V3.store(true, Relaxed);
    Some(start)
}

/// Enables an interrupt, with a priority that the CPU lets through.
fn enable(bank: Bank, line: u32) {
    bank.write(PRIORITIES + line / 4 * 4, MIDDLE);
    bank.write(ENABLE + line / 32 * 4, 1 << (line % 32));
}

/// Lets a line end sleeps.
pub(crate) fn use_line(line: u32) {
    let start = DISTRIBUTOR.load(Relaxed);
    if start.is_null() || !(DEVICES..LINES).contains(&line) {
        return;
    }
    let bank = Bank(start);
    if IS_V3.load(Relaxed) {
        let group = GROUPS + line / 32 * 4;
        bank.write(group, bank.read(group) | 1 << (line % 32));
        let affinity = control::affinity();
        bank.write(ROUTES + line * 8, affinity as u32);
        bank.write(ROUTES + line * 8 + 4, (affinity >> 32) as u32);
    } else {
        bank.write(TARGETS + line / 4 * 4, TARGET.load(Relaxed));
    }
    enable(bank, line);
}

/// Lets interrupts of the lines in use come at the next sleep: they always do.
pub(crate) fn unmask() {}

/// Sleeps for `nanos` nanoseconds, or until an interrupt comes. It may end earlier.
pub(crate) fn sleep(nanos: u64) {
    if nanos < SHORTEST || DISTRIBUTOR.load(Relaxed).is_null() {
        spin_loop();
        return;
    }
    let ticks = u128::from(nanos.min(LONGEST)) * u128::from(arch::frequency()) / u128::from(NANOS);
    control::sleep(arch::counter().wrapping_add(ticks as u64));
    // The clock has gone on.
    clock::monotonic();
}
