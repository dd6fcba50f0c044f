//! Finding the devices of the machine, and matching them to the manifest's entries
//! (`docs/reference/virtio.md#devices`).

use solo5_abi::mft1::{Block, Entry, Flush, Net};
use solo5_abi::mft2;

use super::configuration::Configuration;
use super::devices::{Bus, DEVICES, Device, Driver, MOST, OWNED, Pc, RUNNING};
use super::disk::Disk;
use super::hardware::Hardware;
use super::interrupt;
use super::names::{self, Identity, Problem};
use super::nic::Nic;
use super::pci::{self, Kind, Place};
use super::setup::Setup;
use super::transport::Failure;
use crate::arch;
use crate::message::Message;
use crate::say::{give_up, say};

/// Two digits in hexadecimal.
fn pair(message: &mut Message, byte: u8) -> &mut Message {
    let digit = |number: u8| if number < 10 { b'0' + number } else { b'a' - 10 + number };
    message.bytes(&[digit(byte >> 4), digit(byte & 15)])
}

impl Bus {
    /// The beginning of a message about the device.
    fn message<'a>(self, message: &'a mut Message, before: &str) -> &'a mut Message {
        message.text("Solo5: ").text(before);
        match self {
            Bus::Pci(place) => {
                pair(message.text("PCI:"), place.bus);
                pair(message.text(":"), place.device);
                if place.function != 0 {
                    message.text(".").decimal(place.function.into());
                }
                message
            }
            Bus::Mmio(base) => message.text("MMIO:").hex(base),
        }
    }
}

/// Prints a message about a device, and ends the unikernel.
fn fail(bus: Bus, before: &str, after: &str) -> ! {
    let mut message = Message::new();
    say!(Error, bus.message(&mut message, before).text(after).text("\n"));
    let what = match bus {
        Bus::Pci(_) => "Solo5: PCI enumeration failed. Aborting.\n",
        Bus::Mmio(_) => "Solo5: Enumeration of virtio-mmio failed. Aborting.\n",
    };
    say!(Error, Message::new().text(what));
    give_up!()
}

/// Finds the devices and attaches them to the manifest's entries: properties, `attached`, and what a
/// flush does. Runs once, after the clock has started and before the application. Ends the unikernel
/// if a device that the manifest declares is missing.
pub(crate) fn attach(setup: &mut Setup<'_>) {
    let mut count = 0;
    let space = Configuration::find(setup);
    if let Some(space) = space {
        pci::functions(&space, |place| find_pci(setup, &space, &mut count, place));
    }
    for transport in setup.transports() {
        if let Some((hardware, number)) = Hardware::mmio(setup, transport.base, transport.size) {
            let found = Found {
                bus: Bus::Mmio(transport.base),
                base: transport.base,
                line: transport.line,
                kind: Kind::from_number(number),
            };
            found.take(setup, &mut count, hardware);
        }
    }
    assign(setup, space, count);
    share_lines();
}

/// Takes over the function at `place`, if it is virtio's.
fn find_pci(setup: &mut Setup<'_>, space: &Configuration, count: &mut usize, place: Place) {
    let Some(function) = pci::virtio(space, place) else { return };
    let bus = Bus::Pci(place);
    let registers = function.modern.as_ref();
    let modern = registers.and_then(|registers| {
        Hardware::modern(setup, registers).map(|hardware| (hardware, registers.common.start))
    });
    let hardware =
        modern.or_else(|| function.legacy.map(|port| (Hardware::Legacy(port), u64::from(port))));
    let Some((hardware, base)) = hardware else {
        fail(bus, "", ": virtio device without registers that can be used")
    };
    let line = space.line(&function);
    let found = Found { bus, base, line, kind: function.kind };
    found.take(setup, count, hardware);
}

/// A device before it has a driver.
struct Found {
    bus: Bus,
    base: u64,
    line: u32,
    kind: Kind,
}

