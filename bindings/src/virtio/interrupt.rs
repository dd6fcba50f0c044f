//! Sleeping, and what ends a sleep: the timer and the devices' interrupts
//! (`docs/reference/virtio.md#interrupts`).
//!
//! An interrupt only ends a sleep. Its line is masked until the next sleep, by when the driver has
//! been asked and has acknowledged it. So no device can keep the unikernel busy, and no line blocks
//! another. The timer is the CPU's own; lines come through the two 8259s, and those from 16 on through
//! I/O APICs.
//!
//! Nothing depends on an interrupt that arrives: a sleep lasts [`NAP`] at most while there are devices
//! to ask.

use core::hint::spin_loop;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering::Relaxed};

use super::clock;
use super::ram::PAGE;
use super::setup::Setup;
use crate::arch::control::{self, read_msr, write_msr};
use crate::arch::port::{in8, out8};
use crate::arch::{cpuid, interrupt};

/// Longest sleep in nanoseconds while a device could have input.
pub(crate) const NAP: u64 = 10_000_000;
/// Longest sleep.
const LONGEST: u64 = 1_000_000_000;
/// A shorter wait is not worth a sleep.
const SHORTEST: u64 = 20_000;

const VECTOR_PIC: u8 = 0x20;
const VECTOR_TIMER: u8 = 0x30;
const VECTOR_IO: u8 = 0x40;
/// Its last four bits are ones, which older CPUs force.
const VECTOR_SPURIOUS: u8 = 0x7f;
const _: () = assert!(VECTOR_PIC as usize == interrupt::FIRST);
const _: () = assert!((VECTOR_SPURIOUS as usize) < interrupt::FIRST + interrupt::COUNT);

/// Lines of the two 8259s, and the highest line of I/O APICs.
const PIC_LINES: u32 = 16;
const LINES: u32 = PIC_LINES + 48;

const PIC: [u16; 2] = [0x20, 0xa0];
const END: u8 = 0x20;

/// The lines that may end a sleep, bit N for line N.
static LINES_USED: AtomicU64 = AtomicU64::new(0);

// Registers of the local APIC, by their offset in a window or, with `LOCAL_X2`, as registers of the CPU.
const LOCAL_END: u32 = 0xb0;
const LOCAL_PRIORITY: u32 = 0x80;
const LOCAL_SPURIOUS: u32 = 0xf0;
const LOCAL_TIMER: u32 = 0x320;
const LOCAL_LINT0: u32 = 0x350;
const LOCAL_INITIAL: u32 = 0x380;
const LOCAL_CURRENT: u32 = 0x390;
const LOCAL_DIVIDER: u32 = 0x3e0;
const LOCAL_ID: u32 = 0x20;
const MASKED: u32 = 1 << 16;

/// The local APIC's registers. NULL: there is none, and a wait does not sleep.
static LOCAL: AtomicPtr<u32> = AtomicPtr::new(ptr::null_mut());
/// This "address" stands for registers of the CPU.
const LOCAL_X2: *mut u32 = ptr::without_provenance_mut(4);
/// Ticks of the timer in 2²⁰ nanoseconds; 0: not measured yet.
static TIMER_RATE: AtomicU32 = AtomicU32::new(0);

/// The registers of two I/O APICs, and the line that each begins with.
static IO: [(u32, AtomicPtr<u32>); 2] =
    [(0, AtomicPtr::new(ptr::null_mut())), (24, AtomicPtr::new(ptr::null_mut()))];
/// Physical addresses of the two; machines without PCI have lines there and nowhere else.
const IO_BASES: [u64; 2] = [0xfec0_0000, 0xfec1_0000];

/// Where the local APIC's registers are, if they are in memory.
fn local_base() -> Option<u64> {
    const HAS_APIC: u32 = 1 << 9;
    if cpuid(1).edx & HAS_APIC == 0 {
        return None;
    }
    const BASE: u32 = 0x1b;
    const ENABLED: u64 = 1 << 11;
    const X2: u64 = 1 << 10;
    // SAFETY: a CPU with an APIC has the register.
    let base = unsafe { read_msr(BASE) };
    if base & X2 != 0 && base & ENABLED != 0 {
        LOCAL.store(LOCAL_X2, Relaxed);
        return None;
    }
    // SAFETY: it enables the APIC where it is.
    unsafe { write_msr(BASE, base | ENABLED) };
    Some(base & 0x000f_ffff_ffff_f000)
}

