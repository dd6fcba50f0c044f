//! Parts that several targets share: small images as seeds, a file larger than its bytes, case files
//! of other crates, words of a schema, and a check of every printer of diagnostics.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use solo5_abi::mft1::DeviceType;
use solo5_abi::{Arch, Target, mft2, note};
use solo5_image::elf::{PF_R, PF_W, PF_X};
use solo5_image::testing::{self, Sample};
use solo5_image::{ReadAt, ReadError};
use solo5_report::{Colour, Diagnostic};

/// An image file. If byte 15 of its header, which ELF leaves unused, is N > 0, then zeros up to a
/// size of 2^N bytes follow it, as in a sparse file.
pub(crate) struct File<'a> {
    bytes: &'a [u8],
    size: u64,
}

/// Largest N: 16 MiB. Larger files would only take longer, because of their zeros.
const SPARSE_BITS: u8 = 24;

impl<'a> File<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> File<'a> {
        let size = bytes.len() as u64;
        let bits = bytes.get(15).map_or(0, |bits| bits % (SPARSE_BITS + 1));
        File { bytes, size: if bits == 0 { size } else { size.max(1 << bits) } }
    }
}

impl ReadAt for File<'_> {
    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<usize, ReadError> {
        let rest = self.size.saturating_sub(offset);
        let count = usize::try_from(rest).map_or(out.len(), |rest| rest.min(out.len()));
        let out = &mut out[..count];
        out.fill(0);
        self.bytes.read_at(offset, out)?;
        Ok(count)
    }
}

/// Notes that an image may have beyond those it needs.
fn more_notes() -> Vec<u8> {
    let minimum = (8_u64 << 20).to_le_bytes();
    let read_only = mft2::DEVICE_READ_ONLY.to_le_bytes();
    let records: [(u32, u16, &[u8]); 2] =
        [(0, mft2::tag::MEMORY_MINIMUM, &minimum), (2, mft2::tag::DEVICE_FLAGS, &read_only)];
    testing::properties_note(DEVICES.len() + 1, &records)
}

const DEVICES: [(&str, DeviceType); 2] =
    [("service", DeviceType::NetBasic), ("storage", DeviceType::BlockBasic)];

/// Small images, sound ones first.
pub(crate) fn images() -> Vec<Vec<u8>> {
    let mut samples = Vec::new();
    for target in Target::ALL {
        samples.push(Sample::new(target, Arch::X86_64, &DEVICES));
    }
    for arch in Arch::ALL {
        samples.push(Sample::new(Target::Hvt, arch, &[]));
    }
    let groups = [
        testing::openbsd_note(),
        testing::abi_note(Target::Spt),
        [testing::manifest_note(&DEVICES), more_notes()].concat(),
    ];
    let sound = Sample::with_notes(Target::Spt, Arch::X86_64, &groups);
    samples.push(sound.clone());
    let mut spoil = |change: fn(&mut Sample)| {
        let mut sample = sound.clone();
        change(&mut sample);
        samples.push(sample);
    };
    spoil(|sample| sample.sections.clear());
    spoil(|sample| sample.header.ident[15] = 20);
    spoil(|sample| sample.segments[testing::DATA].p_flags = PF_R | PF_W | PF_X);
    spoil(|sample| sample.segments[testing::DATA].p_vaddr = 0);
    spoil(|sample| sample.segments[testing::BSS].p_memsz = u64::MAX);
    spoil(|sample| sample.segments[testing::NOTES].p_filesz = u64::MAX);
    spoil(|sample| sample.segments[testing::TEXT].p_align = 3);
    spoil(|sample| sample.header.e_entry = u64::MAX);
    samples.into_iter().map(|sample| packed(sample).bytes()).collect()
}

