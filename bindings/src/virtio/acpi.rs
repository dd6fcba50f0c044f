//! What ACPI says about switching the machine off (`docs/reference/virtio.md#exit`), and about
//! virtio-mmio transports (`docs/reference/virtio.md#mmio`).
//!
//! The tables are data of the firmware. Addresses, lengths and counts in them are checked, and what
//! is not understood ends the search.

use super::transports::Transport;

/// Access to physical memory.
pub trait Physical {
    /// The bytes at an address, if they can be read.
    fn bytes(&self, address: u64, size: usize) -> Option<&[u8]>;
}

/// How to switch the machine off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Off {
    /// Ports of the two control registers; 0 if there is none.
    pub control: [u16; 2],
    /// The value that each takes as the type of sleep.
    pub kind: [u8; 2],
    /// The port and value that hand control over to us; 0 if that is not needed.
    pub enable: (u16, u8),
    /// The sleep register of a machine without control registers: its address, and whether that is a
    /// port.
    pub register: Option<(u64, bool)>,
}

/// Why the machine cannot be switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// No root pointer.
    Root,
    /// No fixed description table.
    Fadt,
    /// No type of sleep.
    Sleep,
}

/// Longest table that is read. QEMU's are below 64 KiB.
const TABLE_MAX: usize = 1 << 20;
/// Most tables.
const TABLES_MAX: usize = 64;
const HEADER: usize = 36;

/// A little-endian number.
fn number(bytes: &[u8], offset: usize, size: usize) -> Option<u64> {
    let bytes = bytes.get(offset..offset.checked_add(size)?)?;
    Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

fn sums_to_zero(bytes: &[u8]) -> bool {
    bytes.iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte)) == 0
}

/// The offset of the root pointer in memory that is searched for it.
pub fn find_root(memory: &[u8]) -> Option<usize> {
    (0..memory.len()).step_by(16).find(|at| {
        let root = memory.get(*at..at.saturating_add(20));
        root.is_some_and(|root| root.starts_with(b"RSD PTR ") && sums_to_zero(root))
    })
}

/// The fixed description table, and the tables with definitions that `root` leads to; `root` is the
/// address of the root pointer.
fn definitions(
    memory: &impl Physical,
    root: u64,
) -> Result<(&[u8], impl Iterator<Item = &[u8]>), Missing> {
    let pointer = memory.bytes(root, 20).filter(|bytes| bytes.starts_with(b"RSD PTR "));
    let pointer = pointer.filter(|bytes| sums_to_zero(bytes)).ok_or(Missing::Root)?;
    let revision = number(pointer, 15, 1).unwrap_or(0);
    let extended = if revision >= 2 {
        memory.bytes(root, HEADER).and_then(|bytes| number(bytes, 24, 8)).unwrap_or(0)
    } else {
        0
    };
    let (list, size) = match table(memory, extended, b"XSDT") {
        Some(list) => (list, 8),
        None => {
            let address = number(pointer, 16, 4).unwrap_or(0);
            (table(memory, address, b"RSDT").ok_or(Missing::Fadt)?, 4)
        }
    };
    let tables = move || {
        let entries = list.get(HEADER..).unwrap_or_default().chunks_exact(size);
        entries.take(TABLES_MAX).filter_map(move |entry| number(entry, 0, size))
    };
    let fadt = tables().find_map(|at| table(memory, at, b"FACP")).ok_or(Missing::Fadt)?;
    let field = |offset, size| number(fadt, offset, size).unwrap_or(0);
    let dsdt = [field(40, 4), field(140, 8)].into_iter().find_map(|at| table(memory, at, b"DSDT"));
    let others = tables().filter_map(|at| table(memory, at, b"SSDT"));
    Ok((fadt, dsdt.into_iter().chain(others)))
}

/// Reads the virtio-mmio transports into `to`; returns their number.
pub fn transports(memory: &impl Physical, root: u64, to: &mut [Transport]) -> usize {
    let Ok((_, definitions)) = definitions(memory, root) else { return 0 };
    let mut count = 0;
    for (slot, transport) in to.iter_mut().zip(definitions.flat_map(mmio_devices)) {
        *slot = transport;
        count += 1;
    }
    count
}