/// Starts the timer and the interrupt controllers. Those for lines from 16 on are only looked for on a machine
/// that announces such lines.
pub(crate) fn begin(setup: &mut Setup<'_>) {
    let local = local_base().and_then(|base| setup.registers(base, PAGE));
    let io = IO_BASES.map(|base| {
        let needed = setup.transports().any(|transport| transport.line >= PIC_LINES);
        let window = if needed { setup.registers(base, PAGE) } else { None };
        window.unwrap_or_default().cast()
    });
    start(local.unwrap_or_default().cast(), io);
}

/// Starts interrupts. `local` and `io` are windows to the registers of the APICs, NULL where there is
/// none.
fn start(local: *mut u32, io: [*mut u32; 2]) {
    interrupt::set_handler(handle);
    start_pic();
    if !local.is_null() {
        LOCAL.store(local, Relaxed);
    }
    for ((_, place), window) in IO.iter().zip(io) {
        place.store(window, Relaxed);
    }
    if LOCAL.load(Relaxed).is_null() {
        return;
    }
    const ENABLE: u32 = 1 << 8;
    /// The 8259s' output comes in here.
    const EXTERNAL: u32 = 7 << 8;
    const DIVIDE_BY_16: u32 = 3;
    for (register, value) in [
        (LOCAL_SPURIOUS, ENABLE | u32::from(VECTOR_SPURIOUS)),
        (LOCAL_PRIORITY, 0),
        (LOCAL_LINT0, EXTERNAL),
        (LOCAL_DIVIDER, DIVIDE_BY_16),
        (LOCAL_TIMER, MASKED | u32::from(VECTOR_TIMER)),
        (LOCAL_INITIAL, 0),
    ] {
        local_write(register, value);
    }
}

fn local_read(register: u32) -> u32 {
    let window = LOCAL.load(Relaxed);
    if window == LOCAL_X2 {
        // SAFETY: the CPU has these registers in this mode.
        return unsafe { read_msr(0x800 + (register >> 4)) } as u32;
    }
    // SAFETY: the window shows the APIC's page, and the register is in it.
    unsafe { window.wrapping_byte_add(register as usize).read_volatile() }
}

fn local_write(register: u32, value: u32) {
    let window = LOCAL.load(Relaxed);
    if window == LOCAL_X2 {
        // SAFETY: the CPU has these registers in this mode, and a handler takes every vector named.
        return unsafe { write_msr(0x800 + (register >> 4), value.into()) };
    }
    // SAFETY: the window shows the APIC's page, and a handler takes every vector named.
    unsafe { window.wrapping_byte_add(register as usize).write_volatile(value) };
}

/// Sets the 8259s to our vectors, all lines masked.
fn start_pic() {
    let writes = [
        // Initialise; the vector of the first line; where the two are joined; the mode of a PC.
        [0x11, VECTOR_PIC, 4, 1],
        [0x11, VECTOR_PIC + 8, 2, 1],
    ];
    for (base, [command, data @ ..]) in PIC.into_iter().zip(writes) {
        // SAFETY: interrupts are off, and a handler takes every vector named.
        unsafe { out8(base, command) };
        for value in data {
            // SAFETY: as above.
            unsafe { out8(base + 1, value) };
        }
    }
    mask_pic(u64::MAX);
}

/// Masks the lines in `lines` and unmasks the others.
fn mask_pic(lines: u64) {
    for (base, mask) in PIC.into_iter().zip([lines, lines >> 8]) {
        // SAFETY: a handler takes every vector.
        unsafe { out8(base + 1, mask as u8) };
    }
}

/// Lets a line end sleeps.
pub(crate) fn use_line(line: u32) {
    if line >= LINES {
        return;
    }
    /// Where the second 8259 comes in.
    const CASCADE: u64 = 1 << 2;
    let cascade = if (8..PIC_LINES).contains(&line) { CASCADE } else { 0 };
    LINES_USED.fetch_or(1 << line | cascade, Relaxed);
}

/// The I/O APIC of a line, and the number of its entry there.
fn io_of(line: u32) -> Option<(*mut u32, u32)> {
    IO.iter().rev().find_map(|(first, window)| {
        let window = window.load(Relaxed);
        let pin = line.checked_sub(*first).filter(|_| !window.is_null())?;
        (pin < 24).then_some((window, pin))
    })
}