/// The same image without the gaps that linkers leave: they would be most of the file, and readers
/// ignore them.
fn packed(mut sample: Sample) -> Sample {
    let headers = size_of_val(&sample.header) + sample.segments.len() * 56;
    let mut at = headers.next_multiple_of(16) as u64;
    for (offset, content) in &mut sample.contents {
        let from = *offset..*offset + content.len() as u64;
        let segments = sample.segments.iter_mut().map(|segment| &mut segment.p_offset);
        let sections = sample.sections.iter_mut();
        let sections = sections.map(|(_, section)| &mut section.sh_offset);
        for place in segments.chain(sections) {
            // Contents move down and in order, so none is moved twice.
            if from.contains(place) {
                *place = *place - from.start + at;
            }
        }
        *offset = at;
        at = (at + content.len() as u64).next_multiple_of(16);
    }
    sample
}

/// Byte strings that images and notes contain.
pub(crate) fn note_words() -> Vec<Vec<u8>> {
    let kinds = [note::TYPE_ABI1, note::TYPE_MFT1, note::TYPE_MFT2, note::TYPE_FDO_PACKAGE];
    let owners: [&[u8]; 4] =
        [note::OWNER_SOLO5, note::OWNER_FDO, note::OWNER_XEN, note::OWNER_OPENBSD];
    let kinds = kinds.map(|kind| kind.to_le_bytes().to_vec());
    owners.map(<[u8]>::to_vec).into_iter().chain(kinds).collect()
}

/// Every file of the case folder of another crate, in order of their paths.
pub(crate) fn cases(folder: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder);
    let mut folders = vec![root];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(bytes) = fs::read(&path) {
                found.push((path, bytes));
            }
        }
    }
    found.sort();
    found
}

/// Keys and fixed values of a JSON Schema.
pub(crate) fn schema_words(schema: &Value) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut open = vec![schema];
    while let Some(value) = open.pop() {
        match value {
            Value::Object(map) => {
                if let Some(Value::Object(properties)) = map.get("properties") {
                    words.extend(properties.keys().map(|key| format!("{key}: ").into_bytes()));
                }
                for fixed in ["const", "enum"].into_iter().filter_map(|key| map.get(key)) {
                    let fixed = fixed.as_array().map_or(std::slice::from_ref(fixed), Vec::as_slice);
                    let texts = fixed.iter().filter_map(Value::as_str);
                    words.extend(texts.map(|text| text.as_bytes().to_vec()));
                }
                open.extend(map.values());
            }
            Value::Array(items) => open.extend(items),
            _ => {}
        }
    }
    words
}

/// Tokens of YAML.
pub(crate) fn yaml_words() -> Vec<Vec<u8>> {
    let words = [
        "\n  ",
        "\n- ",
        ": ",
        "? ",
        "- ",
        "{ ",
        " }",
        "[ ",
        " ]",
        ", ",
        "\"",
        "'",
        "|\n",
        ">-\n",
        "|2+\n",
        " #",
        "&a ",
        "*a",
        "!!str ",
        "!<x>",
        "<<: ",
        "---\n",
        "...\n",
        "%YAML 1.2\n",
        "~",
        "\\u0000",
        "\\x85",
        "\u{feff}",
        "\u{2028}",
        "\t",
        "\r\n",
        "KiB",
        "MiB",
        "GiB",
        "true",
        "null",
    ];
    words.map(|word| word.as_bytes().to_vec()).into()
}

/// Shows diagnostics in every form, as programs do.
pub(crate) fn shown(diagnostics: &[Diagnostic]) {
    assert!(!diagnostics.is_empty(), "refused without a reason");
    for diagnostic in diagnostics {
        let line = solo5_report::line(diagnostic);
        assert!(!line.contains(['\n', '\x1b']), "{line:?}");
        assert!(solo5_report::json::json(diagnostic).is_object());
        assert!(!diagnostic.message.is_empty());
        assert!(
            solo5_report::explain(diagnostic.code).is_some(),
            "{} has no page",
            diagnostic.code
        );
    }
    // Snippets are most of the work, and three represent the others.
    let few = diagnostics.get(..3).unwrap_or(diagnostics);
    let text = solo5_report::human::human(few, Colour::Never);
    assert!(!text.contains('\x1b'), "{text:?}");
}
