//! Addresses of PCI functions where no firmware has given them any (`docs/reference/virtio.md#pci`).

use super::pci::{BARS, COMMAND, HEADER, Place, Space, functions};

/// Free addresses.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    next: u64,
    end: u64,
}

impl Room {
    /// The `len` addresses from `start` on, those above 4 GiB excepted.
    pub fn new(start: u64, len: u64) -> Room {
        Room { next: start, end: start.saturating_add(len).min(1 << 32) }
    }

    /// Takes `size` addresses, a power of two, at a multiple of it. Address 0 stands for none.
    fn take(&mut self, size: u64) -> Option<u32> {
        let start = self.next.max(1).checked_next_multiple_of(size)?;
        let end = start.checked_add(size).filter(|end| *end <= self.end)?;
        self.next = end;
        u32::try_from(start).ok()
    }
}

/// Bits of a register that are no address: of ports, and of memory.
const PORT_BITS: u32 = 3;
const MEMORY_BITS: u32 = 0xf;

fn register(index: u8) -> u8 {
    BARS.wrapping_add(index.wrapping_mul(4))
}

/// Whether a function has the header that all but bridges have, with six registers.
fn is_ordinary(space: &impl Space, place: Place) -> bool {
    space.read(place, HEADER) >> 16 & 0x7f == 0
}

/// Gives every function of bus 0 addresses for its registers, unless some function has one: then firmware has
/// been here, and knows better. A function for which there is no room keeps none.
pub fn assign(space: &impl Space, memory: &mut Room, ports: &mut Room) {
    let mut is_set = false;
    functions(space, |place| {
        is_set |= is_ordinary(space, place)
            && (0..6).any(|index| {
                let value = space.read(place, register(index));
                value & !(if value & 1 != 0 { PORT_BITS } else { MEMORY_BITS }) != 0
            });
    });
    if is_set {
        return;
    }
    functions(space, |place| {
        if is_ordinary(space, place) {
            let command = space.read(place, COMMAND) & 0xffff;
            // It answers at no address while its registers say what is wanted.
            space.write(place, COMMAND, command & !3);
            let mut index = 0;
            while index < 6 {
                index += set(space, place, index, memory, ports);
            }
        }
    });
}

/// Sets a register; returns how many it takes.
fn set(space: &impl Space, place: Place, index: u8, memory: &mut Room, ports: &mut Room) -> u8 {
    let at = register(index);
    let kind = space.read(place, at);
    space.write(place, at, u32::MAX);
    let wanted = space.read(place, at);
    space.write(place, at, 0);
    let is_port = kind & 1 != 0;
    let is_wide = !is_port && kind >> 1 & 3 == 2 && index < 5;
    let (room, bits) = if is_port { (ports, PORT_BITS) } else { (memory, MEMORY_BITS) };
    // The bits that can be set tell the size; of ports the upper half may be missing.
    let mask = wanted & !bits | if is_port { 0xffff_0000 } else { 0 };
    let size = u64::from(!mask).wrapping_add(1);
    if wanted & !bits != 0
        && size.is_power_of_two()
        && let Some(address) = room.take(size)
    {
        space.write(place, at, address);
    }
    if is_wide {
        space.write(place, at.wrapping_add(4), 0);
        2
    } else {
        1
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeMap;
    use std::vec::Vec;

    use super::*;

    /// Functions with six registers each: the bits that are fixed, and those that can be set.
    #[derive(Default)]
    struct Machine {
        fixed: BTreeMap<Place, [(u32, u32); 6]>,
        set: RefCell<BTreeMap<(Place, u8), u32>>,
    }

    impl Space for Machine {
        fn read(&self, place: Place, at: u8) -> u32 {
            let Some(registers) = self.fixed.get(&place) else { return u32::MAX };
            let value = self.set.borrow().get(&(place, at)).copied().unwrap_or(0);
            match at {
                0x10..0x28 => {
                    let (fixed, free) = registers[usize::from(at - 0x10) / 4];
                    value & free | fixed
                }
                _ => value,
            }
        }

        fn write(&self, place: Place, at: u8, value: u32) {
            self.set.borrow_mut().insert((place, at), value);
        }
    }

    fn at(device: u8) -> Place {
        Place { bus: 0, device, function: 0 }
    }

    /// As QEMU makes a transitional device: ports, memory for MSI-X, and a register of 64 bits.
    const VIRTIO: [(u32, u32); 6] =
        [(1, 0xffff_ff80), (0, 0xffff_f000), (0, 0), (0, 0), (0xc, 0xffff_c000), (0, u32::MAX)];

    fn registers(machine: &Machine, place: Place) -> Vec<u32> {
        (0..6).map(|index| machine.read(place, register(index))).collect()
    }

    fn rooms() -> (Room, Room) {
        (Room::new(0x1000_0000, 0x2eff_0000), Room::new(0, 0x1_0000))
    }

    #[test]
    fn functions_get_addresses_that_are_aligned_and_apart() {
        let mut machine = Machine::default();
        machine.fixed.insert(at(1), VIRTIO);
        machine.fixed.insert(at(2), VIRTIO);
        let (mut memory, mut ports) = rooms();
        assign(&machine, &mut memory, &mut ports);
        assert_eq!(registers(&machine, at(1)), [0x81, 0x1000_0000, 0, 0, 0x1000_400c, 0]);
        assert_eq!(registers(&machine, at(2)), [0x101, 0x1000_8000, 0, 0, 0x1000_c00c, 0]);
    }

    #[test]
    fn what_firmware_has_set_stays() {
        let mut machine = Machine::default();
        machine.fixed.insert(at(1), VIRTIO);
        machine.fixed.insert(at(2), VIRTIO);
        machine.write(at(2), register(1), 0xfe00_0000);
        let (mut memory, mut ports) = rooms();
        assign(&machine, &mut memory, &mut ports);
        assert_eq!(registers(&machine, at(1))[1], 0);
        assert_eq!(registers(&machine, at(2))[1], 0xfe00_0000);
    }

    #[test]
    fn there_is_no_address_where_there_is_no_room() {
        let mut machine = Machine::default();
        machine.fixed.insert(at(1), VIRTIO);
        let (mut memory, mut ports) = (Room::new(0x1000_0000, 0x3000), Room::new(0, 0));
        assign(&machine, &mut memory, &mut ports);
        assert_eq!(registers(&machine, at(1)), [1, 0x1000_0000, 0, 0, 0xc, 0]);
        let mut top = Room::new(0xffff_f000, u64::MAX);
        assert_eq!(top.take(0x1000), Some(0xffff_f000));
        assert_eq!(top.take(0x1000), None);
    }

    proptest::proptest! {
        #[test]
        fn any_registers_are_set_to_an_end(all: Vec<[(u32, u32); 6]>) {
            let mut machine = Machine::default();
            machine.fixed.extend(all.into_iter().zip(0..32).map(|(one, device)| (at(device), one)));
            let (mut memory, mut ports) = rooms();
            assign(&machine, &mut memory, &mut ports);
        }
    }
}
