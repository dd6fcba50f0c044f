//! Round trips through encoder and decoder, and hostile bytes for every reader.

use proptest::prelude::*;
use solo5_abi::abi1::Abi1;
use solo5_abi::mft1::{self, DeviceType, Entry, Mft1};
use solo5_abi::mft2::{
    self, DeviceProperties, Mft2, PROPERTIES, Shape, Subject, Value, Writer, by_key, known, tag,
};
use solo5_abi::note::{self, Notes};
use solo5_abi::{Arch, Target};
use zerocopy::FromBytes;

type Device = (String, DeviceType);

fn devices() -> impl Strategy<Value = Vec<Device>> {
    let kind = prop_oneof![Just(DeviceType::BlockBasic), Just(DeviceType::NetBasic)];
    let names = prop::collection::btree_set("[A-Za-z0-9]{1,67}", 0..=mft1::DEVICES_MAX);
    (names, prop::collection::vec(kind, mft1::DEVICES_MAX))
        .prop_map(|(names, kinds)| names.into_iter().zip(kinds).collect())
}

fn encoded(devices: &[Device]) -> Vec<u8> {
    let mut out = vec![0xee; mft1::note_size(devices.len())];
    let devices = devices.iter().map(|(name, kind)| (name.as_str(), *kind));
    mft1::encode(devices, &mut out).expect("valid devices");
    out
}

fn descriptor(note: &[u8]) -> &[u8] {
    Notes::new(note).next().expect("one note").expect("a sound one").descriptor
}

