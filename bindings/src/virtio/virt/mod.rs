//! The parts of a machine of Arm that a PC has otherwise (`docs/reference/virtio.md#aarch64`).
//!
//! They have the names of the PC's files beside this folder, so that target, entry and drivers use either.
//! The device tree says where everything is; what it does not name is not there.

pub(crate) mod clock;
pub(crate) mod configuration;
pub(crate) mod interrupt;
pub(crate) mod power;
pub(crate) mod serial;

/// The registers of a device: a window that exists for good.
#[derive(Clone, Copy, Debug)]
struct Bank(*mut u8);

impl Bank {
    /// Reads a register, whose offset is in the window.
    fn read(self, offset: u32) -> u32 {
        let place = self.0.wrapping_add(offset as usize);
        // SAFETY: by the type's contract the register exists. A read has effects in the device only.
        unsafe { super::register::read32(place) }
    }

    /// Writes a register, whose offset is in the window. None of the devices that have one writes to memory.
    fn write(self, offset: u32, value: u32) {
        let place = self.0.wrapping_add(offset as usize);
        // SAFETY: as above.
        unsafe { super::register::write32(place, value) };
    }
}
