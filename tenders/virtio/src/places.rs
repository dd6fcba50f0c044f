//! Where each device of a machine is: its bus and address.
//!
//! Devices lie in the order of the manifest. On a PCI bus that is ascending slots from 2 on, each with
//! one device while the slots suffice, because guests with the bindings of Solo5 0.12 look nowhere else
//! (`docs/reference/virtio.md#runner`).

use solo5_launch::{Machine, Unfit};
use solo5_tender::error::Error;

/// The first slot for devices: the lower ones have the chipset.
const FIRST_SLOT: usize = 2;

/// The bus and address of each of `count` devices, as QEMU's `-device` takes them.
///
/// # Errors
///
/// The machine has no room for so many.
pub fn places(machine: Machine, count: usize) -> Result<Vec<String>, Error> {
    let (slots, most) = (machine.slots(), machine.most_devices());
    if count > most {
        return Err(Unfit::Places { machine: machine.name(), count, most }.into());
    }
    let bus = match machine {
        Machine::Microvm => {
            let place = |index| format!("bus=virtio-mmio-bus.{index}");
            return Ok((0..count).map(place).collect());
        }
        Machine::Pc => "pci.0",
        Machine::Q35 | Machine::Virt => "pcie.0",
    };
    let functions = count.div_ceil(slots).max(1);
    let place = |index| {
        let (slot, function) = (FIRST_SLOT + index / functions, index % functions);
        match (functions, function) {
            (1, _) => format!("bus={bus},addr={slot:#x}"),
            (_, 0) => format!("bus={bus},addr={slot:#x}.0,multifunction=on"),
            _ => format!("bus={bus},addr={slot:#x}.{function}"),
        }
    };
    Ok((0..count).map(place).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_have_slots_of_their_own_while_there_are_enough() {
        assert_eq!(places(Machine::Pc, 2).unwrap(), ["bus=pci.0,addr=0x2", "bus=pci.0,addr=0x3"]);
        assert_eq!(places(Machine::Pc, 30).unwrap()[29], "bus=pci.0,addr=0x1f");
        assert_eq!(places(Machine::Q35, 29).unwrap()[28], "bus=pcie.0,addr=0x1e");
        let many = places(Machine::Q35, 30).unwrap();
        assert_eq!(many[..2], ["bus=pcie.0,addr=0x2.0,multifunction=on", "bus=pcie.0,addr=0x2.1",]);
        assert_eq!(places(Machine::Microvm, 8).unwrap()[7], "bus=virtio-mmio-bus.7");
        assert_eq!(places(Machine::Microvm, 9).unwrap_err().code(), "T464");
    }

    #[test]
    fn no_two_devices_share_a_place() {
        for machine in Machine::ALL {
            for count in 0..64 {
                let Ok(mut all) = places(machine, count) else { continue };
                all.sort_unstable();
                all.dedup();
                assert_eq!(all.len(), count, "{machine:?}");
            }
        }
    }
}