/// The virtio-mmio transports of a table. Each is a device with the identifier `LNRO0005`, and its
/// resources are a range of memory and an interrupt.
fn mmio_devices(table: &[u8]) -> impl Iterator<Item = Transport> + '_ {
    const NAME: &[u8] = b"LNRO0005\0";
    /// A device's definition is shorter.
    const LONGEST: usize = 128;
    (HEADER..table.len()).filter_map(|at| {
        let rest = table.get(at..)?.strip_prefix(NAME)?;
        let rest = rest.get(..LONGEST.min(rest.len()))?;
        // Memory32Fixed: kind and length, writability, base, size. Interrupt: kind and length, flags,
        // one, number.
        let memory = behind(rest, &[0x86, 9, 0])?;
        let interrupt = behind(rest, &[0x89, 6, 0])?;
        let line = u32::try_from(number(interrupt, 2, 4)?).ok()?;
        Some(Transport { base: number(memory, 1, 4)?, size: number(memory, 5, 4)?, line })
    })
}

/// What follows the first `start` in `bytes`.
fn behind<'a>(bytes: &'a [u8], start: &[u8]) -> Option<&'a [u8]> {
    (0..bytes.len()).find_map(|at| bytes.get(at..)?.strip_prefix(start))
}

/// Reads how to switch the machine off; `root` is the address of the root pointer.
pub fn read(memory: &impl Physical, root: u64) -> Result<Off, Missing> {
    let (fadt, mut definitions) = definitions(memory, root)?;
    let field = |offset, size| number(fadt, offset, size).unwrap_or(0);
    let kind = definitions.find_map(sleep_kinds).ok_or(Missing::Sleep)?;

    /// Flag: there are no control registers.
    const REDUCED: u64 = 1 << 20;
    let mut off = Off { kind, ..Off::default() };
    if field(112, 4) & REDUCED != 0 {
        let space = field(244, 1);
        off.register = (space <= 1 && field(248, 8) != 0).then(|| (field(248, 8), space == 1));
        return Ok(off);
    }
    // Fields of 4 bytes, and behind them the newer ones, which also name the space.
    for (control, (old, new)) in off.control.iter_mut().zip([(64, 172), (68, 184)]) {
        let port = match field(old, 4) {
            0 if field(new, 1) == 1 => field(new + 4, 8),
            port => port,
        };
        *control = u16::try_from(port).unwrap_or(0);
    }
    let command = u16::try_from(field(48, 4)).unwrap_or(0);
    off.enable = (command, field(52, 1) as u8);
    Ok(off)
}

/// The table at `address`, header included, if it has this signature.
fn table<'a>(memory: &'a impl Physical, address: u64, signature: &[u8; 4]) -> Option<&'a [u8]> {
    if address == 0 {
        return None;
    }
    let header = memory.bytes(address, HEADER).filter(|header| header.starts_with(signature))?;
    let size = number(header, 4, 4)? as usize;
    (HEADER..=TABLE_MAX).contains(&size).then_some(())?;
    memory.bytes(address, size)
}

/// The types of sleep in which the machine is off: the first two numbers of the package `_S5_`.
fn sleep_kinds(table: &[u8]) -> Option<[u8; 2]> {
    const NAME: &[u8] = b"_S5_";
    const PACKAGE: u8 = 0x12;
    (HEADER..table.len()).find_map(|at| {
        let rest = table.get(at..)?.strip_prefix(NAME)?.strip_prefix(&[PACKAGE])?;
        // The length of the package has one byte, and as many more as its first two bits say.
        let length = 1 + usize::from(rest.first()? >> 6);
        // After it comes the number of elements.
        let mut elements = rest.get(length.checked_add(1)?..)?;
        let mut kinds = [0; 2];
        for (place, kind) in kinds.iter_mut().enumerate() {
            // The second element may be missing.
            match integer(elements) {
                Some((value, rest)) => (*kind, elements) = (value, rest),
                None if place == 0 => return None,
                None => {}
            }
        }
        Some(kinds)
    })
}