fn io_write(window: *mut u32, register: u32, value: u32) {
    // SAFETY: the window shows the APIC's registers: one selects, 16 bytes behind is the data.
    unsafe { window.write_volatile(register) };
    // SAFETY: as above.
    unsafe { window.wrapping_add(4).write_volatile(value) };
}

/// Masks or unmasks a line of an I/O APIC.
fn set_io(line: u32, masked: bool) {
    /// Bits of an entry: active while the line's level is high.
    const LEVEL: u32 = 1 << 15;
    let Some((window, pin)) = io_of(line) else { return };
    let vector = u32::from(VECTOR_IO) + (line - PIC_LINES);
    // The number of this CPU: the high byte of the register in a window, the low one of the CPU's own.
    let id = local_read(LOCAL_ID);
    let destination = if LOCAL.load(Relaxed) == LOCAL_X2 { id << 24 } else { id & 0xff00_0000 };
    io_write(window, 0x11 + 2 * pin, destination);
    io_write(window, 0x10 + 2 * pin, LEVEL | vector | if masked { MASKED } else { 0 });
}

fn io_lines() -> impl Iterator<Item = u32> {
    let used = LINES_USED.load(Relaxed);
    (PIC_LINES..LINES).filter(move |line| used >> line & 1 != 0)
}

/// Takes every interrupt: masks its line, and ends it.
extern "C" fn handle(vector: usize) {
    let vector = vector as u8;
    match vector {
        VECTOR_TIMER => local_write(LOCAL_END, 0),
        VECTOR_IO..VECTOR_SPURIOUS => {
            set_io(u32::from(vector - VECTOR_IO) + PIC_LINES, true);
            local_write(LOCAL_END, 0);
        }
        VECTOR_PIC..VECTOR_TIMER => handle_pic(vector - VECTOR_PIC),
        // A spurious one, which has no end.
        _ => {}
    }
}

fn handle_pic(line: u8) {
    let [first, second] = PIC;
    let base = if line < 8 { first } else { second };
    /// The next read tells which lines are being handled.
    const READ_IN_SERVICE: u8 = 0x0b;
    // SAFETY: the 8259s have no access to memory.
    unsafe { out8(base, READ_IN_SERVICE) };
    // Line 7 of either is also what a line that fell back at once looks like; then there is no end to
    // signal.
    let real = line & 7 != 7 || in8(base) & 0x80 != 0;
    if real {
        let mask = in8(base + 1) | 1 << (line & 7);
        // SAFETY: as above.
        unsafe { out8(base + 1, mask) };
        // SAFETY: as above.
        unsafe { out8(base, END) };
    }
    if line >= 8 {
        // SAFETY: as above.
        unsafe { out8(first, END) };
    }
}

/// Lets interrupts of the lines in use come at the next sleep.
pub(crate) fn unmask() {
    mask_pic(!LINES_USED.load(Relaxed));
    for line in io_lines() {
        set_io(line, false);
    }
}

/// Sleeps for `nanos` nanoseconds, or until an interrupt comes. It may end earlier. Interrupts of
/// lines since [`unmask`] end it at once.
pub(crate) fn sleep(nanos: u64) {
    if nanos < SHORTEST || LOCAL.load(Relaxed).is_null() {
        spin_loop();
        return;
    }
    let rate = match TIMER_RATE.load(Relaxed) {
        0 => measure(),
        rate => rate,
    };
    let ticks = (u128::from(nanos.min(LONGEST)) * u128::from(rate)) >> 20;
    let ticks = u32::try_from(ticks).unwrap_or(u32::MAX).max(1);
    local_write(LOCAL_TIMER, VECTOR_TIMER.into());
    local_write(LOCAL_INITIAL, ticks);
    control::sleep();
    local_write(LOCAL_TIMER, MASKED | u32::from(VECTOR_TIMER));
    local_write(LOCAL_INITIAL, 0);
}

/// Measures the timer by the clock.
fn measure() -> u32 {
    const TIME: u64 = 1 << 20;
    let begun = clock::monotonic();
    local_write(LOCAL_INITIAL, u32::MAX);
    clock::spin(TIME);
    let ticks = u32::MAX.wrapping_sub(local_read(LOCAL_CURRENT));
    let passed = clock::monotonic().saturating_sub(begun).max(1);
    local_write(LOCAL_INITIAL, 0);
    let rate = (u64::from(ticks) << 20) / passed;
    let rate = u32::try_from(rate).unwrap_or(u32::MAX).max(1);
    TIMER_RATE.store(rate, Relaxed);
    rate
}
