//! The known notes of `docs/reference/manifest.md#vectors`, byte for byte, in all three outputs.

use object::{Object, ObjectSection};
use sha2::{Digest, Sha256};
use solo5_abi::Arch;
use solo5_manifest::{Manifest, Notes};

fn notes(source: &str) -> Notes {
    let checked = solo5_manifest::parse("vector", source.as_bytes());
    checked.expect("a vector is a sound manifest").manifest.notes()
}

fn json(devices: &[(&str, &str)]) -> String {
    let devices: Vec<_> = devices
        .iter()
        .map(|(name, kind)| format!(r#"{{"name":"{name}","type":"{kind}"}}"#))
        .collect();
    let devices = devices.join(",");
    format!(r#"{{"type":"solo5.manifest","version":1,"devices":[{devices}]}}"#)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const TWO: [(&str, &str); 2] = [("storage", "BLOCK_BASIC"), ("service0", "NET_BASIC")];

#[test]
fn two_devices() {
    let expected = include_str!("vector-two-devices.hex");
    let found = notes(&json(&TWO));
    assert_eq!(hex(&found.bytes()), expected.split_whitespace().collect::<String>());
}

#[test]
fn sizes_and_digests() {
    let names: Vec<_> = (0..63).map(|number| format!("d{number}")).collect();
    let many: Vec<_> = names.iter().map(|name| (name.as_str(), "NET_BASIC")).collect();
    for (devices, size, digest) in [
        (&TWO[..], 344, "5785d99ac8d08e3584104a46a303006ebc9f7cfa614c009555a8f65141417fdc"),
        (&[], 136, "84a997ffce8964633ce59ae0ff202c980c545b18895f9411a603340b39242907"),
        (&many, 6688, "d430a2faa39613bf77c32030f3dff7bbbe0b151f52678206cbae679a5cf90dcf"),
    ] {
        let bytes = notes(&json(devices)).bytes();
        assert_eq!(bytes.len(), size);
        assert_eq!(hex(&Sha256::digest(&bytes)), digest);
    }
}

#[test]
fn the_layout_of_a_source_does_not_change_its_note() {
    let compact = json(&TWO);
    let value: serde_json::Value = serde_json::from_str(&compact).unwrap();
    let pretty = serde_json::to_string_pretty(&value).unwrap();
    let yaml = "type: solo5.manifest\nversion: 1\ndevices:\n- {name: storage, type: BLOCK_BASIC}\n\
                - name: service0\n  type: NET_BASIC\n";
    for other in [&pretty, yaml] {
        assert_eq!(notes(other), notes(&compact));
    }
}

#[test]
fn version_2_has_the_mft1_of_version_1() {
    let second = "type: solo5.manifest\nversion: 2\nsynopsis: x\ndevices:\n\
                  - { name: storage, type: BLOCK_BASIC, access: read-only }\n\
                  - { name: service0, type: NET_BASIC, optional: true }\n";
    let (first, second) = (notes(&json(&TWO)), notes(second));
    assert_eq!(first.mft1(), second.mft1());
    assert_eq!((first.mft2().is_some(), second.mft2().is_some()), (false, true));
}

/// Computed by hand: the note's header, MFT2's header of 16 bytes, and 4 records of 16.
#[test]
fn mft2_byte_for_byte() {
    let source = "type: solo5.manifest\nversion: 2\nmemory: { minimum: 32MiB }\ndevices:\n\
                  - { name: a, type: NET_BASIC, optional: true, description: up, mtu: { minimum: 1280 } }\n";
    let expected = "06000000 50000000 4d465432 536f6c6f35000000 \
                    02000000 04000000 02000000 00000000 \
                    0180 0800 00000000 0000000200000000 \
                    1080 0400 01000000 0100000000000000 \
                    1100 0200 01000000 7570000000000000 \
                    3080 0400 01000000 0005000000000000";
    let expected: String = expected.split_whitespace().collect();
    assert_eq!(hex(notes(source).mft2().unwrap()), expected);
}

#[test]
fn objects_hold_the_notes_for_every_machine() {
    let notes = notes("type: solo5.manifest\nversion: 2\nsynopsis: x\ndevices: []\n");
    for arch in Arch::ALL {
        let bytes = solo5_manifest::object::write(&notes, arch);
        let object = object::File::parse(bytes.as_slice()).unwrap();
        let section = |name: &str| object.section_by_name(name).unwrap().data().unwrap();
        assert_eq!(section(".note.solo5.manifest"), notes.mft1());
        assert_eq!(Some(section(".note.solo5.manifest.mft2")), notes.mft2());
        assert_eq!(bytes, solo5_manifest::object::write(&notes, arch), "reproducible");
    }
}

#[test]
fn outputs_do_not_contain_the_compilers_version() {
    let notes = notes("type: solo5.manifest\nversion: 2\nsynopsis: x\ndevices: []\n");
    let version = solo5_report::VERSION.trim_start_matches('v');
    for output in [
        solo5_manifest::c::write(&notes).into_bytes(),
        solo5_manifest::object::write(&notes, Arch::X86_64),
    ] {
        assert!(!String::from_utf8_lossy(&output).contains(version));
    }
}

#[test]
fn package_note_is_json_for_generic_tools() {
    let source = "type: solo5.manifest\nversion: 2\ndevices: []\n\
                  package: { name: edge-dns, version: 1.10, license: ISC }\n";
    let manifest: Manifest = solo5_manifest::parse("x", source.as_bytes()).unwrap().manifest;
    let note = solo5_manifest::package_note(&manifest).unwrap();
    let json = r#"{"type":"solo5","name":"edge-dns","version":"1.10","license":"ISC"}"#;
    assert_eq!(&note[..16], b"\x04\0\0\0\x44\0\0\0\x7e\x1a\xfe\xcaFDO\0");
    assert_eq!(&note[16..16 + json.len()], json.as_bytes());
    assert_eq!(note.len() % 4, 0);
    // It is not part of the manifest's own notes, but readers accept it after them.
    let bytes = manifest.notes().bytes();
    assert!(!bytes.windows(4).any(|part| part == b"FDO\0"));
    let both = [bytes, note].concat();
    assert_eq!(solo5_manifest::decode::notes(&both), Ok(manifest));
}
