//! A sequence of notes, and the manifest in it.

use solo5_abi::Target as Abi;
use solo5_abi::mft1::DeviceType;
use solo5_abi::mft2::tag;
use solo5_abi::note::{self, Notes};
use solo5_image::testing;
use solo5_manifest::{decode, yaml};

use crate::Target;
use crate::files;

pub(crate) const TARGET: Target = Target { name: "notes", run, seeds, words: files::note_words };

fn run(data: &[u8]) -> bool {
    let mut end = 0;
    for found in Notes::new(data) {
        let Ok(found) = found else { break };
        assert!(found.offset >= end, "notes overlap");
        assert_eq!(
            data.get(found.descriptor_offset..).map(|rest| rest.starts_with(found.descriptor)),
            Some(true)
        );
        end = found.descriptor_offset + found.descriptor.len();
        again(&found);
    }
    match decode::notes(data) {
        Ok(manifest) => {
            let text = yaml::write(&manifest);
            let said = solo5_manifest::parse("manifest.yaml", text.as_bytes());
            let said = said.unwrap_or_else(|found| panic!("{text}\n{found:#?}"));
            assert_eq!(said.manifest, manifest, "{text}");
            let decoded = decode::notes(&manifest.notes().bytes()).expect("our own notes");
            assert_eq!(decoded.notes(), manifest.notes());
            true
        }
        Err(fault) => {
            assert!(!fault.to_string().is_empty(), "{fault:?}");
            false
        }
    }
}

/// A note written again reads as the same.
fn again(found: &note::Note<'_>) {
    let mut out = vec![0xee; note::size(found.owner, found.descriptor.len())];
    let place = note::frame(&mut out, found.owner, found.kind, found.descriptor.len());
    place.expect("room").copy_from_slice(found.descriptor);
    let same = Notes::new(&out).next().expect("a note").expect("a sound one");
    assert!(same.is(found.owner, found.kind) && same.descriptor == found.descriptor);
}

fn seeds() -> Vec<Vec<u8>> {
    let devices = [("service", DeviceType::NetBasic), ("storage", DeviceType::BlockBasic)];
    let manifest = testing::manifest_note(&devices);
    let size = (64_u64 << 20).to_le_bytes();
    let (flags, sector, mtu) =
        (1_u32.to_le_bytes(), 4096_u32.to_le_bytes(), 1280_u32.to_le_bytes());
    let records: [(u32, u16, &[u8]); 9] = [
        (0, tag::MEMORY_MINIMUM, &size),
        (0, tag::MEMORY_RECOMMENDED, &size),
        (0, tag::SYNOPSIS, b"--name=TEXT"),
        (0, tag::FLAGS, &flags),
        (1, tag::DEVICE_FLAGS, &flags),
        (1, tag::DESCRIPTION, "öffentlich".as_bytes()),
        (1, tag::MTU_MINIMUM, &mtu),
        (2, tag::SECTOR_SIZE, &sector),
        (2, tag::CAPACITY_MINIMUM, &size),
    ];
    let properties = testing::properties_note(3, &records);
    let json = b"{\"type\":\"solo5\",\"name\":\"dns\",\"version\":\"1.4\",\"license\":\"ISC\"}\0";
    let package = testing::any_note(note::OWNER_FDO, note::TYPE_FDO_PACKAGE, json);
    vec![
        manifest.clone(),
        [&manifest[..], &properties].concat(),
        [&manifest[..], &properties, &package].concat(),
        [testing::abi_note(Abi::Hvt), testing::openbsd_note()].concat(),
        [&manifest[..], &manifest].concat(),
        testing::manifest_note(&[]),
    ]
}