proptest! {
    /// For any bytes of an entry, and names near its own: with a terminator, longer, shorter.
    #[test]
    fn an_entry_has_exactly_its_name(
        bytes in prop::collection::vec(prop_oneof![3 => 0u8..3, 1 => any::<u8>()], Entry::SIZE),
        length in 0usize..80,
        other in prop::collection::vec(0u8..3, 0..4),
    ) {
        let (entry, _) = Entry::read_from_prefix(&bytes).expect("any bytes are an entry");
        let name = entry.name_bytes();
        prop_assert!(entry.has_name(name));
        for near in [&bytes[..length], &other, &[name, b"\0"].concat(), &[name, b"\x01"].concat()] {
            prop_assert_eq!(entry.has_name(near), near == name);
        }
    }

    #[test]
    fn a_manifest_survives_its_note(devices in devices()) {
        let note = encoded(&devices);
        let found: Vec<_> = Notes::new(&note).collect();
        prop_assert_eq!(found.len(), 1);
        let found = found[0].expect("sound");
        prop_assert!(found.is(note::OWNER_SOLO5, note::TYPE_MFT1));
        prop_assert_eq!(found.descriptor_offset, 20);
        let manifest = Mft1::parse(found.descriptor).expect("what we wrote");
        manifest.check().expect("what we wrote");
        let read: Vec<Device> = manifest
            .devices()
            .map(|(_, entry)| (entry.name().to_owned(), entry.kind().expect("known")))
            .collect();
        prop_assert_eq!(&read, &devices);
        for (index, (name, kind)) in devices.iter().enumerate() {
            prop_assert_eq!(manifest.find(name, *kind).map(|(at, _)| at), Some(index + 1));
        }
    }

    #[test]
    fn changed_manifests_are_refused_or_round_trip(
        devices in devices(), at: prop::sample::Index, bit in 0u8..8,
    ) {
        let mut note = encoded(&devices);
        let start = 20;
        let at = start + at.index(note.len() - start);
        note[at] ^= 1 << bit;
        if let Ok(manifest) = Mft1::parse(descriptor(&note))
            && manifest.check().is_ok()
        {
            // An accepted manifest encodes to the same bytes again, except for the descriptor's
            // padding and the bytes after a name's terminator.
            let again: Vec<Device> = manifest
                .devices()
                .map(|(_, entry)| (entry.name().to_owned(), entry.kind().expect("checked")))
                .collect();
            let written = encoded(&again);
            prop_assert_eq!(written.len(), note.len());
            if written[at] != note[at] {
                let ignored = at < 24 || (at >= 32 && (at - 32) % Entry::SIZE < mft1::NAME_SIZE);
                prop_assert!(ignored && written[at] == 0, "byte {} is lost", at);
            }
        }
    }

    #[test]
    fn readers_do_not_panic_on_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(Notes::new(&bytes).count() <= bytes.len() / 12 + 1);
        let _ = Abi1::parse(&bytes);
        let _ = Mft1::parse(&bytes).map(|manifest| manifest.check());
        let empty = encoded(&[]);
        let manifest = Mft1::parse(descriptor(&empty)).expect("the empty manifest");
        if let Ok(properties) = Mft2::parse(&bytes, &manifest) {
            let _ = properties.records().count();
        }
    }

    #[test]
    fn properties_survive_their_note(
        minimum: Option<u64>, synopsis in prop::option::of("[a-zé \\-]{1,40}"), heap: bool,
        optional: bool, read_only: bool, sector: Option<u32>, mtu: Option<u32>,
    ) {
        let note = encoded(&[
            ("disk".into(), DeviceType::BlockBasic),
            ("service".into(), DeviceType::NetBasic),
        ]);
        let manifest = Mft1::parse(descriptor(&note)).expect("valid");
        let mut out = vec![0xee; mft2::DESCRIPTOR_MAX];
        let mut writer = Writer::new(&mut out, 3).expect("room");
        if let Some(minimum) = minimum {
            writer.push(0, tag::MEMORY_MINIMUM, &minimum.to_le_bytes()).expect("room");
        }
        if let Some(synopsis) = &synopsis {
            writer.push(0, tag::SYNOPSIS, synopsis.as_bytes()).expect("room");
        }
        if heap {
            writer.push(0, tag::FLAGS, &1u32.to_le_bytes()).expect("room");
        }
        let flags = u32::from(optional) | u32::from(read_only) << 1;
        if flags != 0 {
            writer.push(1, tag::DEVICE_FLAGS, &flags.to_le_bytes()).expect("room");
        }
        if let Some(sector) = sector {
            writer.push(1, tag::SECTOR_SIZE, &sector.to_le_bytes()).expect("room");
        }
        if let Some(mtu) = mtu {
            writer.push(2, tag::MTU_MINIMUM, &mtu.to_le_bytes()).expect("room");
        }
        let length = writer.finish();
        let properties = Mft2::parse(&out[..length], &manifest).expect("what we wrote");
        prop_assert_eq!(properties.memory_minimum(), minimum);
        prop_assert_eq!(properties.synopsis(), synopsis.as_deref());
        prop_assert_eq!(properties.executable_heap(), heap);
        let disk = properties.device(1);
        prop_assert_eq!((disk.optional, disk.read_only), (optional, read_only));
        prop_assert_eq!(disk.sector_size, sector);
        prop_assert_eq!(properties.device(2).mtu_minimum, mtu);
        prop_assert!(Mft2::parse(&out[..length - 1], &manifest).is_err());
        prop_assert!(Mft2::parse(&out[..length + 1], &manifest).is_err());
    }
}

