//! The end of the machine (`docs/reference/virtio.md#aarch64-exit`).

use core::sync::atomic::{AtomicU8, AtomicU16, Ordering::Relaxed};

use super::serial;
use crate::arch::control;
use crate::arch::port::{in8, out8};
use crate::virtio::tree::Conduit;

/// Functions of PSCI.
const SYSTEM_OFF: u32 = 0x8400_0008;
const SYSTEM_RESET: u32 = 0x8400_0009;

/// Registers of a 16550 by their distance from the first, and its bit for "all is sent".
const LINE_STATUS: u16 = 5;
const SENT: u8 = 1 << 6;
/// Readings until all is sent.
const PATIENCE: u32 = 1 << 18;

/// The status port; 0 if there is none.
static STATUS: AtomicU16 = AtomicU16::new(0);
/// The way to the firmware.
static CONDUIT: AtomicU8 = AtomicU8::new(0);
const HYPERVISOR: u8 = 1;
const MONITOR: u8 = 2;

/// Sets the way to the firmware.
pub(crate) fn set_firmware(conduit: Option<Conduit>) {
    let number = match conduit {
        Some(Conduit::Hypervisor) => HYPERVISOR,
        Some(Conduit::Monitor) => MONITOR,
        None => 0,
    };
    CONDUIT.store(number, Relaxed);
}

/// Uses the serial port whose base address register has this value.
pub(crate) fn set_status_port(register: u32) {
    let port = u16::try_from(register & !3).unwrap_or(0);
    STATUS.store(if register & 1 != 0 { port } else { 0 }, Relaxed);
}

/// Ends the machine. The status goes to a runner that has a port for it.
pub(crate) fn off(status: i32) -> ! {
    serial::flush();
    let port = STATUS.load(Relaxed);
    if port != 0 {
        // SAFETY: a serial port has no access to memory.
        unsafe { out8(port, status as u8) };
        let line = port.wrapping_add(LINE_STATUS);
        let _ = (0..PATIENCE).any(|_| in8(line) & SENT != 0);
    }
    for function in [SYSTEM_OFF, SYSTEM_RESET] {
        match CONDUIT.load(Relaxed) {
            // SAFETY: the machine ends. The tree says that it is called in this way.
            HYPERVISOR => unsafe { control::call_hypervisor(function) },
            // SAFETY: as above.
            MONITOR => unsafe { control::call_firmware(function) },
            _ => {}
        }
    }
    control::stop()
}
