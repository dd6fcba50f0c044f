//! Which device belongs to which entry of the manifest (`docs/reference/virtio.md#names`).
//!
//! Adversary: whoever wrote the command line, whose mistakes are named, and devices that claim a name
//! twice.

use solo5_abi::mft1::{DeviceType, ENTRIES_MAX, Entry};

use super::disk::SERIAL_SIZE;

/// The longest name that a serial holds; longer ones are written as `#INDEX`.
const NAME_MAX: usize = SERIAL_SIZE;
/// Beginning of the words that are for the drivers.
const NET: &[u8] = b"--solo5:net=";

/// Beginning of the loader's name.
const LOADER: &[u8] = b"solo5-virtio-mkimage disk=";

/// Whether a word at the beginning of the command line is for the drivers.
pub fn is_option(word: &[u8]) -> bool {
    word.starts_with(NET)
}

/// What is known of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// A block device with this serial, NULs at its end.
    Block([u8; SERIAL_SIZE]),
    /// A network device with this address.
    Net(Option<[u8; 6]>),
}

impl Identity {
    fn kind(&self) -> DeviceType {
        match self {
            Identity::Block(_) => DeviceType::BlockBasic,
            Identity::Net(_) => DeviceType::NetBasic,
        }
    }
}

/// Why devices and entries do not match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem<'a> {
    /// A word of the command line has no name and address, or names no entry.
    Word(&'a [u8]),
    /// The device of this index belongs to no entry.
    Surplus(usize),
    /// The device of this index claims an entry that another one has.
    Twice(usize),
}

/// The device of each entry, by the entry's index.
pub type Devices = [Option<u8>; ENTRIES_MAX];

/// The words at the beginning of a command line that begin with `prefix`, without it.
fn words<'a>(line: &'a [u8], prefix: &'static [u8]) -> impl Iterator<Item = &'a [u8]> {
    let words = line.split(|byte| matches!(byte, b' ' | b'\t'..=b'\r'));
    let options =
        words.filter(|word| !word.is_empty()).take_while(|word| word.starts_with(b"--solo5:"));
    options.filter_map(move |word| word.strip_prefix(prefix))
}

/// The identifier of the disk that the machine was booted from, by the name of the loader: that of
/// `solo5-virtio-mkimage` ends with it. It is 4 bytes at [`BOOT_ID`] of the disk.
pub fn boot_disk(loader: &[u8]) -> Option<u32> {
    let digits = loader.strip_prefix(LOADER).filter(|digits| digits.len() == 8)?;
    digits.iter().try_fold(0u32, |number, digit| Some(number << 4 | (*digit as char).to_digit(16)?))
}

/// Offsets in a boot sector: its identifier, and the 4 bytes that end with its signature.
pub const BOOT_ID: usize = 440;
/// See [`BOOT_ID`].
pub const BOOT_END: usize = 508;

/// Whether a disk whose boot sector has these numbers is the one with `boot_disk`'s number.
pub fn is_boot_disk(boot_disk: u32, id: u32, end: u32) -> bool {
    id == boot_disk && end >> 16 == 0xaa55
}

/// The entry of type `kind` that `name` names: its own name, or `#INDEX` if that is too long.
fn entry(entries: &[Entry], kind: DeviceType, name: &[u8]) -> Option<usize> {
    entries.iter().enumerate().position(|(index, entry)| {
        if entry.kind_number() != kind.number() {
            return false;
        }
        match name.strip_prefix(b"#") {
            Some(digits) => entry.name_is_longer(NAME_MAX) && is_number(digits, index),
            None => entry.has_name(name),
        }
    })
}

/// Whether `digits` are the decimal `number`, without leading zeros.
fn is_number(digits: &[u8], number: usize) -> bool {
    let value = digits.iter().try_fold(0usize, |value, digit| {
        let digit = (*digit as char).to_digit(10)?;
        value.checked_mul(10)?.checked_add(digit as usize)
    });
    value == Some(number) && digits.first().is_some_and(|first| *first != b'0')
}

/// An Ethernet address in text: six pairs of hexadecimal digits with colons between.
fn address(text: &[u8]) -> Option<[u8; 6]> {
    let mut address = [0; 6];
    let mut pairs = text.split(|byte| *byte == b':');
    for byte in &mut address {
        let [high, low] = pairs.next()? else { return None };
        let digit = |character: &u8| (*character as char).to_digit(16);
        *byte = (digit(high)? << 4 | digit(low)?) as u8;
    }
    pairs.next().is_none().then_some(address)
}