/// Builds a descriptor byte by byte: the header, then records given as (stored tag, device, payload).
fn mft2_bytes(entries: u32, records: &[(u16, u32, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for word in [2, records.len() as u32, entries, 0] {
        out.extend(word.to_le_bytes());
    }
    for (tag, device, payload) in records {
        out.extend(tag.to_le_bytes());
        out.extend((payload.len() as u16).to_le_bytes());
        out.extend(device.to_le_bytes());
        out.extend(*payload);
        out.resize(out.len().next_multiple_of(8), 0);
    }
    out
}

#[test]
fn every_error_in_a_properties_note_has_its_kind() {
    use mft2::ErrorKind as F;
    let note =
        encoded(&[("disk".into(), DeviceType::BlockBasic), ("net".into(), DeviceType::NetBasic)]);
    let manifest = Mft1::parse(descriptor(&note)).expect("valid");
    let kind = |bytes: &[u8]| Mft2::parse(bytes, &manifest).map(|_| ()).map_err(|f| f.kind);
    let records = |records: &[(u16, u32, &[u8])]| kind(&mft2_bytes(3, records));
    let c = mft2::CRITICAL;

    assert_eq!(records(&[]), Ok(()));
    assert_eq!(kind(&[0; 15]), Err(F::Short));
    assert_eq!(kind(&[0; 16]), Err(F::Version(0)));
    assert_eq!(kind(&vec![0; mft2::DESCRIPTOR_MAX + 1]), Err(F::Long));
    assert_eq!(kind(&mft2_bytes(2, &[])), Err(F::Entries(2)));
    assert_eq!(records(&[(c | 1, 0, &[0; 8])]), Ok(()));
    assert_eq!(records(&[(1, 0, &[0; 8])]), Err(F::Criticality(1)));
    assert_eq!(records(&[(c | 2, 0, &[0; 8])]), Err(F::Criticality(2)));
    assert_eq!(records(&[(c | 1, 0, &[0; 4])]), Err(F::Length(1)));
    assert_eq!(records(&[(c | 1, 1, &[0; 8])]), Err(F::Subject(1)));
    assert_eq!(records(&[(c | 0x20, 0, &[0; 4])]), Err(F::Subject(0x20)));
    assert_eq!(records(&[(c | 0x20, 1, &[0; 4])]), Ok(()));
    assert_eq!(records(&[(c | 0x20, 2, &[0; 4])]), Err(F::Subject(0x20)));
    assert_eq!(records(&[(c | 0x20, 3, &[0; 4])]), Err(F::Device(3)));
    assert_eq!(records(&[(c | 0x10, 1, &8u32.to_le_bytes())]), Err(F::Flags(0x10)));
    // Device 2 is a network interface, which is not flushed.
    assert_eq!(records(&[(c | 0x10, 1, &4u32.to_le_bytes())]), Ok(()));
    assert_eq!(records(&[(c | 0x10, 2, &4u32.to_le_bytes())]), Err(F::Flags(0x10)));
    assert_eq!(records(&[(c | 5, 0, &0x1_0000u64.to_le_bytes())]), Ok(()));
    for size in [0u64, 0xffff, 0x1_0001] {
        assert_eq!(records(&[(c | 5, 0, &size.to_le_bytes())]), Err(F::Stack));
    }
    assert_eq!(records(&[(c | 0x10, 1, &0u32.to_le_bytes())]), Err(F::Flags(0x10)));
    assert_eq!(records(&[(3, 0, b"a\0b")]), Err(F::Text(3)));
    assert_eq!(records(&[(3, 0, &[0xff])]), Err(F::Text(3)));
    assert_eq!(records(&[(3, 0, b"")]), Err(F::Length(3)));
    assert_eq!(records(&[(0x5000, 2, b"private")]), Ok(()));
    assert_eq!(records(&[(c | 0x5000, 2, b"private")]), Err(F::Unknown(0x5000)));
    assert_eq!(records(&[(3, 0, b"a"), (2, 0, &[0; 8])]), Err(F::Order));
    assert_eq!(records(&[(2, 0, &[0; 8]), (2, 0, &[0; 8])]), Err(F::Order));
    assert_eq!(records(&[(c | 0x5000, 0, b"a"), (0x5000, 0, b"a")]), Err(F::Unknown(0x5000)));

    let mut padded = mft2_bytes(3, &[(3, 0, b"a")]);
    *padded.last_mut().expect("not empty") = 1;
    assert_eq!(kind(&padded), Err(F::Padding));
    let mut reserved = mft2_bytes(3, &[]);
    reserved[12] = 1;
    assert_eq!(kind(&reserved), Err(F::Reserved));
    let mut many = mft2_bytes(3, &[]);
    many[4..8].copy_from_slice(&1025u32.to_le_bytes());
    assert_eq!(kind(&many), Err(F::Count(1025)));
    let mut trailing = mft2_bytes(3, &[]);
    trailing.extend([0; 8]);
    assert_eq!(kind(&trailing), Err(F::Trailing));
    let mut missing = mft2_bytes(3, &[]);
    missing[4] = 1;
    assert_eq!(kind(&missing), Err(F::Short));
}

#[test]
fn the_table_of_properties_is_sound() {
    for (index, property) in PROPERTIES.iter().enumerate() {
        let name = property.name;
        assert!(property.tag < mft2::PRIVATE_FIRST, "{name}");
        let others = || PROPERTIES[..index].iter();
        let kind = |other: &mft2::Property| (other.subject == Subject::Unikernel, other.critical);
        for other in others() {
            assert_ne!(property.name, other.name);
            assert_ne!(property.key, other.key);
            // Only flags share a tag, and each has its own bit.
            if other.tag == property.tag {
                assert_eq!(kind(property), kind(other), "{name}");
                let bits = property.shape.bit().zip(other.shape.bit());
                assert!(bits.is_some_and(|(a, b)| a & b == 0), "{name}");
            }
        }
        assert!(property.shape.bit().is_none_or(|bit| bit.count_ones() == 1), "{name}");
        // The phrase of a number or text contains the value once; that of a flag does not.
        let has_value = property.phrase.matches("{}").count();
        assert_eq!(has_value, usize::from(property.shape.bit().is_none()), "{name}");
    }
    let mut keys: Vec<_> = by_key().map(|rows| (rows[0].outer_key(), rows[0].subject)).collect();
    let count = keys.len();
    keys.sort_by_key(|(key, _)| *key);
    keys.dedup_by_key(|(key, _)| *key);
    assert_eq!(keys.len(), count, "the rows of one mapping stand together and have one subject");
    for rows in by_key().filter(|rows| rows.len() > 1) {
        assert!(rows.iter().all(|row| row.inner_key().is_some()), "{}", rows[0].key);
    }
}

/// Writes one value for each row. Only that row reads it back, and one of the accessors returns it.
#[test]
fn each_row_is_read_by_the_table_and_by_an_accessor() {
    let note = encoded(&[
        ("disk".into(), DeviceType::BlockBasic),
        ("service".into(), DeviceType::NetBasic),
    ]);
    let manifest = Mft1::parse(descriptor(&note)).expect("valid");
    for property in &PROPERTIES {
        let device = match property.subject {
            Subject::Unikernel => 0,
            Subject::Device | Subject::Only(DeviceType::BlockBasic) => 1,
            Subject::Only(DeviceType::NetBasic) => 2,
        };
        let (payload, value) = match property.shape {
            Shape::Flag(bit) | Shape::Choice(bit, _) => (bit.to_le_bytes().to_vec(), Value::Set),
            Shape::SectorSize | Shape::Mtu => (1024u32.to_le_bytes().to_vec(), Value::Number(1024)),
            Shape::Stack => ((1u64 << 20).to_le_bytes().to_vec(), Value::Number(1 << 20)),
            Shape::Size => (4096u64.to_le_bytes().to_vec(), Value::Number(4096)),
            Shape::Text(_) => (b"text".to_vec(), Value::Text("text")),
        };
        let mut out = vec![0; mft2::DESCRIPTOR_MAX];
        let mut writer = Writer::new(&mut out, 3).expect("room");
        writer.push(device, property.tag, &payload).expect("room");
        let length = writer.finish();
        let all = Mft2::parse(&out[..length], &manifest).expect("what we wrote");
        for index in 0..3 {
            let found: Vec<_> = all.properties(index).collect();
            let wanted =
                if index == device as usize { vec![(property, value)] } else { Vec::new() };
            assert_eq!(found, wanted, "{}", property.name);
        }
        let unikernel = (
            all.memory_minimum(),
            all.memory_recommended(),
            all.synopsis(),
            all.executable_heap().then_some(()),
            all.stack(),
            all.seed().then_some(()),
        );
        let seen = unikernel != (None, None, None, None, None, None)
            || all.device(device as usize) != DeviceProperties::default();
        assert!(seen, "{} has no accessor", property.name);
        assert_eq!(mft2::stack_asked(&out[..length]), all.stack(), "{}", property.name);
        let flags = mft2::device_flags(&out[..length], device);
        let about = all.device(device as usize);
        let bits = [
            (about.optional, mft2::DEVICE_OPTIONAL),
            (about.read_only, mft2::DEVICE_READ_ONLY),
            (about.flush, mft2::DEVICE_FLUSH),
        ];
        let expected = bits.iter().filter(|(set, _)| *set).map(|(_, bit)| bit).sum::<u32>();
        assert_eq!(flags, if device == 0 { 0 } else { expected }, "{}", property.name);
        assert!(known(property.tag).any(|row| row == property));
    }
}

#[test]
fn a_guest_finds_its_stack_among_other_records() {
    let write = |records: &[(u32, u16, &[u8])]| {
        let mut out = vec![0; mft2::DESCRIPTOR_MAX];
        let mut writer = Writer::new(&mut out, 2).expect("room");
        for (device, tag, payload) in records {
            writer.push(*device, *tag, payload).expect("room");
        }
        let length = writer.finish();
        out.truncate(length);
        out
    };
    let size = (1u64 << 20).to_le_bytes();
    let before = (0, mft2::tag::SYNOPSIS, &b"eleven char"[..]);
    let stack = (0, mft2::tag::STACK, &size[..]);
    let after = (1, mft2::tag::DESCRIPTION, &b"disk"[..]);
    let whole = write(&[before, stack, after]);
    assert_eq!(mft2::stack_asked(&whole), Some(1 << 20));
    assert_eq!(mft2::stack_asked(&write(&[before, after])), None);
    assert_eq!(mft2::stack_asked(&write(&[(1, mft2::tag::STACK, &size[..])])), None);
    // Cut notes end the search.
    for length in 0..whole.len() {
        let found = mft2::stack_asked(&whole[..length]);
        assert!(found.is_none() || found == Some(1 << 20), "{length}");
    }
}

#[test]
fn every_error_in_a_manifest_has_its_kind() {
    use mft1::ErrorKind as F;
    let devices =
        [("storage".into(), DeviceType::BlockBasic), ("net".into(), DeviceType::NetBasic)];
    let sound = descriptor(&encoded(&devices)).to_vec();
    let parse = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = sound.clone();
        change(&mut bytes);
        Mft1::parse(&bytes).and_then(|manifest| manifest.check()).map_err(|fault| fault.kind)
    };
    let entry = |index: usize| 12 + Entry::SIZE * index;
    assert_eq!(parse(&|_| ()), Ok(()));
    assert_eq!(parse(&|b| b.truncate(11)), Err(F::Short));
    assert_eq!(parse(&|b| b[4] = 2), Err(F::Version(2)));
    assert_eq!(parse(&|b| b[8] = 0), Err(F::Entries(0)));
    assert_eq!(parse(&|b| b[8] = 65), Err(F::Entries(65)));
    assert_eq!(parse(&|b| b[8] = 2), Err(F::Size));
    assert_eq!(parse(&|b| b.push(0)), Err(F::Size));
    assert_eq!(parse(&|b| b[entry(0)] = b'x'), Err(F::NotReserved));
    assert_eq!(parse(&|b| b[entry(0) + 71] = 0), Err(F::NotReserved));
    assert_eq!(parse(&|b| b[entry(1) + 67] = b'x'), Err(F::NameUnterminated));
    assert_eq!(parse(&|b| b[entry(1) + 96] = 2), Err(F::Attached));
    assert_eq!(parse(&|b| b[entry(1)] = b'-'), Err(F::Name));
    assert_eq!(parse(&|b| b[entry(1)] = 0), Err(F::Name));
    assert_eq!(parse(&|b| b[entry(1) + 68] = 3), Err(F::Type(3)));
    assert_eq!(parse(&|b| b[entry(1) + 80] = 3), Err(F::Preset));
    assert_eq!(parse(&|b| b[entry(2) + 88] = 3), Err(F::Preset));
    let twice = [devices[0].clone(), devices[0].clone()];
    let bytes = encoded(&twice);
    let fault = Mft1::parse(descriptor(&bytes)).expect("structure is sound").check();
    assert_eq!(fault.map_err(|fault| (fault.kind, fault.entry())), Err((F::Duplicate, Some(2))));
}

#[test]
fn attaching_a_device_fills_in_its_fields() {
    let mut block = Entry::device("disk", DeviceType::BlockBasic).expect("a name");
    block.attach_block(mft1::Block::new(0x1122_3344_5566, 4096), 7);
    let bytes = zerocopy::IntoBytes::as_bytes(&block);
    assert_eq!(bytes[72..80], 0x1122_3344_5566u64.to_le_bytes());
    assert_eq!(bytes[80..82], 4096u16.to_le_bytes());
    assert_eq!(bytes[88..92], 7i32.to_le_bytes());
    assert_eq!(bytes[96], 1);
    assert!(block.is_attached() && block.host_fd() == 7);
    let mut net = Entry::device("net", DeviceType::NetBasic).expect("a name");
    net.attach_net(mft1::Net::new([2, 3, 4, 5, 6, 7], 1500), -1);
    let bytes = zerocopy::IntoBytes::as_bytes(&net);
    assert_eq!(bytes[72..80], [2, 3, 4, 5, 6, 7, 0xdc, 0x05]);
    assert_eq!((net.net().mtu.get(), net.host_fd()), (1500, -1));
}

#[test]
fn notes_are_walked_to_the_end_or_the_first_error() {
    let abi = Abi1::new(Target::Spt, 2).note();
    let mut two = encoded(&[]);
    two.extend(abi);
    let kinds: Vec<_> = Notes::new(&two).map(|note| note.expect("sound").kind).collect();
    assert_eq!(kinds, [note::TYPE_MFT1, note::TYPE_ABI1]);
    two.truncate(two.len() - 1);
    let last = Notes::new(&two).last().expect("two items");
    assert_eq!(last, Err(note::Error { offset: 136 }));
    two.extend([0; 8]);
    let faulty = two[136..].to_vec();
    assert_eq!(Notes::new(&faulty).count(), 1, "zeros after the last note are not a note");
    assert_eq!(Notes::new(&[]).count(), 0);
    assert_eq!(Notes::new(&[1, 0, 0]).count(), 1, "a truncated header is an error");
}

#[test]
fn abi_notes_have_the_specified_bytes() {
    let hex = |target, version| {
        Abi1::new(target, version).note().iter().map(|b| format!("{b:02x}")).collect::<String>()
    };
    let hvt = "060000001000000041424931536f6c6f3500000001000000020000000000000000000000";
    assert_eq!(hex(Target::Hvt, 2), hvt);
    for target in Target::ALL {
        if let Some(version) = target.abi_version() {
            let note = Abi1::new(target, version).note();
            let read = Abi1::parse(descriptor(&note)).expect("16 bytes");
            assert_eq!((read.target(), read.version()), (Some(target), version));
        }
    }
    assert!(Abi1::parse(&[0; 15]).is_none() && Abi1::parse(&[0; 33]).is_none());
    assert_eq!(Abi1::parse(&[7; 32]).expect("32 bytes are accepted").target_name(), "unknown");
}

#[test]
fn names_and_numbers_are_unique() {
    for arch in Arch::ALL {
        assert_eq!(Arch::from_name(arch.name()), Some(arch));
        assert_eq!(Arch::from_e_machine(arch.e_machine()), Some(arch));
        assert_eq!(arch.triple(), format!("{}-solo5-none-static", arch.name()));
    }
    for target in Target::ALL {
        assert_eq!(Target::from_name(target.name()), Some(target));
        assert_eq!(Target::from_number(target.number()), Some(target));
    }
    for kind in DeviceType::ALL {
        assert_eq!(DeviceType::from_name(kind.name()), Some(kind));
        assert_eq!(DeviceType::from_number(kind.number()), Some(kind));
    }
}
