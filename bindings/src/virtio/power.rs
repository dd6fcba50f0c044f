//! The end of the machine (`docs/reference/virtio.md#exit`).

use super::acpi::{self, Missing, Off};
use super::firmware::{Low, root};
use super::{clock, serial};
use crate::arch::boot;
use crate::arch::control;
use crate::arch::port::{in8, in16, out8, out16};
use crate::message::Message;
use crate::say::say;

/// The runner's status port and what it answers, and the port of its debug exit.
const STATUS: u16 = 0x504;
const STATUS_ANSWER: u8 = 0x53;
const DEBUG_EXIT: u16 = 0x501;
/// What upstream writes there.
const DEBUG_VALUE: u16 = 41;

/// How long a step may take before the next one is tried.
const PATIENCE: u64 = 100_000_000;

/// Ends the machine. The status goes to a runner that asks for it.
pub(crate) fn off(status: i32) -> ! {
    serial::flush();
    if in8(STATUS) == STATUS_ANSWER {
        // SAFETY: a console has no access to memory.
        unsafe { out8(STATUS, status as u8) };
    }
    // SAFETY: the machine ends, or nothing is there.
    unsafe { out16(DEBUG_EXIT, DEBUG_VALUE) };
    // SAFETY: the stack from the start is not in use, and the image's pages are always mapped.
    unsafe { control::go_on(boot::stack(), last_steps) }
}

extern "C" fn last_steps() -> ! {
    // SAFETY: these tables map the first 4 GiB to themselves. The image is there, with its data and
    // this stack; nothing else is needed from now on.
    unsafe { control::set_tables(boot::tables()) };
    let found = root().ok_or(Missing::Root).and_then(|root| acpi::read(&Low, root));
    let mut message = Message::new();
    match found {
        Ok(off) => {
            message.text("Solo5: ACPI: power off via PM1a=").hex(off.control[0].into());
            message.text(" PM1b=").hex(off.control[1].into());
            message.text(" SLP_TYPa=").decimal(off.kind[0].into()).text("\n");
            say!(Info, &message);
            serial::flush();
            switch_off(&off);
            clock::spin(PATIENCE);
        }
        Err(missing) => {
            message.text("Solo5: ACPI: ").text(match missing {
                Missing::Root => "RSDP not found",
                Missing::Fadt => "FADT not found",
                Missing::Sleep => "\\_S5_ not found in DSDT or any SSDT",
            });
            say!(Warn, message.text(", cannot power off\n"));
            serial::flush();
        }
    }
    reset()
}

/// Asks ACPI for the state in which the machine is off.
fn switch_off(off: &Off) {
    const SLEEP: u16 = 1 << 13;
    const OURS: u16 = 1;
    if let Some((address, is_port)) = off.register {
        let [kind, _] = off.kind;
        let value = kind << 2 | 0x20;
        if is_port {
            // SAFETY: the machine ends.
            unsafe { out8(address as u16, value) };
        } else if (1..1 << 32).contains(&address) {
            let register = core::ptr::with_exposed_provenance_mut::<u8>(address as usize);
            // SAFETY: the tables in use map it, and the machine ends.
            unsafe { register.write_volatile(value) };
        }
    }
    let [first, _] = off.control;
    let (command, value) = off.enable;
    if first != 0 && command != 0 && value != 0 && in16(first) & OURS == 0 {
        // SAFETY: the firmware hands the control registers over.
        unsafe { out8(command, value) };
        let end = clock::monotonic().saturating_add(PATIENCE);
        while in16(first) & OURS == 0 && clock::monotonic() < end {}
    }
    for (port, kind) in off.control.into_iter().zip(off.kind) {
        if port != 0 {
            // SAFETY: the machine ends.
            unsafe { out16(port, u16::from(kind & 7) << 10 | SLEEP) };
        }
    }
}

/// Resets the machine.
fn reset() -> ! {
    const COMMAND: u16 = 0x64;
    const BUSY: u8 = 1 << 1;
    const PULSE: u8 = 0xfe;
    let end = clock::monotonic().saturating_add(PATIENCE);
    while in8(COMMAND) & BUSY != 0 && clock::monotonic() < end {}
    // SAFETY: the machine is reset.
    unsafe { out8(COMMAND, PULSE) };
    clock::spin(PATIENCE);
    control::triple_fault()
}
