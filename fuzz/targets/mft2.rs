//! The properties note's descriptor. In an input, 8 bytes stand before it: the lowest 6 bits are the
//! number of devices in the manifest, the next bits are their types.

use solo5_abi::mft1::{self, DeviceType, Mft1};
use solo5_abi::mft2::{self, Mft2, tag};
use solo5_abi::note::Notes;
use solo5_image::testing;

use crate::Target;

pub(crate) const TARGET: Target = Target { name: "mft2", run, seeds, words };

fn run(data: &[u8]) -> bool {
    let Some((devices, descriptor)) = data.split_first_chunk() else {
        return false;
    };
    let note = manifest(u64::from_le_bytes(*devices));
    let first = Notes::new(&note).next().expect("a note").expect("a sound one");
    let first = Mft1::parse(first.descriptor).expect("our own manifest");
    let properties = match Mft2::parse(descriptor, &first) {
        Ok(properties) => properties,
        Err(fault) => {
            assert!(fault.offset <= descriptor.len() && !fault.to_string().is_empty(), "{fault:?}");
            return false;
        }
    };
    let mut out = vec![0xee; mft2::DESCRIPTOR_MAX];
    let mut writer = mft2::Writer::new(&mut out, first.entries().len()).expect("room");
    let mut last = None;
    let mut all_known = true;
    for record in properties.records() {
        let key = (record.device, record.tag);
        assert!(last < Some(key), "not sorted");
        last = Some(key);
        all_known &= mft2::known(record.tag).next().is_some();
        if all_known {
            writer.push(record.device, record.tag, record.payload).expect("a record in its place");
        }
    }
    if all_known {
        let length = writer.finish();
        assert_eq!(out.get(..length), Some(descriptor), "a second encoding");
    }
    let (_, _) = (properties.memory_minimum(), properties.memory_recommended());
    let (_, _) = (properties.synopsis(), properties.executable_heap());
    for (index, entry) in first.devices() {
        let device = properties.device(index);
        let is_block = entry.kind() == Some(DeviceType::BlockBasic);
        assert!(is_block || device.sector_size.is_none() && device.capacity_minimum.is_none());
        assert!(!is_block || device.mtu_minimum.is_none());
    }
    true
}

/// The manifest that the first 8 bytes describe.
fn manifest(bits: u64) -> Vec<u8> {
    let count = (bits & 63) as usize;
    let names: Vec<_> =
        (0..count.min(mft1::DEVICES_MAX)).map(|index| format!("d{index}")).collect();
    let kinds = names.iter().enumerate().map(|(index, name)| {
        let bit = bits >> (6 + index % 58) & 1;
        (name.as_str(), DeviceType::ALL[bit as usize])
    });
    testing::manifest_note(&kinds.collect::<Vec<_>>())
}

fn seeds() -> Vec<Vec<u8>> {
    let size = (64_u64 << 20).to_le_bytes();
    let word = |number: u32| number.to_le_bytes();
    let (one, three, sector, mtu) = (word(1), word(3), word(512), word(1500));
    let unikernel: [(u32, u16, &[u8]); 4] = [
        (0, tag::MEMORY_MINIMUM, &size),
        (0, tag::MEMORY_RECOMMENDED, &size),
        (0, tag::SYNOPSIS, b"[--ipv4=CIDR]"),
        (0, tag::FLAGS, &one),
    ];
    let devices: [(u32, u16, &[u8]); 6] = [
        (1, tag::DEVICE_FLAGS, &three),
        (1, tag::DESCRIPTION, "Größe".as_bytes()),
        (1, tag::SECTOR_SIZE, &sector),
        (1, tag::CAPACITY_MINIMUM, &size),
        (2, tag::DEVICE_FLAGS, &one),
        (2, tag::MTU_MINIMUM, &mtu),
    ];
    // Two devices, the second a network interface.
    let bits = (2_u64 | 1 << 7).to_le_bytes();
    let seed = |records: &[(u32, u16, &[u8])]| {
        let note = testing::properties_note(3, records);
        let note = Notes::new(&note).next().expect("a note").expect("a sound one");
        [&bits[..], note.descriptor].concat()
    };
    let everything: Vec<_> = unikernel.iter().chain(&devices).copied().collect();
    let mut private = seed(&unikernel[..1]);
    // Behind two headers: the tag of the first record, made one for private use.
    private[24..26].copy_from_slice(&mft2::PRIVATE_FIRST.to_le_bytes());
    let mut unknown = private.clone();
    unknown[25] |= 0x80; // critical
    vec![unknown, seed(&[]), seed(&unikernel), seed(&devices), seed(&everything), private]
}

fn words() -> Vec<Vec<u8>> {
    let tags = mft2::PROPERTIES.iter().map(|property| {
        let critical = if property.critical { mft2::CRITICAL } else { 0 };
        property.tag | critical
    });
    let tags = tags.chain([mft2::PRIVATE_FIRST, mft2::PRIVATE_LAST]);
    tags.map(|tag| tag.to_le_bytes().to_vec()).collect()
}