/// An integer object at the start of `code`, and what follows it.
fn integer(code: &[u8]) -> Option<(u8, &[u8])> {
    let (operation, rest) = code.split_first()?;
    match operation {
        // ZeroOp and OneOp.
        0 | 1 => Some((*operation, rest)),
        // BytePrefix, WordPrefix and DWordPrefix; types have three bits.
        0x0a => Some((*rest.first()?, rest.get(1..)?)),
        0x0b => Some((*rest.first()?, rest.get(2..)?)),
        0x0c => Some((*rest.first()?, rest.get(4..)?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    struct Bytes(Vec<u8>);

    impl Physical for Bytes {
        fn bytes(&self, address: u64, size: usize) -> Option<&[u8]> {
            let start = usize::try_from(address).ok()?;
            self.0.get(start..start.checked_add(size)?)
        }
    }

    impl Bytes {
        fn put(&mut self, at: usize, bytes: &[u8]) {
            self.0[at..at + bytes.len()].copy_from_slice(bytes);
        }

        fn header(&mut self, at: usize, signature: &[u8; 4], size: u32) {
            self.put(at, signature);
            self.put(at + 4, &size.to_le_bytes());
        }
    }

    /// The tables of a machine whose package is `code`.
    fn machine(code: &[u8]) -> Bytes {
        let mut bytes = Bytes(std::vec![0; 0x1000]);
        bytes.put(0x40, b"RSD PTR ");
        bytes.put(0x50, &0x100u32.to_le_bytes());
        let sum = bytes.0[0x40..0x54].iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
        bytes.put(0x48, &[sum.wrapping_neg()]);
        bytes.header(0x100, b"RSDT", 36 + 8);
        bytes.put(0x100 + 36, &0x200u32.to_le_bytes());
        bytes.put(0x100 + 40, &0x400u32.to_le_bytes());
        bytes.header(0x200, b"APIC", 36);
        bytes.header(0x400, b"FACP", 268);
        bytes.put(0x400 + 40, &0x800u32.to_le_bytes());
        bytes.put(0x400 + 48, &[0xb2]);
        bytes.put(0x400 + 52, &[0xf1]);
        bytes.put(0x400 + 64, &0x604u32.to_le_bytes());
        bytes.header(0x800, b"DSDT", 36 + 8 + code.len() as u32);
        bytes.put(0x800 + 40, code);
        bytes
    }

    #[test]
    fn control_registers() {
        // As QEMU's `pc` has it: Package (4) { 0, 0, 0, 0 }.
        let memory = machine(b"_S5_\x12\x06\x04\x00\x00\x00\x00");
        assert_eq!(find_root(&memory.0), Some(0x40));
        let expected = Off { control: [0x604, 0], enable: (0xb2, 0xf1), ..Off::default() };
        assert_eq!(read(&memory, 0x40), Ok(expected));
        // Values with a prefix, a length of two bytes, and a name that is no package before it.
        let memory = machine(b"_S5_x_S5_\x12\x40\x06\x04\x0a\x05\x0b\x07\x00");
        assert_eq!(read(&memory, 0x40).map(|off| off.kind), Ok([5, 7]));
    }

    #[test]
    fn a_sleep_register() {
        let mut memory = machine(b"_S5_\x12\x06\x04\x0a\x05\x00\x00");
        memory.put(0x400 + 112, &(1u32 << 20).to_le_bytes());
        memory.put(0x400 + 244, &[0]);
        memory.put(0x400 + 248, &0xfea0_0200u64.to_le_bytes());
        let off = read(&memory, 0x40).unwrap();
        assert_eq!((off.register, off.kind[0]), (Some((0xfea0_0200, false)), 5));
    }

    #[test]
    fn virtio_mmio_transports() {
        // As QEMU's `microvm` has them: name, identifier, resources.
        let device = |base: u32, line: u8| {
            let mut code = b"VR00\x08_HID\x0dLNRO0005\0\x08_CRS\x11\x17\x0a\x14".to_vec();
            code.extend([0x86, 9, 0, 1]);
            code.extend(base.to_le_bytes());
            code.extend(512u32.to_le_bytes());
            code.extend([0x89, 6, 0, 9, 1, line, 0, 0, 0, 0x79, 0]);
            code
        };
        let code = [device(0xfeb0_0000, 16), device(0xfeb0_0200, 17), b"LNRO0005\0".to_vec()];
        let memory = machine(&code.concat());
        let mut found = [Transport { base: 0, size: 0, line: 0 }; 3];
        assert_eq!(transports(&memory, 0x40, &mut found), 2);
        let expected = [(0xfeb0_0000, 16), (0xfeb0_0200, 17)];
        let expected = expected.map(|(base, line)| Transport { base, size: 512, line });
        assert_eq!(found[..2], expected);
        assert_eq!(transports(&memory, 0x40, &mut found[..1]), 1);
        assert_eq!(transports(&memory, 0, &mut found), 0);
    }

    #[test]
    fn what_is_missing() {
        let memory = machine(b"_S5_");
        assert_eq!(read(&memory, 0x40), Err(Missing::Sleep));
        assert_eq!(read(&memory, 0x41), Err(Missing::Root));
        let mut memory = machine(b"");
        memory.put(0x400, b"XXXX");
        assert_eq!(read(&memory, 0x40), Err(Missing::Fadt));
        assert_eq!(find_root(&[0; 64]), None);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_in_the_tables_end(at in 0x100usize..0x900, change: Vec<u8>) {
            let mut memory = machine(b"_S5_\x12\x06\x04\x00\x00\x00\x00");
            memory.put(at, &change);
            let _ = read(&memory, 0x40);
            let mut found = [Transport { base: 0, size: 0, line: 0 }; 3];
            transports(&memory, 0x40, &mut found);
        }
    }
}
