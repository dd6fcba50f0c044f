//! `IMAGE.json`: what an image was made of (`docs/reference/disk-image.md#record`).

use serde::Serialize;
use solo5_report::json;
use solo5_signature::Digest;

use crate::boot;
use crate::epoch;
use crate::unikernel::Unikernel;

/// What the record's `type` says.
pub const TYPE: &str = "solo5.image-record";

/// The record.
#[derive(Serialize)]
pub struct Record<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    version: u32,
    /// The program and its version.
    generator: String,
    /// The time in the image.
    created: String,
    image: File<'a>,
    inputs: Vec<Input<'a>>,
    /// The guest's arguments.
    arguments: &'a [String],
}

/// The image.
#[derive(Serialize)]
struct File<'a> {
    name: &'a str,
    format: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    /// Of the file; for an image layout, of its manifest.
    digest: String,
}

/// Something that the image was made of.
#[derive(Serialize)]
struct Input<'a> {
    role: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'a str>,
    size: usize,
    /// Of all bytes.
    digest: String,
    /// Of an image without its signatures, as other tools of the suite print it.
    #[serde(skip_serializing_if = "Option::is_none")]
    content_digest: Option<String>,
}

/// What the record says of the image itself.
pub struct Made<'a> {
    /// The file's name, without folders.
    pub name: &'a str,
    /// The format's name.
    pub format: &'a str,
    /// Bytes; `None` for a folder.
    pub size: Option<u64>,
    /// The digest of the file, or of the manifest of a layout.
    pub digest: Digest,
    /// Whether a machine boots it, so that the boot sector and the loader are in it.
    pub boots: bool,
}

/// The text of the record.
pub fn text(made: &Made<'_>, unikernel: &Unikernel, arguments: &[String], time: u64) -> String {
    let code = |role, bytes: &[u8]| Input {
        role,
        name: None,
        target: None,
        size: bytes.len(),
        digest: Digest::of(bytes).to_string(),
        content_digest: None,
    };
    let mut inputs = vec![Input {
        role: "unikernel",
        name: Some(unikernel.name.to_string_lossy().into_owned()),
        target: Some(unikernel.target.name()),
        size: unikernel.bytes.len(),
        digest: Digest::of(&unikernel.bytes).to_string(),
        content_digest: Some(unikernel.digest.to_string()),
    }];
    if made.boots {
        inputs.push(code("boot sector", boot::BOOT_SECTOR));
        inputs.push(code("loader", boot::LOADER));
        inputs.push(code("UEFI loader", boot::UEFI_LOADER));
    }
    let Made { name, format, size, digest, .. } = made;
    let image = File { name, format, size: *size, digest: digest.to_string() };
    json::pretty(&Record {
        kind: TYPE,
        version: 1,
        generator: format!("{} {}", crate::PROGRAM, solo5_report::VERSION),
        created: epoch::rfc3339(time),
        image,
        inputs,
        arguments,
    })
}
