//! PCI's configuration space on a PC, by two ports (`docs/reference/virtio.md#pci`).

use super::pci::{Function, Place, Space};
use super::setup::Setup;
use crate::arch::port::{in32, out32};

/// PCI's configuration space.
#[derive(Clone, Copy)]
pub(crate) struct Configuration(());

impl Configuration {
    const ADDRESS: u16 = 0xcf8;
    const DATA: u16 = 0xcfc;
    const ENABLE: u32 = 1 << 31;

    /// The space, if the machine has PCI.
    pub(crate) fn find(_: &mut Setup<'_>) -> Option<Configuration> {
        // SAFETY: selects a register, where there is PCI.
        unsafe { out32(Configuration::ADDRESS, Configuration::ENABLE) };
        (in32(Configuration::ADDRESS) == Configuration::ENABLE).then_some(Configuration(()))
    }

    /// The interrupt line of a function, which the firmware has noted.
    pub(crate) fn line(&self, function: &Function) -> u32 {
        function.line.into()
    }

    fn select(place: Place, register: u8) {
        let [bus, device, function] =
            [place.bus, place.device & 31, place.function & 7].map(u32::from);
        let address = bus << 16 | device << 11 | function << 8 | u32::from(register & !3);
        // SAFETY: selects the register of the next access.
        unsafe { out32(Configuration::ADDRESS, Configuration::ENABLE | address) };
    }
}

impl Space for Configuration {
    fn read(&self, place: Place, register: u8) -> u32 {
        Configuration::select(place, register);
        in32(Configuration::DATA)
    }

    fn write(&self, place: Place, register: u8, value: u32) {
        Configuration::select(place, register);
        // SAFETY: `pci` writes registers that let a device use memory, of which the drivers give it
        // theirs, or keep it from doing so.
        unsafe { out32(Configuration::DATA, value) };
    }
}
