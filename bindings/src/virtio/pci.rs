//! PCI: finding virtio functions and where their registers are (`docs/reference/virtio.md#pci`).
//!
//! Adversary: configuration space. Bridges may form a circle, lists of capabilities may too, and every
//! offset and length may be anything. Each bus is scanned once, each list has a bound, and a range of
//! registers that is empty or wraps around does not exist.

/// A function's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// 0 to 255.
    pub bus: u8,
    /// 0 to 31.
    pub device: u8,
    /// 0 to 7.
    pub function: u8,
}

/// Configuration space.
pub trait Space {
    /// Four bytes at `register`, a multiple of 4 below 256. All ones if there is no such function.
    fn read(&self, place: Place, register: u8) -> u32;
    /// Writes four bytes.
    fn write(&self, place: Place, register: u8, value: u32);
}

/// What a virtio device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A network device.
    Net,
    /// A block device.
    Block,
    /// Another type of device, by its number.
    Other(u16),
}

impl Kind {
    /// The device type with this number.
    pub fn from_number(number: u16) -> Kind {
        match number {
            1 => Kind::Net,
            2 => Kind::Block,
            other => Kind::Other(other),
        }
    }
}

/// A range of registers in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Physical address.
    pub start: u64,
    /// Length in bytes, not 0.
    pub len: u32,
}

/// Where the registers of a version 1 device are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registers {
    /// Those common to all devices.
    pub common: Range,
    /// Notifications.
    pub notify: Range,
    /// Distance in bytes between the places of notifications.
    pub multiplier: u32,
    /// Interrupt status.
    pub interrupt: Range,
    /// The device's own.
    pub device: Range,
}

/// A virtio function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function {
    /// Where it is.
    pub place: Place,
    /// What it is.
    pub kind: Kind,
    /// Its interrupt line, as the firmware has noted it.
    pub line: u8,
    /// Its interrupt pin: 1 to 4, 0 if it has none.
    pub pin: u8,
    /// Its registers as a version 1 device.
    pub modern: Option<Registers>,
    /// The first of its ports as a legacy device.
    pub legacy: Option<u16>,
}

const VIRTIO: u32 = 0x1af4;
/// Device numbers of transitional devices, and of version 1 devices, which are 0x1040 and the type.
const TRANSITIONAL: core::ops::RangeInclusive<u16> = 0x1000..=0x103f;
const MODERN: core::ops::RangeInclusive<u16> = 0x1040..=0x107f;

/// Registers of configuration space.
const ID: u8 = 0x00;
pub(super) const COMMAND: u8 = 0x04;
const CLASS: u8 = 0x08;
pub(super) const HEADER: u8 = 0x0c;
pub(super) const BARS: u8 = 0x10;
const BUSES: u8 = 0x18;
const SUBSYSTEM: u8 = 0x2c;
const CAPABILITIES: u8 = 0x34;
const INTERRUPT: u8 = 0x3c;

/// Bits of the command: ports and memory answer, the device may read and write memory.
const COMMAND_ENABLE: u32 = 0b111;
/// Bit of the command: no interrupt lines.
const COMMAND_NO_LINE: u32 = 1 << 10;
/// Bit of the status: there is a list of capabilities.
const STATUS_LIST: u32 = 1 << 20;
/// Class of bridges between PCI buses.
const BRIDGE: u32 = 0x0604;
const MULTIFUNCTION: u32 = 1 << 23;
const NOTHING: u32 = u32::MAX;

/// Capabilities: MSI-X, and virtio's, which is the vendor's.
const MSIX: u8 = 0x11;
const MSIX_ENABLE: u32 = 1 << 31;
const VENDOR: u8 = 0x09;
/// Most capabilities: they are 4 bytes or longer, and behind the header of 64 bytes.
const CAPABILITIES_MAX: u32 = 48;

