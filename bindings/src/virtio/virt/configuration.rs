//! PCI's configuration space as the host bridge shows it in memory (`docs/reference/virtio.md#pci`).
//!
//! A loader of kernels leaves addresses and bus numbers to the kernel. So functions get their addresses here, and
//! only bus 0 is looked at: buses behind bridges have no numbers.

use core::ops::Range;

use super::power;
use crate::arch::port;
use crate::virtio::bars::{self, Room};
use crate::virtio::pci::{self, Function, Place, Space};
use crate::virtio::register;
use crate::virtio::setup::{Global, Setup};
use crate::virtio::tree::Host;

/// Length in bytes of the configuration space of one bus, and of one function.
const BUS: u64 = 1 << 20;
/// Most ports: a register that names one has 16 bits.
const PORTS: u64 = 1 << 16;
/// Ports below this one are not given to functions.
const FIRST_PORT: u64 = 0x1000;

/// QEMU's serial port on PCI, by vendor and device: the runner's status port.
const STATUS_PORT: u32 = 0x0002_1b36;
const ID: u8 = 0x00;
const COMMAND: u8 = 0x04;
const FIRST_BAR: u8 = 0x10;

/// The host bridge, if the tree names one.
static HOST: Global<Option<Host>> = Global::new(None);

/// Sets the host bridge.
pub(crate) fn set_host(host: Option<Host>) {
    // SAFETY: the reference is the only one and ends here.
    *unsafe { HOST.get() } = host;
}

/// PCI's configuration space.
#[derive(Clone, Copy)]
pub(crate) struct Configuration {
    /// A window to that of bus 0.
    start: *mut u8,
}

impl Configuration {
    /// The space, if the machine has PCI. Functions then have addresses.
    pub(crate) fn find(setup: &mut Setup<'_>) -> Option<Configuration> {
        // SAFETY: the reference is the only one and ends with this function.
        let host = unsafe { HOST.get() }.as_ref()?;
        let start = setup.registers(host.start, host.len.min(BUS))?;
        if host.len < BUS {
            return None;
        }
        let space = Configuration { start };
        let length = host.ports.len.min(PORTS);
        let mut ports = Room::new(0, 0);
        if host.ports.bus == 0
            && let Some(window) = setup.registers(host.ports.start, length)
        {
            // SAFETY: the window is mapped for good, and shows ports.
            unsafe { port::set_window(window, length as u32) };
            ports = Room::new(FIRST_PORT, length.saturating_sub(FIRST_PORT));
        }
        let memory = &host.memory;
        // The drivers take a register's address for one in memory.
        let len = if memory.bus == memory.start { memory.len } else { 0 };
        bars::assign(&space, &mut Room::new(memory.start, len), &mut ports);
        pci::functions(&space, |place| {
            if space.read(place, ID) == STATUS_PORT {
                let command = space.read(place, COMMAND) & 0xffff;
                space.write(place, COMMAND, command | 1);
                power::set_status_port(space.read(place, FIRST_BAR));
            }
        });
        Some(space)
    }

    /// The interrupt line of a function, as the tree routes its pin; 0 if it does not.
    pub(crate) fn line(&self, function: &Function) -> u32 {
        // SAFETY: the reference is the only one and ends here.
        let host = unsafe { HOST.get() }.as_ref();
        host.and_then(|host| host.line(function.place, function.pin)).unwrap_or(0)
    }

    /// Where a register of bus 0 is.
    fn place(&self, place: Place, register: u8) -> Option<*mut u8> {
        const DEVICES: Range<u8> = 0..32;
        const FUNCTIONS: Range<u8> = 0..8;
        let is_there = place.bus == 0
            && DEVICES.contains(&place.device)
            && FUNCTIONS.contains(&place.function);
        let [device, function] = [place.device, place.function].map(usize::from);
        let offset = device << 15 | function << 12 | usize::from(register & !3);
        is_there.then(|| self.start.wrapping_add(offset))
    }
}

impl Space for Configuration {
    fn read(&self, place: Place, register: u8) -> u32 {
        let Some(place) = self.place(place, register) else { return u32::MAX };
        // SAFETY: in the window of one bus.
        unsafe { register::read32(place) }
    }

    fn write(&self, place: Place, register: u8, value: u32) {
        let Some(place) = self.place(place, register) else { return };
        // SAFETY: in the window of one bus. `pci` writes registers that let a device use memory, of which
        // the drivers give it theirs, or keep it from doing so; `bars` the addresses of its registers.
        unsafe { register::write32(place, value) };
    }
}
