//! The device tree: what a machine of Arm says about itself (`docs/reference/virtio.md#aarch64-tree`).
//!
//! Only nodes directly below the root are read: there a `virt` machine has everything that is used. A
//! library reads the format; it checks the whole tree first. What the nodes say is read with care: a
//! property that is too short, or of a kind that is not known, is as if it were not there.

use core::ops::Range;

use dtoolkit::fdt::{Fdt, FdtNode};
use dtoolkit::{Node, Property};

use super::info::RANGES;
use super::pci::Place;
use super::transports::Transport;

/// Longest tree in bytes: QEMU's has a mebibyte, most of it empty.
pub const SIZE_MAX: u32 = 2 << 20;
/// Most routes of PCI's interrupts. A `virt` machine has four pins for each of four kinds of place.
pub const ROUTES: usize = 64;
/// Length in bytes of the seed that is read.
pub const SEED: usize = 32;

/// How the firmware is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conduit {
    /// By the instruction `hvc`.
    Hypervisor,
    /// By the instruction `smc`.
    Monitor,
}

/// The interrupt controller, with the addresses of its registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gic {
    /// Version 2: distributor and CPU interface.
    V2(u64, u64),
    /// Version 3: distributor and redistributors.
    V3(u64, u64),
}

/// Where an interrupt of PCI goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Route {
    address: u32,
    pin: u32,
    line: u32,
}

/// A range of addresses of PCI that the machine shows in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Aperture {
    /// First address of PCI.
    pub bus: u64,
    /// First address in memory.
    pub start: u64,
    /// Length in bytes.
    pub len: u64,
}

/// The host bridge of PCI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host {
    /// Where configuration space is.
    pub start: u64,
    /// Its length in bytes.
    pub len: u64,
    /// Ports; of length 0 if there are none.
    pub ports: Aperture,
    /// Registers with addresses of 32 bits.
    pub memory: Aperture,
    routes: [Route; ROUTES],
    mask: (u32, u32),
}

impl Host {
    /// The interrupt line of a function's pin.
    pub fn line(&self, place: Place, pin: u8) -> Option<u32> {
        let [bus, device, function] = [place.bus, place.device, place.function].map(u32::from);
        let address = (bus << 16 | device << 11 | function << 8) & self.mask.0;
        let pin = u32::from(pin) & self.mask.1;
        let is_it = |route: &&Route| (route.address, route.pin) == (address, pin) && pin != 0;
        self.routes.iter().find(is_it).map(|route| route.line)
    }
}

/// What the tree says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree<'a> {
    /// The command line.
    pub line: &'a [u8],
    /// Memory.
    pub memory: [Range<u64>; RANGES],
    /// The serial port, a PL011.
    pub serial: Option<u64>,
    /// The real-time clock, a PL031.
    pub clock: Option<u64>,
    /// The interrupt controller.
    pub gic: Option<Gic>,
    /// The interrupt of the virtual timer.
    pub timer: Option<u32>,
    /// The way to the firmware.
    pub firmware: Option<Conduit>,
    /// PCI.
    pub pci: Option<Host>,
    /// Random bytes of the loader.
    pub seed: Option<[u8; SEED]>,
}

/// The size that the header at the beginning of a tree names; `None` if it is not one, or is too large.
pub fn size(header: &[u8; 8]) -> Option<u32> {
    const MAGIC: u64 = 0xd00d_feed;
    let word = u64::from_be_bytes(*header);
    let size = word as u32;
    (word >> 32 == MAGIC && size <= SIZE_MAX).then_some(size)
}

/// Numbers of 32 bits, as properties have them.
#[derive(Clone, Copy)]
struct Cells<'a>(&'a [u8]);