/// Finds the device of each entry. Within a type, devices belong to entries by name if any device of
/// the type has the name of one; else by position.
pub fn assign<'a>(
    devices: &[Identity],
    entries: &[Entry],
    line: &'a [u8],
) -> Result<Devices, Problem<'a>> {
    let mut assigned = [None; ENTRIES_MAX];
    let mut named = Named::default();
    for word in words(line, NET) {
        let mut parts = word.splitn(2, |byte| *byte == b'@');
        let name = parts.next().unwrap_or_default();
        let entry = entry(entries, DeviceType::NetBasic, name);
        let wanted = parts.next().and_then(address);
        let (Some(entry), Some(wanted)) = (entry, wanted) else {
            return Err(Problem::Word(word));
        };
        named.net = true;
        let all = devices.iter().enumerate();
        for (index, _) in all.filter(|(_, device)| **device == Identity::Net(Some(wanted))) {
            give(&mut assigned, entry, index)?;
        }
    }
    for (index, device) in devices.iter().enumerate() {
        if let Identity::Block(serial) = device {
            let len = serial.iter().take_while(|byte| **byte != 0).count();
            let name = serial.get(..len).unwrap_or_default();
            if let Some(entry) = entry(entries, DeviceType::BlockBasic, name) {
                named.block = true;
                give(&mut assigned, entry, index)?;
            }
        }
    }
    for (index, device) in devices.iter().enumerate() {
        let has_entry = assigned.contains(&Some(index as u8));
        if has_entry {
            continue;
        }
        let is_named = match device {
            Identity::Block(_) => named.block,
            Identity::Net(_) => named.net,
        };
        let free = entries.iter().zip(&assigned).position(|(entry, owner)| {
            owner.is_none() && entry.kind_number() == device.kind().number()
        });
        match free.filter(|_| !is_named) {
            Some(entry) => give(&mut assigned, entry, index)?,
            None => return Err(Problem::Surplus(index)),
        }
    }
    Ok(assigned)
}

/// Whether names were given, by type.
#[derive(Default)]
struct Named {
    block: bool,
    net: bool,
}

fn give(assigned: &mut Devices, entry: usize, device: usize) -> Result<(), Problem<'static>> {
    match assigned.get_mut(entry) {
        Some(slot @ None) => {
            *slot = Some(device as u8);
            Ok(())
        }
        _ => Err(Problem::Twice(device)),
    }
}

#[cfg(test)]
mod tests {
    use std::format;
    use std::string::String;
    use std::vec;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    const BLOCK: DeviceType = DeviceType::BlockBasic;

    fn entries(names: &[(&str, DeviceType)]) -> Vec<Entry> {
        let devices = names.iter().map(|(name, kind)| Entry::device(name, *kind).unwrap());
        [Entry::RESERVED].into_iter().chain(devices).collect()
    }

    fn serial(text: &str) -> Identity {
        let mut serial = [0; SERIAL_SIZE];
        serial[..text.len()].copy_from_slice(text.as_bytes());
        Identity::Block(serial)
    }

    fn net(last: u8) -> Identity {
        Identity::Net(Some([0x52, 0x54, 0, 0, 0, last]))
    }

    const LONG: &str = "aVeryLongNameOfADevice";

    #[test]
    fn without_names_devices_belong_to_entries_by_position() {
        let entries = entries(&[("a", BLOCK), ("n", DeviceType::NetBasic), ("b", BLOCK)]);
        let devices = [serial(""), serial("QM00001"), net(1)];
        let assigned = assign(&devices, &entries, b"--solo5:quiet x").unwrap();
        assert_eq!(assigned[..4], [None, Some(0), Some(2), Some(1)]);
        let more = [serial(""), serial(""), serial("")];
        assert_eq!(assign(&more, &entries, b""), Err(Problem::Surplus(2)));
        assert_eq!(assign(&[], &entries, b""), Ok([None; ENTRIES_MAX]));
    }

    #[test]
    fn names_win_over_positions() {
        let kinds = [
            ("a", BLOCK),
            ("n", DeviceType::NetBasic),
            ("b", BLOCK),
            (LONG, BLOCK),
            ("m", DeviceType::NetBasic),
        ];
        let entries = entries(&kinds);
        let devices = [serial("#4"), net(1), serial("b"), net(2), serial("a")];
        let line =
            b"--solo5:net=m@52:54:00:00:00:01 --solo5:net=n@52:54:00:00:00:02 --solo5:quiet y";
        let assigned = assign(&devices, &entries, line).unwrap();
        assert_eq!(assigned[..6], [None, Some(4), Some(3), Some(2), Some(0), Some(1)]);
    }