impl Found {
    /// Takes it over as the next device.
    fn take(self, setup: &mut Setup<'_>, count: &mut usize, hardware: Hardware) {
        let mut message = Message::new();
        self.bus.message(&mut message, "");
        let name = match self.kind {
            Kind::Net => ": virtio-net device",
            Kind::Block => ": virtio-block device",
            Kind::Other(number) => {
                message.text(": unknown virtio device (").hex(number.into()).text(")\n");
                say!(Warn, &message);
                return;
            }
        };
        message.text(name).text(", base=").hex(self.base).text(", irq=").decimal(self.line.into());
        say!(Info, message.text("\n"));
        let made = self.drive(setup, hardware);
        let driver = match made {
            Ok(driver) => driver,
            Err(failure) => fail(self.bus, "", failure.text()),
        };
        let mut message = Message::new();
        self.bus.message(&mut message, "").text(": configured, ");
        let features = match &driver {
            Driver::Disk(disk) => {
                message.text("capacity=").decimal(disk.capacity / 512).text(" sectors");
                disk.offered
            }
            Driver::Nic(nic) => {
                message.text("mac=");
                for (index, byte) in (0..).zip(nic.mac.unwrap_or_default()) {
                    pair(message.text(if index == 0 { "" } else { ":" }), byte);
                }
                message.text(", mtu=").decimal(nic.mtu.into());
                nic.offered
            }
        };
        say!(Info, message.text(", features=").hex(features).text("\n"));
        // SAFETY: the reference is the only one and ends here.
        let devices = unsafe { DEVICES.get() };
        let Some(slot) = devices.get_mut(*count) else {
            fail(self.bus, "", ": not configured: too many devices")
        };
        *slot = Some(Device { driver, bus: self.bus, line: self.line, shares: false });
        *count = count.wrapping_add(1);
    }

    fn drive(&self, setup: &mut Setup<'_>, hardware: Hardware) -> Result<Driver, Failure> {
        if self.kind == Kind::Block {
            return Disk::new(hardware, &mut Pc(Some(setup))).map(Driver::Disk);
        }
        let mut nic = Nic::new(hardware, &mut Pc(Some(setup)))?;
        nic.mac = nic.mac.or_else(|| Some(own_address()));
        interrupt::use_line(self.line);
        Ok(Driver::Nic(nic))
    }
}

/// An address for a device that has none: locally administered, and hardly another's.
fn own_address() -> [u8; 6] {
    let number = arch::random().unwrap_or_else(arch::counter);
    // The low bits of a counter differ most.
    let [a, b, c, d, e, ..] = number.to_le_bytes();
    [2, a, b, c, d, e]
}

/// Gives each entry its device.
fn assign(setup: &mut Setup<'_>, space: Option<Configuration>, count: usize) {
    let line = setup.command_line;
    // SAFETY: the only reference to the devices, until the end of this function.
    let devices = unsafe { DEVICES.get() };
    let found = devices.get_mut(..count).unwrap_or_default();
    let count = match setup.boot_disk {
        Some(number) => without_boot_disk(found, space, number),
        None => count,
    };
    let found = found.get_mut(..count).unwrap_or_default();
    let mut identities = [Identity::Net(None); MOST];
    for (identity, device) in identities.iter_mut().zip(found.iter_mut()) {
        *identity = match device.as_mut().map(|device| &mut device.driver) {
            Some(Driver::Disk(disk)) => Identity::Block(disk.serial(&RUNNING)),
            Some(Driver::Nic(nic)) => Identity::Net(nic.mac),
            None => continue,
        };
    }
    let identities = identities.get(..count).unwrap_or_default();
    let owned = match names::assign(identities, setup.entries, line) {
        Ok(owned) => owned,
        Err(problem) => refuse(problem, found),
    };
    let mut missing = false;
    for (index, (entry, owner)) in (0u32..).zip(setup.entries.iter_mut().zip(owned)) {
        let device = owner.and_then(|owner| found.get(usize::from(owner))).and_then(Option::as_ref);
        let flags = mft2::device_flags(setup.properties, index);
        match device.map(|device| &device.driver) {
            Some(Driver::Disk(disk)) => {
                entry.attach_block(Block::new(disk.capacity, disk.sector_size), 0);
                let flush = if disk.needs_flush() { Flush::Available } else { Flush::Needless };
                let asked = flags & mft2::DEVICE_FLUSH != 0;
                entry.set_flush(if asked { flush } else { Flush::Unavailable });
            }
            Some(Driver::Nic(nic)) => {
                entry.attach_net(Net::new(nic.mac.unwrap_or_default(), nic.mtu), 0);
            }
            None => missing |= index != 0 && is_missing(entry, flags),
        }
    }
    if missing {
        let text = "Solo5: All declared devices must be attached. Aborting.\n";
        say!(Error, Message::new().text(text));
        give_up!()
    }
    // SAFETY: the reference is the only one and ends here.
    *unsafe { OWNED.get() } = owned;
}