impl Cells<'_> {
    /// The next number, of one or two cells.
    fn take(&mut self, cells: u32) -> Option<u64> {
        let mut number = 0;
        for _ in 0..cells {
            let (cell, rest) = self.0.split_first_chunk()?;
            self.0 = rest;
            number = number << 32 | u64::from(u32::from_be_bytes(*cell));
        }
        (cells <= 2).then_some(number)
    }

    /// The next cell.
    fn one(&mut self) -> Option<u32> {
        self.take(1).map(|number| number as u32)
    }

    /// The next interrupt of a GIC: its number there.
    fn interrupt(&mut self) -> Option<u32> {
        let (kind, number, _) = (self.one()?, self.one()?, self.one()?);
        let first = match kind {
            0 => 32,
            1 => 16,
            _ => return None,
        };
        number.checked_add(first)
    }
}

/// A node, with how its parent writes addresses and sizes.
struct Part<'a> {
    node: FdtNode<'a>,
    cells: (u32, u32),
}

impl<'a> Part<'a> {
    fn value(&self, name: &str) -> Option<&'a [u8]> {
        self.node.property(name)?.value_as().ok()
    }

    fn cells(&self, name: &str) -> Cells<'a> {
        Cells(self.value(name).unwrap_or_default())
    }

    fn has(&self, name: &str, word: &[u8]) -> bool {
        let value = self.value(name).unwrap_or_default();
        value.split(|byte| *byte == 0).any(|part| part == word)
    }

    fn is(&self, kind: &[u8]) -> bool {
        self.has("compatible", kind)
    }

    /// The ranges of `reg`.
    fn registers(&self) -> impl Iterator<Item = (u64, u64)> + use<'a> {
        let (address, size) = self.cells;
        let mut cells = self.cells("reg");
        core::iter::from_fn(move || Some((cells.take(address)?, cells.take(size)?)))
    }

    fn first(&self) -> Option<u64> {
        self.registers().next().map(|(start, _)| start)
    }
}

/// Reads a tree. `None` if it is not a valid one. Returns as many transports of virtio-mmio as `transports` has
/// room for, and their number.
pub fn read<'a>(bytes: &'a [u8], transports: &mut [Transport]) -> Option<(Tree<'a>, usize)> {
    let fdt = Fdt::new(bytes).ok()?;
    let root = Part { node: fdt.root(), cells: (2, 1) };
    let width = |part: &Part<'_>, name, usual| part.cells(name).one().unwrap_or(usual);
    let cells = (width(&root, "#address-cells", 2), width(&root, "#size-cells", 1));
    let parts = || root.node.children().map(move |node| Part { node, cells });
    let mut tree = Tree::default();
    let mut output: &[u8] = b"";
    if let Some(chosen) = parts().find(|part| part.node.name() == "chosen") {
        tree.line = first_string(chosen.value("bootargs").unwrap_or_default());
        let path = first_string(chosen.value("stdout-path").unwrap_or_default());
        output = path.split(|byte| *byte == b':').next().unwrap_or_default();
        output = output.strip_prefix(b"/").unwrap_or(b"");
        tree.seed = chosen.value("rng-seed").and_then(|seed| seed.first_chunk().copied());
    }
    let mut slots = tree.memory.iter_mut();
    let mut count = 0;
    let mut controller_cells = 0;
    let is_enabled = |part: &Part<'_>| !part.has("status", b"disabled");
    for part in parts().filter(is_enabled) {
        if part.has("device_type", b"memory") {
            for ((start, size), slot) in part.registers().zip(&mut slots) {
                *slot = start..start.saturating_add(size);
            }
        } else if part.is(b"arm,pl011") {
            // Of several the one that the firmware writes to.
            if tree.serial.is_none() || part.node.name().as_bytes() == output {
                tree.serial = part.first();
            }
        } else if part.is(b"arm,pl031") {
            tree.clock = part.first();
        } else if part.is(b"arm,psci-0.2") || part.is(b"arm,psci-1.0") {
            tree.firmware = match first_string(part.value("method").unwrap_or_default()) {
                b"hvc" => Some(Conduit::Hypervisor),
                b"smc" => Some(Conduit::Monitor),
                _ => None,
            };
        } else if part.is(b"arm,armv8-timer") {
            // Secure, not secure, virtual, hypervisor's.
            let mut cells = part.cells("interrupts");
            let [_, _, line] = [(); 3].map(|()| cells.interrupt());
            tree.timer = line;
        } else if part.is(b"virtio,mmio") {
            if let (Some((base, size)), Some(slot)) =
                (part.registers().next(), transports.get_mut(count))
                && base.checked_add(size).is_some()
            {
                let line = part.cells("interrupts").interrupt().unwrap_or(0);
                *slot = Transport { base, size, line };
                count += 1;
            }
        } else if let Some(gic) = gic(&part) {
            tree.gic = Some(gic);
            controller_cells = width(&part, "#address-cells", 0);
        }
    }
    let is_pci = |part: &Part<'_>| part.is(b"pci-host-ecam-generic") && is_enabled(part);
    tree.pci = parts().find(is_pci).and_then(|part| host(&part, controller_cells));
    Some((tree, count))
}

