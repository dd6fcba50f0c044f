//! The console: the first serial port, or QEMU's debug console where there is none
//! (`docs/reference/virtio.md#console`).
//!
//! A port that stops taking bytes costs one bounded wait; after that each byte waits only shortly, so
//! the unikernel goes on without its console.

use core::sync::atomic::{AtomicU8, Ordering::Relaxed};

use crate::arch::port::{in8, out8};

const DATA: u16 = 0x3f8;
const INTERRUPTS: u16 = 0x3f9;
const FIFO: u16 = 0x3fa;
const LINE_CONTROL: u16 = 0x3fb;
const MODEM_CONTROL: u16 = 0x3fc;
const LINE_STATUS: u16 = 0x3fd;

/// Line status: the transmitter takes a byte; it has sent all.
const TAKES: u8 = 1 << 5;
const SENT: u8 = 1 << 6;

/// Readings of the status before a port counts as stuck; each takes about a microsecond, a byte less
/// than a hundred.
const PATIENCE: u32 = 1 << 18;
const LITTLE_PATIENCE: u32 = 1 << 8;

/// QEMU's debug console: a write prints a byte, a read gives the port's number.
const DEBUG: u16 = 0xe9;

#[derive(Clone, Copy, PartialEq)]
#[repr(u8)]
enum State {
    Absent,
    Serial,
    Stuck,
    Debug,
}

static STATE: AtomicU8 = AtomicU8::new(State::Absent as u8);

/// Finds the console, and sets the port to 115200 bits a second, 8 bits, no parity.
pub(crate) fn init() {
    // An absent device gives ones.
    let state = if in8(LINE_STATUS) != 0xff {
        let writes = [
            (INTERRUPTS, 0),
            (LINE_CONTROL, 0x80),
            (DATA, 1),
            (INTERRUPTS, 0),
            (LINE_CONTROL, 3),
            (FIFO, 7),
            (MODEM_CONTROL, 3),
        ];
        for (port, value) in writes {
            // SAFETY: a serial port has no access to memory.
            unsafe { out8(port, value) };
        }
        State::Serial
    } else if in8(DEBUG) == DEBUG as u8 {
        State::Debug
    } else {
        State::Absent
    };
    STATE.store(state as u8, Relaxed);
}

/// Writes one byte.
pub(crate) fn write(byte: u8) {
    let state = STATE.load(Relaxed);
    let port = if state == State::Debug as u8 {
        DEBUG
    } else if state == State::Absent as u8 {
        return;
    } else {
        let stuck = state == State::Stuck as u8;
        let takes = wait(TAKES, if stuck { LITTLE_PATIENCE } else { PATIENCE });
        let next = if takes { State::Serial } else { State::Stuck };
        STATE.store(next as u8, Relaxed);
        if !takes {
            return;
        }
        DATA
    };
    // SAFETY: a console has no access to memory.
    unsafe { out8(port, byte) };
}

/// Waits until everything is sent.
pub(crate) fn flush() {
    if STATE.load(Relaxed) == State::Serial as u8 {
        wait(SENT, PATIENCE);
    }
}

fn wait(bit: u8, patience: u32) -> bool {
    (0..patience).any(|_| in8(LINE_STATUS) & bit != 0)
}
