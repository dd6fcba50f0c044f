//! The clocks: KVM's if the hypervisor has one, else the CPU's counter
//! (`docs/reference/virtio.md#clock`).
//!
//! The counter's frequency comes from the hypervisor, else from the CPU, else it is measured with the
//! PC's timer. The real-time clock is read once, when the wall clock is first asked for.

use core::arch::asm;
use core::hint::spin_loop;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};

use super::rtc;
use crate::abort::abort;
use crate::arch;
use crate::arch::control::write_msr;
use crate::arch::port::{in8, out8};
use crate::message::Message;
use crate::say::say;
use crate::scale::Scale;

const NANOS: u64 = 1_000_000_000;

// There is one thread. Atomics only make the statics writable.
static MULT: AtomicU32 = AtomicU32::new(0);
static SHIFT: AtomicU32 = AtomicU32::new(0);
static USES_KVM: AtomicBool = AtomicBool::new(false);
/// The last reading of the clock; no later one is less.
static LAST: AtomicU64 = AtomicU64::new(0);
/// The wall clock's time at the monotonic clock's zero.
static WALL: AtomicU64 = AtomicU64::new(0);
static WALL_KNOWN: AtomicBool = AtomicBool::new(false);

/// What KVM writes about its clock: version, a gap, the counter (2 words), the time (2), the factor,
/// and shift and flags.
#[repr(C, align(64))]
struct KvmTime([AtomicU32; 8]);
/// What KVM writes about the wall clock: version, seconds, nanoseconds.
#[repr(C, align(64))]
struct KvmWall([AtomicU32; 3]);

static KVM_TIME: KvmTime = KvmTime([const { AtomicU32::new(0) }; 8]);
static KVM_WALL: KvmWall = KvmWall([const { AtomicU32::new(0) }; 3]);

/// Leaf of the hypervisor that has KVM's signature.
fn kvm() -> Option<u32> {
    const PRESENT: u32 = 1 << 31;
    const SIGNATURE: [u32; 3] = [0x4b4d_564b, 0x564b_4d56, 0x4d];
    if arch::cpuid(1).ecx & PRESENT == 0 {
        return None;
    }
    // A hypervisor that also looks like another one has a second set of leaves.
    (0x4000_0000..0x4001_0000).step_by(0x100).find(|leaf| {
        let found = arch::cpuid(*leaf);
        [found.ebx, found.ecx, found.edx] == SIGNATURE
    })
}

/// Starts the clocks and logs which there are.
pub(crate) fn start() {
    let leaf = kvm();
    if leaf.is_some_and(start_kvm) {
        USES_KVM.store(true, Relaxed);
        let mut message = Message::new();
        message.text("Solo5: Clock source: KVM paravirtualized clock\n");
        say!(Info, &message);
        return;
    }
    let frequency = stated(leaf).unwrap_or_else(measured);
    let Some(scale) = Scale::new(frequency) else {
        abort!("Assertion `tsc_freq' failed");
    };
    MULT.store(scale.mult, Relaxed);
    SHIFT.store(scale.shift, Relaxed);
    let mut message = Message::new();
    message.text("Solo5: Clock source: TSC, frequency estimate is ").decimal(frequency);
    say!(Info, message.text(" Hz\n"));
    if !arch::has_steady_counter() {
        let mut message = Message::new();
        message.text("Solo5: Clock source: the CPU does not promise a constant frequency\n");
        say!(Debug, &message);
    }
}

/// Starts KVM's clock. Returns `false` if the hypervisor has none.
fn start_kvm(leaf: u32) -> bool {
    let features = arch::cpuid(leaf | 1).eax;
    let (time, wall) = match features {
        _ if features & 1 << 3 != 0 => (0x4b56_4d01, 0x4b56_4d00),
        _ if features & 1 != 0 => (0x12, 0x11),
        _ => return false,
    };
    const ENABLED: u64 = 1;
    let time_at = ptr::from_ref(&KVM_TIME).expose_provenance() as u64;
    let wall_at = ptr::from_ref(&KVM_WALL).expose_provenance() as u64;
    // SAFETY: the signature and the feature bit say that KVM has both registers. It writes to the
    // structures, which are there for good and have physical addresses that equal these.
    unsafe { write_msr(time, time_at | ENABLED) };
    // SAFETY: as above.
    unsafe { write_msr(wall, wall_at) };
    // Under emulation KVM's leaves may be there without its clock.
    let [_, _, _, _, _, _, factor, _] = &KVM_TIME.0;
    if factor.load(Relaxed) == 0 {
        return false;
    }
    let [_, seconds, nanos] = &KVM_WALL.0;
    let wall = u64::from(seconds.load(Relaxed)) * NANOS + u64::from(nanos.load(Relaxed));
    WALL.store(wall, Relaxed);
    WALL_KNOWN.store(true, Relaxed);
    true
}

/// KVM's time.
fn kvm_time() -> u64 {
    loop {
        let word = |index: usize| match KVM_TIME.0.get(index) {
            Some(word) => word.load(Relaxed),
            None => 0,
        };
        let version = word(0);
        fence();
        let counter = u64::from(word(2)) | u64::from(word(3)) << 32;
        let time = u64::from(word(4)) | u64::from(word(5)) << 32;
        let (factor, [shift, ..]) = (word(6), word(7).to_le_bytes());
        let passed = arch::counter().wrapping_sub(counter);
        fence();
        if version & 1 == 0 && version == word(0) {
            let shift = shift.cast_signed();
            let passed = if shift < 0 {
                passed.wrapping_shr(shift.unsigned_abs().into())
            } else {
                passed.wrapping_shl(shift.unsigned_abs().into())
            };
            let nanos = (u128::from(passed) * u128::from(factor)) >> 32;
            return time.wrapping_add(nanos as u64);
        }
        spin_loop();
    }
}

