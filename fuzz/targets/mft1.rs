//! The manifest note's descriptor.

use solo5_abi::mft1::{self, DeviceType, Error, Mft1};
use solo5_abi::note::Notes;
use solo5_image::testing;

use crate::Target;

pub(crate) const TARGET: Target = Target { name: "mft1", run, seeds, words };

fn run(data: &[u8]) -> bool {
    let manifest = match Mft1::parse(data) {
        Ok(manifest) => manifest,
        Err(fault) => return refused(data, fault),
    };
    assert!((1..=mft1::ENTRIES_MAX).contains(&manifest.entries().len()));
    for (index, entry) in manifest.devices() {
        assert!(index < manifest.entries().len() && !entry.is_reserved());
        let (_, _, _) = (entry.block(), entry.net(), entry.host_fd());
        assert!(entry.name_bytes().len() <= mft1::NAME_MAX && !entry.is_attached());
    }
    if let Err(fault) = manifest.check() {
        return refused(data, fault);
    }
    let devices: Vec<(&str, DeviceType)> = manifest
        .devices()
        .map(|(_, entry)| (entry.name(), entry.kind().expect("a known type")))
        .collect();
    // Every entry but the reserved one is a device, and is found under its name.
    assert_eq!(devices.len() + 1, manifest.entries().len());
    for (index, (name, kind)) in devices.iter().enumerate() {
        assert!(mft1::is_name(name.as_bytes()));
        assert_eq!(manifest.find(name, *kind).map(|(at, _)| at), Some(index + 1));
    }
    let note = testing::manifest_note(&devices);
    let again = Notes::new(&note).next().expect("a note").expect("a sound one");
    let again = Mft1::parse(again.descriptor).expect("our own manifest");
    assert_eq!(again.check(), Ok(()));
    let same = again.devices().map(|(_, entry)| (entry.name(), entry.kind()));
    assert!(same.eq(devices.iter().map(|(name, kind)| (*name, Some(*kind)))));
    true
}

fn refused(data: &[u8], fault: Error) -> bool {
    assert!(fault.offset <= data.len().max(mft1::PADDING + 4), "{fault:?}");
    assert!(!fault.to_string().is_empty());
    false
}

fn seeds() -> Vec<Vec<u8>> {
    let names: Vec<_> = (0..mft1::DEVICES_MAX).map(|number| format!("device{number}")).collect();
    let all = names.iter().map(|name| (name.as_str(), DeviceType::BlockBasic));
    let all: Vec<_> = all.collect();
    let twins = [("a", DeviceType::NetBasic), ("a", DeviceType::BlockBasic)];
    let notes = [
        testing::manifest_note(&[]),
        testing::manifest_note(&twins),
        testing::manifest_note(&[twins[0], twins[0]]),
        testing::manifest_note(&all),
    ];
    let descriptors = notes.iter().map(|note| {
        let note = Notes::new(note).next().expect("a note").expect("a sound one");
        note.descriptor.to_vec()
    });
    descriptors.collect()
}

fn words() -> Vec<Vec<u8>> {
    let kinds = DeviceType::ALL.map(DeviceType::number);
    let numbers = kinds.into_iter().chain([mft1::RESERVED_FIRST]);
    let numbers = numbers.map(|number| number.to_le_bytes().to_vec());
    numbers.chain([mft1::header(1).to_vec()]).collect()
}
