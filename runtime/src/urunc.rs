//! Images that were made for urunc (`docs/reference/disk-image.md#oci`): the unikernel stands in
//! annotations, which an engine may hand on, or in `urunc.json` in the image.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use ct_codecs::{Base64, Decoder};
use serde_json::{Map, Value};

use crate::codes;
use crate::failure::Failure;
use crate::rootfs::Rootfs;

const PREFIX: &str = "com.urunc.unikernel.";
/// Its file in the image.
const FILE: &str = "/urunc.json";
/// Most bytes of it.
const FILE_MAX: u64 = 64 << 10;

/// What an image says of its unikernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Where it says so, for messages.
    pub source: &'static str,
    /// The unikernel's path; relative ones start at the root.
    pub binary: PathBuf,
    command_line: Option<String>,
}

impl Named {
    /// The guest's arguments: the words of the process, else those of the annotation.
    pub fn arguments(&self, words: Vec<String>) -> Vec<String> {
        // An engine wants at least one word, so an image without arguments has an empty one.
        if words.iter().any(|word| !word.is_empty()) {
            return words;
        }
        let line = self.command_line.as_deref().unwrap_or_default();
        line.split_whitespace().map(str::to_owned).collect()
    }
}

/// What the annotations say, else `urunc.json`.
///
/// # Errors
///
/// The file cannot be read or is not as urunc's.
pub fn read(
    annotations: &BTreeMap<String, String>,
    rootfs: &Rootfs,
) -> Result<Option<Named>, Failure> {
    let get = |key: &str| annotations.get(&format!("{PREFIX}{key}")).cloned();
    if let Some(binary) = get("binary") {
        return Ok(Some(named("an annotation", binary, get("cmdline"))));
    }
    let failed = |why: String| Failure::new(codes::UNIKERNEL, format!("urunc.json: {why}"));
    let file = rootfs.file(Path::new(FILE)).map_err(|error| failed(error.to_string()))?;
    let Some(file) = file else { return Ok(None) };
    let mut bytes = Vec::new();
    let read = file.take(FILE_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|error| failed(error.to_string()))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > FILE_MAX {
        return Err(failed(format!("larger than {} KiB", FILE_MAX >> 10)));
    }
    let all: Map<String, Value> =
        serde_json::from_slice(&bytes).map_err(|error| failed(error.to_string()))?;
    let get = |key: &str| {
        let value = all.get(&format!("{PREFIX}{key}"))?.as_str()?;
        let text =
            Base64::decode_to_vec(value, None).ok().and_then(|text| String::from_utf8(text).ok());
        Some(text.ok_or_else(|| failed(format!("{PREFIX}{key} is not base64 of text"))))
    };
    let Some(binary) = get("binary").transpose()? else { return Ok(None) };
    Ok(Some(named("urunc.json", binary, get("cmdline").transpose()?)))
}

fn named(source: &'static str, binary: String, command_line: Option<String>) -> Named {
    Named { source, binary: binary.into(), command_line }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_file(content: &str) -> Result<Option<Named>, Failure> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("urunc.json"), content).unwrap();
        read(&BTreeMap::new(), &Rootfs::open(folder.path()).unwrap())
    }

    #[test]
    fn annotations_count_before_the_file() {
        let file = r#"{"com.urunc.unikernel.binary":"L3VuaWtlcm5lbC5zcHQ=",
            "com.urunc.unikernel.cmdline":"YSBi","other":1}"#;
        let found = with_file(file).unwrap().unwrap();
        assert_eq!(found.binary, Path::new("/unikernel.spt"));
        assert_eq!(found.arguments(vec![String::new()]), ["a", "b"]);
        assert_eq!(found.arguments(vec!["c".into(), String::new()]), ["c", ""]);
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("urunc.json"), file).unwrap();
        let annotations = [("com.urunc.unikernel.binary".to_owned(), "x.hvt".to_owned())];
        let rootfs = Rootfs::open(folder.path()).unwrap();
        let found = read(&annotations.into(), &rootfs).unwrap().unwrap();
        assert_eq!(found.binary, Path::new("x.hvt"));
        assert_eq!(found.arguments(vec![]), [] as [&str; 0]);
    }

    #[test]
    fn a_file_that_cannot_be_used_is_an_error() {
        assert_eq!(with_file("{}"), Ok(None));
        for content in [
            "[]",
            "{",
            &"[".repeat(1000),
            &" ".repeat(70_000),
            r#"{"com.urunc.unikernel.binary":"%"}"#,
            r#"{"com.urunc.unikernel.binary":"/w=="}"#,
        ] {
            let failure = with_file(content).unwrap_err();
            assert!(failure.line().starts_with("error[R704]: urunc.json: "), "{}", failure.line());
        }
    }
}