/// Calls `visit` with every function of the machine, by bus, device and function.
///
/// Buses behind bridges have the numbers that the firmware gave them; a bridge without one is skipped.
pub fn functions(space: &impl Space, mut visit: impl FnMut(Place)) {
    // Bit N: there is a bus N. A bus behind a bridge has a higher number than the bridge's own.
    let mut buses = [0u64; 4];
    buses[0] = 1;
    for bus in 0..=u8::MAX {
        if buses.get(usize::from(bus / 64)).is_none_or(|word| word >> (bus % 64) & 1 == 0) {
            continue;
        }
        for device in 0..32 {
            let mut last = 0;
            let mut function = 0;
            while function <= last {
                let place = Place { bus, device, function };
                if space.read(place, ID) != NOTHING {
                    let header = space.read(place, HEADER);
                    if function == 0 && header & MULTIFUNCTION != 0 {
                        last = 7;
                    }
                    visit(place);
                    if space.read(place, CLASS) >> 16 == BRIDGE {
                        let [_, below, ..] = space.read(place, BUSES).to_le_bytes();
                        if below > bus
                            && let Some(word) = buses.get_mut(usize::from(below / 64))
                        {
                            *word |= 1 << (below % 64);
                        }
                    }
                }
                function += 1;
            }
        }
    }
}

/// The virtio function at `place`, if it is one. It may then use memory and its interrupt line.
pub fn virtio(space: &impl Space, place: Place) -> Option<Function> {
    let id = space.read(place, ID);
    if id & 0xffff != VIRTIO {
        return None;
    }
    let device = (id >> 16) as u16;
    let kind = if TRANSITIONAL.contains(&device) {
        (space.read(place, SUBSYSTEM) >> 16) as u16
    } else if MODERN.contains(&device) {
        device.wrapping_sub(*MODERN.start())
    } else {
        return None;
    };
    let [line, pin, ..] = space.read(place, INTERRUPT).to_le_bytes();
    let mut function = Function {
        place,
        kind: Kind::from_number(kind),
        line,
        pin,
        modern: registers(space, place),
        legacy: None,
    };
    if TRANSITIONAL.contains(&device) {
        function.legacy = match bar(space, place, 0) {
            Some(Bar::Port(port)) => Some(port),
            _ => None,
        };
    }
    let command = space.read(place, COMMAND) & 0xffff & !COMMAND_NO_LINE;
    space.write(place, COMMAND, command | COMMAND_ENABLE);
    Some(function)
}

/// Keeps the function from memory.
pub fn disable(space: &impl Space, place: Place) {
    let command = space.read(place, COMMAND) & 0xffff;
    space.write(place, COMMAND, command & !COMMAND_ENABLE);
}

enum Bar {
    Port(u16),
    Memory(u64),
}

/// Base address register `index`; `None` if the firmware has not set it.
fn bar(space: &impl Space, place: Place, index: u8) -> Option<Bar> {
    let register = |index: u8| space.read(place, BARS.wrapping_add(4 * index));
    if index > 5 {
        return None;
    }
    let low = register(index);
    if low & 1 != 0 {
        let port = u16::try_from(low & !3).ok()?;
        return (port != 0).then_some(Bar::Port(port));
    }
    let high = match low >> 1 & 3 {
        0 => 0,
        2 if index < 5 => register(index + 1),
        _ => return None,
    };
    let address = u64::from(high) << 32 | u64::from(low & !0xf);
    (address != 0).then_some(Bar::Memory(address))
}

/// The registers of a version 1 device, by its capabilities. Of several for the same registers the first
/// that can be used counts. MSI-X is switched off: the driver uses interrupt lines.
fn registers(space: &impl Space, place: Place) -> Option<Registers> {
    if space.read(place, COMMAND) & STATUS_LIST == 0 {
        return None;
    }
    let mut ranges = [None; 5];
    let mut multiplier = 0;
    let mut at = space.read(place, CAPABILITIES) as u8 & !3;
    for _ in 0..CAPABILITIES_MAX {
        if at < 0x40 {
            break;
        }
        let word = space.read(place, at);
        let [id, next, _, kind] = word.to_le_bytes();
        if id == MSIX && word & MSIX_ENABLE != 0 {
            space.write(place, at, word & !MSIX_ENABLE);
        }
        if id == VENDOR
            && let Some(slot @ None) = ranges.get_mut(usize::from(kind))
        {
            // The last register of configuration space is 0xfc, so a sum that wraps reads the header.
            let field = |offset: u8| space.read(place, at.wrapping_add(offset));
            *slot = range(space, place, field(4) as u8, field(8), field(12));
            if kind == 2 {
                multiplier = field(16);
            }
        }
        at = next & !3;
    }
    let [_, common, notify, interrupt, device] = ranges;
    Some(Registers {
        common: common.filter(|range: &Range| range.len >= 56)?,
        notify: notify?,
        multiplier,
        interrupt: interrupt?,
        device: device?,
    })
}

