//! A manifest's source, to notes and back.

use solo5_abi::Arch;
use solo5_manifest::{Version, decode, object, package_note, parse, schema, yaml};

use crate::Target;
use crate::files;

pub(crate) const TARGET: Target = Target { name: "manifest", run, seeds, words };

fn run(data: &[u8]) -> bool {
    let checked = match parse("manifest.yaml", data) {
        Ok(checked) => checked,
        Err(found) => {
            files::shown(&found);
            return false;
        }
    };
    if !checked.remarks.is_empty() {
        files::shown(&checked.remarks);
    }
    let manifest = checked.manifest;
    // Back to YAML, which is in its one layout already.
    let text = yaml::write(&manifest);
    let said = parse("manifest.yaml", text.as_bytes());
    let said = said.unwrap_or_else(|found| panic!("{text}\n{found:#?}"));
    assert_eq!(said.manifest, manifest, "{text}");
    let document = solo5_source::parse("manifest.yaml", text.as_bytes()).expect("a manifest");
    assert_eq!(solo5_source::format::format(&document), text);
    // To notes and back, the packaging note included.
    let notes = manifest.notes();
    let mut bytes = notes.bytes();
    let decoded = decode::notes(&bytes).expect("our own notes");
    assert_eq!(decoded.notes(), notes);
    let package = package_note(&manifest);
    bytes.extend(package.iter().flatten());
    assert_eq!(decode::notes(&bytes).as_ref(), Ok(&manifest), "{text}");
    for arch in Arch::ALL {
        let object = object::write(&notes, arch);
        let holds = |part: &[u8]| object.windows(part.len()).any(|window| window == part);
        assert!(arch != Arch::X86_64 || holds(notes.mft1()));
    }
    assert!(solo5_manifest::c::write(&notes).is_ascii());
    true
}

fn seeds() -> Vec<Vec<u8>> {
    let cases = files::cases("manifest/tests/cases").into_iter();
    cases
        .filter(|(path, bytes)| {
            // Longer ones only say that there are limits, which the crate's own tests do.
            path.extension().is_some_and(|kind| kind != "expect") && bytes.len() < 8192
        })
        .map(|(_, bytes)| bytes)
        .collect()
}

fn words() -> Vec<Vec<u8>> {
    let schemas = Version::ALL.map(schema::value);
    let words = schemas.iter().flat_map(files::schema_words);
    words.chain(files::yaml_words()).collect()
}
