//! The facts about an image that `lock` records and `diff` compares.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};
use solo5_abi::mft1::DeviceType;
use solo5_audit::{Selection, Subject, audit_subject};
use solo5_image::Image;
use solo5_image::elf::{PF_W, SHF_ALLOC};
use solo5_signature::{Signatures, locate, prove};
use solo5_source::size;

use crate::content::bounded;
use crate::files::{name, not_elf, readable, reason};
use crate::properties::Properties;

/// The `type` of a lock.
pub(crate) const TYPE: &str = "solo5.lock";
/// The `version` of a lock.
const VERSION: u32 = 1;
/// Most bytes of all locks that one `diff` compares, and so of one lock. In memory a lock may take ten
/// times its size.
pub(crate) const LOCK_MAX: u64 = 16 << 20;
/// Most sections kept of one image.
const SECTIONS_KEPT: usize = 256;

/// Facts about a set of images.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Lock {
    r#type: String,
    version: u32,
    /// In the order given.
    pub(crate) images: Vec<Facts>,
}

/// Facts about one image. Sizes are in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Facts {
    /// Its path as given.
    pub(crate) file: String,
    /// The digest of its content, without signatures.
    pub(crate) digest: String,
    /// Size of the file.
    pub(crate) size: u64,
    /// Its machine, if its headers can be read.
    pub(crate) arch: Option<String>,
    /// Target and version of its ABI note.
    pub(crate) abi: Option<String>,
    /// Devices as `net NAME` or `block NAME`, followed by what the manifest requires of them, in
    /// the order of their handles.
    pub(crate) devices: Vec<String>,
    /// Version of the manifest: 2 if there are properties.
    pub(crate) manifest: Option<u32>,
    /// What the manifest requires for the unikernel as a whole.
    pub(crate) needs: Vec<String>,
    /// The smallest guest memory it starts with, its stack included.
    pub(crate) memory: Option<u64>,
    /// Memory that it may write to.
    pub(crate) writable: u64,
    /// Functions of the API that it refers to; `None` without symbols.
    pub(crate) api: Option<Vec<String>>,
    /// Sizes of the loaded sections.
    pub(crate) sections: BTreeMap<String, u64>,
    /// Findings of S1 to S3: code and message.
    pub(crate) findings: Vec<String>,
}

impl Lock {
    pub(crate) fn new(images: Vec<Facts>) -> Lock {
        Lock { r#type: TYPE.to_owned(), version: VERSION, images }
    }

    /// Reads a lock of at most `left` bytes and subtracts its size, or makes a lock of an image. The
    /// second value says whether the file is an image.
    pub(crate) fn of(path: &Path, left: &mut u64) -> Result<(Lock, bool), String> {
        let (file, _) = readable(path)?;
        let Some(what) = not_elf(&file)? else {
            return Ok((Lock::new(vec![Facts::of(path)?]), true));
        };
        let mut text = Vec::new();
        let read = file.take(left.saturating_add(1)).read_to_end(&mut text);
        let length = read.map_err(|error| reason(&error))?;
        *left = left
            .checked_sub(length as u64)
            .ok_or_else(|| format!("all locks together are longer than {} MiB", LOCK_MAX >> 20))?;
        let is_json = text.trim_ascii_start().starts_with(b"{");
        let lock: Lock = serde_json::from_slice(&text).map_err(|error| match is_json {
            true => format!("neither an image nor a lock: {error}"),
            false => format!("neither an image nor a lock: it is {what}"),
        })?;
        if lock.r#type != TYPE || lock.version != VERSION {
            return Err(format!("not a {TYPE} of version {VERSION}"));
        }
        Ok((lock, false))
    }
}

impl Facts {
    /// Reads an image, all of it, because the digest covers the whole content.
    pub(crate) fn of(path: &Path) -> Result<Facts, String> {
        let (file, _) = readable(path)?;
        let size = bounded(&file)?;
        let name = name(path);
        let subject = Subject::new(&name, &file);
        let trailer = locate(&file, size).map_err(|error| error.to_string())?;
        let content = trailer.map_or(size, |trailer| trailer.content);
        let proof =
            prove(&file, content, Signatures::default(), &[]).map_err(|error| error.to_string())?;
        let findings = audit_subject(&subject, &Selection::default());
        let image = subject.image();
        let abi = image.and_then(|image| image.abi().ok());
        let devices = image.and_then(|image| {
            let manifest = image.manifest().ok()?;
            let properties = image.properties().ok().flatten();
            let names = manifest.devices().map(|(index, entry)| {
                let kind = match entry.kind() {
                    Some(DeviceType::NetBasic) => "net",
                    Some(DeviceType::BlockBasic) => "block",
                    None => "unknown",
                };
                let name = String::from_utf8_lossy(entry.name_bytes());
                let properties = Properties::of(properties.as_ref(), index);
                let said =
                    properties.phrases(true, size::display).map(|phrase| format!(", {phrase}"));
                format!("{kind} {name}{}", said.collect::<String>())
            });
            Some(names.collect())
        });
        // A missing fact would be reported as a change.
        if let Some(why) = subject.unreadable_sections() {
            return Err(why);
        }
        let segments = image.map_or(&[][..], |image| image.segments());
        let writable = segments
            .iter()
            .filter(|header| header.is_load() && header.has(PF_W))
            .fold(0, |sum: u64, header| sum.saturating_add(header.p_memsz));
        let sections = subject.sections().map_or(&[][..], |all| all.all());
        let loaded = sections.iter().filter(|section| section.has(SHF_ALLOC));
        Ok(Facts {
            file: name.clone(),
            digest: proof.digest.to_string(),
            size,
            arch: image.map(|image| image.arch().name().to_owned()),
            abi: abi.map(|abi| format!("{} {}", abi.target_name(), abi.version())),
            devices: devices.unwrap_or_default(),
            manifest: image.map(|image| image.manifest_version()),
            needs: image.map(needs).unwrap_or_default(),
            memory: subject.least_memory(),
            writable,
            api: subject.api_used().map(|names| names.into_iter().map(str::to_owned).collect()),
            sections: loaded
                .take(SECTIONS_KEPT)
                .map(|section| (section.name.clone(), section.header.sh_size))
                .collect(),
            findings: findings
                .iter()
                .map(|finding| format!("{} {}", finding.code, finding.message))
                .collect(),
        })
    }
}

/// The critical properties of the unikernel as a whole.
fn needs(image: &Image) -> Vec<String> {
    let properties = image.properties().ok().flatten();
    Properties::of(properties.as_ref(), 0).phrases(true, size::display).collect()
}