/// `len` bytes at `offset` in a base address register's memory.
fn range(space: &impl Space, place: Place, index: u8, offset: u32, len: u32) -> Option<Range> {
    let Bar::Memory(base) = bar(space, place, index)? else { return None };
    let start = base.checked_add(offset.into())?;
    start.checked_add(len.into())?;
    (len != 0).then_some(Range { start, len })
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeMap;
    use std::vec;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    /// Functions with 256 bytes each.
    #[derive(Default)]
    struct Machine(RefCell<BTreeMap<Place, Vec<u8>>>);

    impl Machine {
        fn put(&self, place: Place, register: u8, value: u32) {
            let mut functions = self.0.borrow_mut();
            let bytes = functions.entry(place).or_insert_with(|| vec![0; 256]);
            bytes[usize::from(register)..][..4].copy_from_slice(&value.to_le_bytes());
        }
    }

    impl Space for Machine {
        fn read(&self, place: Place, register: u8) -> u32 {
            assert_eq!(register % 4, 0);
            self.0.borrow().get(&place).map_or(u32::MAX, |bytes| {
                u32::from_le_bytes(bytes[usize::from(register)..][..4].try_into().unwrap())
            })
        }

        fn write(&self, place: Place, register: u8, value: u32) {
            self.put(place, register, value);
        }
    }

    fn at(bus: u8, device: u8, function: u8) -> Place {
        Place { bus, device, function }
    }

    fn visited(machine: &Machine) -> Vec<Place> {
        let mut places = vec![];
        functions(machine, |place| places.push(place));
        places
    }

    #[test]
    fn functions_and_buses_are_found_in_order() {
        let machine = Machine::default();
        let bridge = |place, below: u32| {
            machine.put(place, ID, 0x8086);
            machine.put(place, CLASS, BRIDGE << 16);
            machine.put(place, BUSES, below << 8);
        };
        bridge(at(0, 3, 0), 2);
        bridge(at(2, 0, 0), 200);
        bridge(at(0, 1, 0), 0); // No bus assigned.
        machine.put(at(200, 31, 0), ID, 1);
        machine.put(at(0, 4, 0), ID, 1);
        machine.put(at(0, 4, 0), HEADER, MULTIFUNCTION);
        machine.put(at(0, 4, 7), ID, 1);
        machine.put(at(0, 5, 1), ID, 1); // Without function 0 there is nothing.
        machine.put(at(7, 0, 0), ID, 1); // No bridge leads there.
        let expected =
            [at(0, 1, 0), at(0, 3, 0), at(0, 4, 0), at(0, 4, 7), at(2, 0, 0), at(200, 31, 0)];
        assert_eq!(visited(&machine), expected);
    }

    #[test]
    fn a_circle_of_bridges_has_an_end() {
        let machine = Machine::default();
        for (bus, below) in [(0, 5), (5, 5), (5, 0), (9, 0)] {
            let place = at(bus, below, 0);
            machine.put(place, ID, 0x8086);
            machine.put(place, CLASS, BRIDGE << 16);
            machine.put(place, BUSES, u32::from(below) << 8);
        }
        assert_eq!(visited(&machine).len(), 3);
    }

    /// A transitional network device as QEMU makes it: ports in register 0, memory in register 4.
    fn transitional(machine: &Machine, place: Place) {
        machine.put(place, ID, 0x1000_1af4);
        machine.put(place, COMMAND, STATUS_LIST | COMMAND_NO_LINE);
        machine.put(place, SUBSYSTEM, 0x0001_1af4);
        machine.put(place, INTERRUPT, 0x010b);
        machine.put(place, BARS, 0xc001);
        machine.put(place, BARS + 16, 0xfe00_000c);
        machine.put(place, BARS + 20, 0x1);
        machine.put(place, CAPABILITIES, 0x84);
        for (at, next, kind, offset, len) in [
            (0x84u8, 0x70, 5, 0, 0),
            (0x70, 0x60, 2, 0x3000, 0x1000),
            (0x60, 0x50, 4, 0x2000, 0x1000),
            (0x50, 0x40, 3, 0x1000, 0x1000),
            (0x40, 0x98, 1, 0, 0x1000),
        ] {
            machine.put(place, at, kind << 24 | 0x10 << 16 | next << 8 | u32::from(VENDOR));
            machine.put(place, at + 4, 4);
            machine.put(place, at + 8, offset);
            machine.put(place, at + 12, len);
        }
        machine.put(place, 0x80, 4);
        machine.put(place, 0x98, MSIX_ENABLE | u32::from(MSIX));
    }

    #[test]
    fn a_transitional_device_has_both_kinds_of_registers() {
        let (machine, place) = (Machine::default(), at(0, 2, 0));
        transitional(&machine, place);
        let function = virtio(&machine, place).unwrap();
        let range = |offset: u64| Range { start: 0x1_fe00_0000 + offset, len: 0x1000 };
        assert_eq!((function.kind, function.line, function.legacy), (Kind::Net, 11, Some(0xc000)));
        let expected = Registers {
            common: range(0),
            notify: range(0x3000),
            multiplier: 4,
            interrupt: range(0x1000),
            device: range(0x2000),
        };
        assert_eq!(function.modern, Some(expected));
        assert_eq!(machine.read(place, COMMAND) & 0xffff, COMMAND_ENABLE);
        assert_eq!(machine.read(place, 0x98), u32::from(MSIX), "MSI-X is off");
        disable(&machine, place);
        assert_eq!(machine.read(place, COMMAND) & 0xffff, 0);
    }

    #[test]
    fn kinds_and_foreign_devices_are_told_apart() {
        let (machine, place) = (Machine::default(), at(0, 2, 0));
        for (id, subsystem, kind) in [
            (0x1001_1af4u32, 0x0002_1af4u32, Some(Kind::Block)),
            (0x1042_1af4, 0x1100_1af4, Some(Kind::Block)),
            (0x1041_1af4, 0, Some(Kind::Net)),
            (0x1044_1af4, 0, Some(Kind::Other(4))),
            (0x1080_1af4, 0, None),
            (0x0fff_1af4, 0, None),
            (0x1000_8086, 0, None),
        ] {
            machine.put(place, ID, id);
            machine.put(place, SUBSYSTEM, subsystem);
            assert_eq!(virtio(&machine, place).map(|function| function.kind), kind, "{id:#x}");
        }
        assert_eq!(virtio(&machine, at(1, 0, 0)), None);
    }

    proptest! {
        #[test]
        fn any_configuration_space_is_read_to_an_end(
            spaces in prop::collection::vec(
                (0..12u8, 0..32u8, 0..8u8, prop::collection::vec(any::<u8>(), 256)), 0..20),
            virtio_ids: bool,
        ) {
            let machine = Machine::default();
            for (bus, device, function, mut bytes) in spaces {
                if virtio_ids {
                    bytes[..4].copy_from_slice(&0x1041_1af4u32.to_le_bytes());
                    bytes[6] |= 0x10;
                }
                machine.0.borrow_mut().insert(at(bus, device, function), bytes);
            }
            for place in visited(&machine) {
                if let Some(modern) = virtio(&machine, place).and_then(|found| found.modern) {
                    for range in [modern.common, modern.notify, modern.interrupt, modern.device] {
                        prop_assert!(range.len > 0);
                        prop_assert!(range.start.checked_add(range.len.into()).is_some());
                    }
                }
            }
        }
    }
}