    #[test]
    fn where_one_has_a_name_all_of_its_type_have() {
        let entries = entries(&[("a", BLOCK), ("b", BLOCK)]);
        assert_eq!(assign(&[serial("b"), serial("")], &entries, b""), Err(Problem::Surplus(1)));
        assert_eq!(assign(&[serial("b"), serial("b")], &entries, b""), Err(Problem::Twice(1)));
        // The index of an entry whose name fits says nothing; nor does that of no entry.
        for odd in ["#1", "#01", "#0", "#", "#99", "c"] {
            let assigned = assign(&[serial(odd)], &entries, b"").unwrap();
            assert_eq!(assigned[1], Some(0), "{odd}");
        }
    }

    #[test]
    fn wrong_words_are_named() {
        let entries = entries(&[("n", DeviceType::NetBasic), ("a", BLOCK)]);
        for word in [
            "n",
            "n@",
            "@52:54:00:00:00:01",
            "x@52:54:00:00:00:01",
            "a@52:54:00:00:00:01",
            "n@52:54:00:00:00",
            "n@52:54:00:00:00:01:02",
            "n@52:54:00:00:00:1",
            "n@5g:54:00:00:00:01",
        ] {
            let line = format!("  --solo5:warn --solo5:net={word} rest");
            let outcome = assign(&[], &entries, line.as_bytes());
            assert_eq!(outcome, Err(Problem::Word(word.as_bytes())), "{word}");
        }
        // Behind the first word of the application nothing is for the drivers.
        assert!(assign(&[], &entries, b"x --solo5:net=n").is_ok());
        // An address that no device has leaves the entry without one, and others without an entry.
        let line = b"--solo5:net=n@52:54:00:00:00:09";
        assert_eq!(assign(&[net(1)], &entries, line), Err(Problem::Surplus(0)));
    }

    #[test]
    fn the_boot_disk_has_the_identifier_of_the_loader_s_name() {
        assert_eq!(boot_disk(b"solo5-virtio-mkimage disk=0011aaFF"), Some(0x0011_aaff));
        for name in
            ["", "GRUB 2.06", "solo5-virtio-mkimage disk=11", "solo5-virtio-mkimage disk=0011aafg"]
        {
            assert_eq!(boot_disk(name.as_bytes()), None, "{name}");
        }
        assert!(is_boot_disk(7, 7, 0xaa55_0000));
        assert!(!is_boot_disk(7, 8, 0xaa55_0000));
        assert!(!is_boot_disk(7, 7, 0x55aa_0000));
        assert!(is_option(b"--solo5:net=") && !is_option(b"--solo5:n"));
    }

    proptest! {
        /// In any order, devices with names find their entries.
        #[test]
        fn shuffled_devices_find_their_entries(
            order in Just((0..46usize).collect::<Vec<_>>()).prop_shuffle(),
            manifest in Just((0..46usize).collect::<Vec<_>>()).prop_shuffle(),
        ) {
            let kind = |number: usize| if number < 30 { BLOCK } else { DeviceType::NetBasic };
            let name = |number: usize| if number.is_multiple_of(5) {
                format!("{LONG}{number}")
            } else {
                format!("d{number}")
            };
            let names: Vec<String> = manifest.iter().map(|number| name(*number)).collect();
            let rows: Vec<_> =
                names.iter().zip(&manifest).map(|(name, number)| (name.as_str(), kind(*number))).collect();
            let entries = entries(&rows);
            let mut line = String::new();
            let mut devices = vec![];
            for number in &order {
                let index = 1 + manifest.iter().position(|other| other == number).unwrap();
                let said = if number.is_multiple_of(5) { format!("#{index}") } else { name(*number) };
                if *number < 30 {
                    devices.push(serial(&said));
                } else {
                    let last = *number as u8;
                    devices.push(net(last));
                    line += &format!("--solo5:net={said}@52:54:00:00:00:{last:02x} ");
                }
            }
            let assigned = assign(&devices, &entries, line.as_bytes()).unwrap();
            for (entry, number) in (1..).zip(&manifest) {
                let device = order.iter().position(|other| other == number).unwrap();
                prop_assert_eq!(assigned[entry], Some(device as u8));
            }
        }

        #[test]
        fn any_line_and_serial_give_an_answer(line: Vec<u8>, bytes: [u8; SERIAL_SIZE]) {
            let entries = entries(&[("n", DeviceType::NetBasic), ("a", BLOCK)]);
            let _ = assign(&[Identity::Block(bytes), net(1)], &entries, &line);
            let _ = boot_disk(&line);
        }
    }
}
