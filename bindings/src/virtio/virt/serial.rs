//! The console: a PL011 (`docs/reference/virtio.md#aarch64-console`).
//!
//! Its registers are used through the window that the tables of the start have, too. A port that stops taking
//! bytes costs one bounded wait; after that each byte waits only shortly, so the unikernel goes on without
//! its console.

use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering::Relaxed};

use super::Bank;
use crate::virtio::paging::WINDOW;

const DATA: u32 = 0x00;
const FLAGS: u32 = 0x18;
const LINE: u32 = 0x2c;
const CONTROL: u32 = 0x30;
const INTERRUPTS: u32 = 0x38;

/// Flags: it still sends; it takes no byte.
const BUSY: u32 = 1 << 3;
const FULL: u32 = 1 << 5;
/// 8 bits, FIFO on.
const LINE_8: u32 = 0x70;
/// It is on, sends and receives.
const CONTROL_ON: u32 = 0x301;

/// Readings of the flags before a port counts as stuck, as on a PC.
const PATIENCE: u32 = 1 << 18;
const LITTLE_PATIENCE: u32 = 1 << 8;

/// The tables of the start map registers below this address only.
const REACH: u64 = 1 << 30;

/// NULL: there is none, or nobody has looked yet.
static PORT: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());
static STUCK: AtomicBool = AtomicBool::new(false);

/// Uses the port at this address. The speed is what the firmware has set.
pub(crate) fn init(address: u64) {
    if address >= REACH {
        return;
    }
    let start = ptr::with_exposed_provenance_mut::<u8>((WINDOW | address) as usize);
    let port = Bank(start);
    for (register, value) in [(CONTROL, 0), (INTERRUPTS, 0), (LINE, LINE_8), (CONTROL, CONTROL_ON)]
    {
        port.write(register, value);
    }
    PORT.store(start, Relaxed);
}

fn port() -> Option<Bank> {
    let start = PORT.load(Relaxed);
    (!start.is_null()).then_some(Bank(start))
}

/// Writes one byte.
pub(crate) fn write(byte: u8) {
    let Some(port) = port() else { return };
    let patience = if STUCK.load(Relaxed) { LITTLE_PATIENCE } else { PATIENCE };
    let takes = wait(port, FULL, patience);
    STUCK.store(!takes, Relaxed);
    if takes {
        port.write(DATA, byte.into());
    }
}

/// Waits until everything is sent.
pub(crate) fn flush() {
    if let Some(port) = port().filter(|_| !STUCK.load(Relaxed)) {
        wait(port, BUSY, PATIENCE);
    }
}

/// Waits until a flag is gone.
fn wait(port: Bank, flag: u32, patience: u32) -> bool {
    (0..patience).any(|_| port.read(FLAGS) & flag == 0)
}