/// Lets no load pass, nor a reading of the counter.
fn fence() {
    // SAFETY: it only orders accesses.
    unsafe { asm!("lfence", options(nostack, preserves_flags)) };
}

/// The counter's frequency in Hz, if the hypervisor or the CPU states it.
fn stated(hypervisor: Option<u32>) -> Option<u64> {
    if let Some(leaf) = hypervisor {
        const TIMING: u32 = 0x10;
        if arch::cpuid(leaf).eax >= leaf | TIMING {
            let kilohertz = arch::cpuid(leaf | TIMING).eax;
            if kilohertz != 0 {
                return Some(u64::from(kilohertz) * 1000);
            }
        }
    }
    const COUNTER: u32 = 0x15;
    if arch::cpuid(0).eax < COUNTER {
        return None;
    }
    let leaf = arch::cpuid(COUNTER);
    let ticks = u64::from(leaf.ecx) * u64::from(leaf.ebx);
    ticks.checked_div(leaf.eax.into()).filter(|frequency| *frequency != 0)
}

/// Ticks of the PC's timer in a second.
const TIMER: u64 = 1_193_182;

/// The counter's frequency in Hz, measured with the PC's timer for 20 ms. 0 if the timer stands still.
fn measured() -> u64 {
    const LONG_ENOUGH: u16 = (TIMER / 50) as u16;
    /// Readings after which a timer that has not gone on does not exist; each takes microseconds.
    const PATIENCE: u32 = 1 << 16;
    // Channel 0, both bytes, counting down from 65536 again and again.
    for (port, value) in [(0x43, 0x34), (0x40, 0), (0x40, 0)] {
        // SAFETY: the timer has no access to memory, and interrupts are off.
        unsafe { out8(port, value) };
    }
    let (from, begun) = precise();
    let mut left = PATIENCE;
    let (mut last, mut still) = (from, 0);
    loop {
        let (now, _) = reading();
        if from.wrapping_sub(now) >= LONG_ENOUGH {
            break;
        }
        // A timer that goes on gets all the time it needs.
        still = if now == last { still + 1 } else { 0 };
        last = now;
        left = if still == 0 { PATIENCE } else { left - 1 };
        if left == 0 {
            return 0;
        }
    }
    let (to, ended) = precise();
    let timer_ticks = u64::from(from.wrapping_sub(to));
    let ticks = ended.wrapping_sub(begun).saturating_mul(TIMER);
    ticks.checked_div(timer_ticks).unwrap_or(0)
}

/// The timer's count, and the counter at that moment.
fn reading() -> (u16, (u64, u64)) {
    let before = arch::counter();
    // SAFETY: the timer has no access to memory; this latches the count.
    unsafe { out8(0x43, 0) };
    let after = arch::counter();
    let (low, high) = (in8(0x40), in8(0x40));
    (u16::from_le_bytes([low, high]), (before, after))
}

/// The reading that took the least time out of several: nothing interrupted it.
fn precise() -> (u16, u64) {
    let readings = (0..8).map(|_| reading());
    let best = readings.min_by_key(|(_, (before, after))| after.wrapping_sub(*before));
    let (count, (before, after)) = best.unwrap_or_default();
    (count, before.wrapping_add(after.wrapping_sub(before) / 2))
}

pub(crate) fn monotonic() -> u64 {
    let now = if USES_KVM.load(Relaxed) {
        kvm_time()
    } else {
        Scale { mult: MULT.load(Relaxed), shift: SHIFT.load(Relaxed) }.nanos(arch::counter())
    };
    let now = now.max(LAST.load(Relaxed));
    LAST.store(now, Relaxed);
    now
}

pub(crate) fn wall() -> u64 {
    let now = monotonic();
    if !WALL_KNOWN.load(Relaxed) {
        // Without a clock, time begins in 1970.
        let wall = real_time().map_or(0, |seconds| (seconds * NANOS).wrapping_sub(now));
        WALL.store(wall, Relaxed);
        WALL_KNOWN.store(true, Relaxed);
    }
    WALL.load(Relaxed).wrapping_add(now)
}

/// The real-time clock's seconds since 1970.
fn real_time() -> Option<u64> {
    const STATUS_A: u8 = 0x0a;
    const STATUS_B: u8 = 0x0b;
    const UPDATING: u8 = 1 << 7;
    /// An update takes two milliseconds; a reading at least a tenth of a microsecond.
    const PATIENCE: u32 = 1 << 16;
    let register = |number: u8| {
        // SAFETY: selects a register of the clock; NMIs stay enabled.
        unsafe { out8(0x70, number) };
        in8(0x71)
    };
    let all = || rtc::REGISTERS.map(register);
    // Two equal readings in a row have no update between them.
    let mut last = None;
    for _ in 0..8 {
        (0..PATIENCE).find(|_| register(STATUS_A) & UPDATING == 0)?;
        let now = all();
        if last == Some(now) {
            return rtc::seconds(now, register(STATUS_B));
        }
        last = Some(now);
    }
    None
}

/// Waits, without sleeping.
pub(crate) fn spin(nanos: u64) {
    let end = monotonic().saturating_add(nanos);
    while monotonic() < end {
        spin_loop();
    }
}