/// The bytes up to the first NUL.
fn first_string(value: &[u8]) -> &[u8] {
    value.split(|byte| *byte == 0).next().unwrap_or_default()
}

fn gic(part: &Part<'_>) -> Option<Gic> {
    let mut registers = part.registers().map(|(start, _)| start);
    if part.is(b"arm,gic-v3") {
        Some(Gic::V3(registers.next()?, registers.next()?))
    } else if part.is(b"arm,cortex-a15-gic") || part.is(b"arm,gic-400") {
        Some(Gic::V2(registers.next()?, registers.next()?))
    } else {
        None
    }
}

/// A host bridge, whose interrupts go to a controller with addresses of `controller_cells` cells.
fn host(part: &Part<'_>, controller_cells: u32) -> Option<Host> {
    let (start, len) = part.registers().next()?;
    let mut ranges = part.cells("ranges");
    let mut next = || {
        let kind = ranges.one()? >> 24 & 3;
        let bus = ranges.take(2)?;
        let start = ranges.take(part.cells.0)?;
        Some((kind, Aperture { bus, start, len: ranges.take(2)? }))
    };
    let (mut ports, mut memory) = (Aperture::default(), Aperture::default());
    while let Some((kind, range)) = next() {
        match kind {
            1 => ports = range,
            2 => memory = range,
            _ => {}
        }
    }
    let mut mask = part.cells("interrupt-map-mask");
    let mask = match [(); 4].map(|()| mask.one()) {
        [Some(address), _, _, Some(pin)] => (address, pin),
        _ => (0, 0),
    };
    let mut map = part.cells("interrupt-map");
    let mut routes = [Route::default(); ROUTES];
    for slot in &mut routes {
        let mut route = || {
            let (address, _, _, pin) = (map.one()?, map.one()?, map.one()?, map.one()?);
            let _controller = map.one()?;
            map.take(controller_cells)?;
            Some(Route { address, pin, line: map.interrupt()? })
        };
        let Some(route) = route() else { break };
        *slot = route;
    }
    Some(Host { start, len, ports, memory, routes, mask })
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::string::String;
    use std::vec::Vec;

    use super::*;

    /// The tree of a QEMU machine with these words; `None` if there is no such QEMU here.
    fn of_qemu(machine: &str, words: &[&str]) -> Option<Vec<u8>> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tree");
        let dump = std::format!("{machine},dumpdtb={}", file.display());
        let made = Command::new("qemu-system-aarch64")
            .args(["-cpu", "max", "-nodefaults", "-display", "none", "-machine", &dump])
            .args(words)
            .output();
        match made {
            Ok(output) => {
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
                Some(std::fs::read(file).unwrap())
            }
            Err(_) => {
                std::println!("skip: virtio::tree: there is no qemu-system-aarch64");
                None
            }
        }
    }

    const NONE: Transport = Transport { base: 0, size: 0, line: 0 };

    #[test]
    fn qemu_describes_its_machine() {
        // QEMU takes a command line only with a kernel, which it does not look at here.
        let kernel = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(kernel.path(), [0; 4096]).unwrap();
        let kernel = kernel.path().to_str().unwrap();
        let words = ["-m", "64", "-append", "a  b", "-kernel", kernel];
        let Some(bytes) = of_qemu("virt,gic-version=2", &words) else { return };
        assert_eq!(size(bytes.first_chunk().unwrap()), Some(bytes.len() as u32));
        let mut transports = [NONE; 64];
        let (tree, count) = read(&bytes, &mut transports).unwrap();
        assert_eq!(tree.line, b"a  b");
        assert_eq!(tree.memory[0], 0x4000_0000..0x4400_0000);
        assert!(tree.memory[1].is_empty());
        assert_eq!((tree.serial, tree.clock), (Some(0x900_0000), Some(0x901_0000)));
        assert_eq!(tree.gic, Some(Gic::V2(0x800_0000, 0x801_0000)));
        assert_eq!((tree.timer, tree.firmware), (Some(27), Some(Conduit::Hypervisor)));
        assert_eq!(count, 32);
        let lowest = transports[..count].iter().min_by_key(|one| one.base).unwrap();
        assert_eq!(*lowest, Transport { base: 0xa00_0000, size: 0x200, line: 48 });
        let pci = tree.pci.unwrap();
        assert_eq!((pci.start, pci.len), (0x40_1000_0000, 0x1000_0000));
        assert_eq!(pci.ports, Aperture { bus: 0, start: 0x3eff_0000, len: 0x1_0000 });
        let memory = Aperture { bus: 0x1000_0000, start: 0x1000_0000, len: 0x2eff_0000 };
        assert_eq!(pci.memory, memory);
        // The pins of neighbours are one apart.
        let line = |device, pin| pci.line(Place { bus: 0, device, function: 0 }, pin);
        assert_eq!(
            [line(0, 1), line(1, 1), line(1, 4), line(5, 2)].map(Option::unwrap),
            [35, 36, 35, 37]
        );
        assert_eq!((line(1, 0), line(1, 5)), (None, None), "there are four pins");
    }

    #[test]
    fn other_machines_have_other_parts() {
        let words = ["-m", "2048", "-smp", "2"];
        let machine = "virt,gic-version=3,virtualization=on,highmem=off";
        let Some(bytes) = of_qemu(machine, &words) else { return };
        let (tree, _) = read(&bytes, &mut []).unwrap();
        assert_eq!(tree.gic, Some(Gic::V3(0x800_0000, 0x80a_0000)));
        assert_eq!(tree.firmware, Some(Conduit::Monitor));
        assert_eq!(tree.pci.unwrap().start, 0x3f00_0000);
        assert_eq!(tree.memory[0].end, 0xc000_0000);
    }

    #[test]
    fn what_is_no_tree_is_refused() {
        assert_eq!(size(&[0; 8]), None);
        assert_eq!(size(&[0xd0, 0x0d, 0xfe, 0xed, 0, 0x20, 0, 1]), None);
        assert_eq!(read(&[], &mut []), None);
        assert_eq!(read(&[0xd0, 0x0d, 0xfe, 0xed, 0, 0, 0, 8], &mut []), None);
    }

    #[test]
    fn a_damaged_tree_is_refused_or_read_to_an_end() {
        let Some(bytes) = of_qemu("virt", &["-m", "64"]) else { return };
        let used = bytes.iter().rposition(|byte| *byte != 0).unwrap();
        let mut random = 1u64;
        for _ in 0..2000 {
            let mut damaged = bytes[..].to_vec();
            for _ in 0..3 {
                random =
                    random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
                let place = (random >> 33) as usize % used;
                damaged[place] = (random >> 24) as u8;
            }
            let mut transports = [NONE; 64];
            assert!(read(&damaged, &mut transports).is_none_or(|(_, count)| count <= 64));
        }
    }
}