/// Says that an entry has no device, unless it needs none.
fn is_missing(entry: &Entry, flags: u32) -> bool {
    let Some(kind) = entry.kind().filter(|_| flags & mft2::DEVICE_OPTIONAL == 0) else {
        return false;
    };
    let mut message = Message::new();
    message.text("Solo5: Device '").bytes(entry.name_bytes()).text("' of type ");
    say!(Error, message.text(kind.name()).text(" not attached.\n"));
    true
}

/// Ends the unikernel because devices and entries do not match.
fn refuse(problem: Problem<'_>, found: &[Option<Device>]) -> ! {
    let (index, what) = match problem {
        Problem::Word(word) => {
            let mut message = Message::new();
            message.text("Solo5: --solo5:net=").bytes(word);
            message.text(": not NAME@ADDRESS with a network device of the manifest. Aborting.\n");
            say!(Error, &message);
            give_up!()
        }
        Problem::Surplus(index) => (index, " not in manifest"),
        Problem::Twice(index) => (index, " has the name of another device"),
    };
    match found.get(index).and_then(Option::as_ref) {
        Some(Device { driver: Driver::Nic(_), bus, .. }) => fail(*bus, "Virtio net: ", what),
        Some(Device { bus, .. }) => fail(*bus, "Virtio blk: ", what),
        None => give_up!(),
    }
}

/// Takes the boot disk out; returns the number of devices that are left.
fn without_boot_disk(
    found: &mut [Option<Device>],
    space: Option<Configuration>,
    number: u32,
) -> usize {
    let mut kept = 0;
    for index in 0..found.len() {
        let Some(mut device) = found.get_mut(index).and_then(Option::take) else { continue };
        if let Driver::Disk(disk) = &mut device.driver
            && let Some([id, end]) = disk.first_sector(&RUNNING, [names::BOOT_ID, names::BOOT_END])
            && names::is_boot_disk(number, id, end)
        {
            disk.give_up(&RUNNING);
            if let (Bus::Pci(place), Some(space)) = (device.bus, &space) {
                pci::disable(space, place);
            }
            let mut message = Message::new();
            let text = ": boot disk, not a device of the manifest\n";
            say!(Info, device.bus.message(&mut message, "").text(text));
            continue;
        }
        if let Some(slot) = found.get_mut(kept) {
            *slot = Some(device);
        }
        kept = kept.wrapping_add(1);
    }
    kept
}

/// Notes which disks share a line with a network device.
fn share_lines() {
    // SAFETY: the reference is the only one and ends with this function.
    let devices = unsafe { DEVICES.get() };
    for index in 0..devices.len() {
        let Some(Some(device)) = devices.get(index) else { continue };
        let line = device.line;
        let is_nic = |other: &Device| matches!(other.driver, Driver::Nic(_)) && other.line == line;
        let shares = devices.iter().flatten().any(is_nic);
        if let Some(Some(device)) = devices.get_mut(index) {
            device.shares = shares;
        }
    }
}
