//! `oci`: an image layout with the unikernel in its only layer (Open Container Initiative, Image Format
//! Specification 1.1).
//!
//! `urunc` wants annotations of its own, and reads them from the file `urunc.json` where an engine hands no
//! annotations on. It takes all words of the process for the guest's arguments, so the unikernel's path is
//! none of them where `urunc` has a monitor; elsewhere it is the entry point
//! (`docs/reference/disk-image.md#oci`).

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use ct_codecs::{Base64, Encoder};
use flate2::{Compression, GzBuilder};
use serde_json::{Value, json};
use solo5_abi::mft1::DeviceType;
use solo5_abi::{Arch, Target};
use solo5_report::json;
use solo5_signature::Digest;

use crate::epoch;
use crate::unikernel::Unikernel;

const LAYOUT_FILE: &str = "oci-layout";
const INDEX_FILE: &str = "index.json";
const BLOBS: &str = "blobs";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// gzip's number for "no system in particular".
const NO_SYSTEM: u8 = 255;

/// What the caller chooses.
pub struct Options<'a> {
    /// The image's name in the layout, such as `latest`.
    pub tag: &'a str,
    /// What `urunc` takes the unikernel for, such as `mirage`.
    pub framework: &'a str,
    /// Arguments of the guest.
    pub arguments: &'a [String],
    /// Seconds since 1970.
    pub time: u64,
}

/// Most bytes of a layout's own two files.
const FILE_MAX: u64 = 1 << 20;

/// Whether the folder is an image layout with one image and nothing else, so that a new layout may
/// replace it.
pub fn is_layout(folder: &Path) -> bool {
    look(folder).unwrap_or(false)
}

fn look(folder: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        if ![LAYOUT_FILE, INDEX_FILE, BLOBS].iter().any(|known| name == *known) {
            return Ok(false);
        }
    }
    let images = json_of(&folder.join(INDEX_FILE))?["manifests"].as_array().map_or(0, Vec::len);
    let is_layout = json_of(&folder.join(LAYOUT_FILE))?["imageLayoutVersion"].is_string();
    if images != 1 || !is_layout {
        return Ok(false);
    }
    for algorithm in fs::read_dir(folder.join(BLOBS))? {
        for blob in fs::read_dir(algorithm?.path())? {
            let blob = blob?;
            let name = blob.file_name();
            let is_digest = name.as_encoded_bytes().iter().all(u8::is_ascii_hexdigit);
            if !is_digest || !blob.file_type()?.is_file() {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

fn json_of(path: &Path) -> io::Result<Value> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_MAX).read_to_end(&mut bytes)?;
    Ok(serde_json::from_slice(&bytes)?)
}

/// Writes the layout into the empty folder `to`, and returns the digest of its manifest.
///
/// # Errors
///
/// The system's error.
pub fn write(unikernel: &Unikernel, options: &Options<'_>, to: &Path) -> io::Result<Digest> {
    let path = format!("/unikernel.{}", unikernel.target.name());
    let urunc = urunc(unikernel, options, &path);
    let layer = layer(unikernel, &path, &urunc, options.time)?;
    let layer_id = Digest::of(&layer);
    let mut gzip =
        GzBuilder::new().operating_system(NO_SYSTEM).write(Vec::new(), Compression::best());
    gzip.write_all(&layer)?;
    let layer = gzip.finish()?;

    let annotations = annotations(unikernel, &urunc, options.time);
    let created = epoch::rfc3339(options.time);
    let config = json!({
        "created": created,
        "architecture": architecture(unikernel.arch),
        "os": "linux",
        "config": process(options, &path, !urunc.is_empty(), &annotations),
        "rootfs": { "type": "layers", "diff_ids": [layer_id.to_string()] },
        "history": [{ "created": created, "created_by": crate::PROGRAM }],
    });

    let blobs = to.join(BLOBS).join("sha256");
    fs::create_dir_all(&blobs)?;
    let blob = |kind: &str, bytes: &[u8]| -> io::Result<(Value, Digest)> {
        let digest = Digest::of(bytes);
        let text = digest.to_string();
        fs::write(blobs.join(text.trim_start_matches(solo5_signature::digest::PREFIX)), bytes)?;
        let descriptor = json!({ "mediaType": kind, "digest": text, "size": bytes.len() });
        Ok((descriptor, digest))
    };
    let (config, _) = blob(CONFIG, json::pretty(&config).as_bytes())?;
    let (layer, _) = blob(LAYER, &layer)?;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config,
        "layers": [layer],
        "annotations": annotations,
    });
    let (mut manifest, digest) = blob(MANIFEST, json::pretty(&manifest).as_bytes())?;
    if let Some(manifest) = manifest.as_object_mut() {
        let platform = json!({ "architecture": architecture(unikernel.arch), "os": "linux" });
        let name = json!({ "org.opencontainers.image.ref.name": options.tag });
        manifest.insert("platform".into(), platform);
        manifest.insert("annotations".into(), name);
    }
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [manifest] });
    fs::write(to.join(INDEX_FILE), json::pretty(&index))?;
    fs::write(to.join(LAYOUT_FILE), json::pretty(&json!({ "imageLayoutVersion": "1.0.0" })))?;
    Ok(digest)
}

/// The process of a container, with the labels.
fn process(
    options: &Options<'_>,
    path: &str,
    for_urunc: bool,
    labels: &BTreeMap<&'static str, String>,
) -> Value {
    if !for_urunc {
        return json!({
            "Entrypoint": [path],
            "Cmd": options.arguments,
            "WorkingDir": "/",
            "Labels": labels,
        });
    }
    // Engines refuse an image without any word.
    let words = match options.arguments {
        [] => json!([""]),
        words => json!(words),
    };
    json!({ "Cmd": words, "WorkingDir": "/", "Labels": labels })
}

/// The machine, as Go calls it.
fn architecture(arch: Arch) -> &'static str {
    match arch {
        Arch::X86_64 => "amd64",
        Arch::Aarch64 => "arm64",
        Arch::Ppc64le => "ppc64le",
    }
}

/// What `urunc` wants to know; empty for a target that it has no monitor for.
fn urunc(
    unikernel: &Unikernel,
    options: &Options<'_>,
    path: &str,
) -> BTreeMap<&'static str, String> {
    let monitor = match unikernel.target {
        Target::Hvt => "hvt",
        Target::Spt => "spt",
        Target::Virtio => "qemu",
        Target::Muen | Target::Genode | Target::Xen => return BTreeMap::new(),
    };
    let mut all = BTreeMap::from([
        ("com.urunc.unikernel.unikernelType", options.framework.to_owned()),
        ("com.urunc.unikernel.hypervisor", monitor.to_owned()),
        ("com.urunc.unikernel.binary", path.to_owned()),
    ]);
    if !options.arguments.is_empty() {
        all.insert("com.urunc.unikernel.cmdline", options.arguments.join(" "));
    }
    // It attaches one device of each kind, under these names or by default `service` and `storage`.
    for (key, kind) in [
        ("com.urunc.unikernel.solo5NetDev", DeviceType::NetBasic),
        ("com.urunc.unikernel.solo5BlkDev", DeviceType::BlockBasic),
    ] {
        let mut of_kind = unikernel.devices.iter().filter(|(found, _)| *found == kind);
        if let Some((_, name)) = of_kind.next().filter(|(_, name)| is_urunc_device(name)) {
            all.insert(key, name.clone());
        }
    }
    all
}

/// Whether `urunc` takes this name of a device; it refuses an image with another one.
fn is_urunc_device(name: &str) -> bool {
    (1..=67).contains(&name.len()) && name.bytes().all(|letter| letter.is_ascii_alphanumeric())
}

/// The annotations of the manifest, which are the labels of the configuration too: engines hand one
/// or the other to the runtime.
fn annotations(
    unikernel: &Unikernel,
    urunc: &BTreeMap<&'static str, String>,
    time: u64,
) -> BTreeMap<&'static str, String> {
    let devices = unikernel.devices.iter().map(|(kind, name)| match kind {
        DeviceType::NetBasic => format!("net:{name}"),
        DeviceType::BlockBasic => format!("block:{name}"),
    });
    let mut all = urunc.clone();
    all.insert("org.opencontainers.image.created", epoch::rfc3339(time));
    all.insert("org.solo5.target", unikernel.target.name().to_owned());
    all.insert("org.solo5.abi", unikernel.abi_version.to_string());
    all.insert("org.solo5.digest", unikernel.digest.to_string());
    all.insert("org.solo5.devices", devices.collect::<Vec<_>>().join(" "));
    all
}

/// The layer, not compressed: the unikernel, and `urunc.json` with values in base64.
fn layer(
    unikernel: &Unikernel,
    path: &str,
    urunc: &BTreeMap<&'static str, String>,
    time: u64,
) -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut add = |name: &str, mode: u32, bytes: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(time);
        header.set_size(bytes.len() as u64);
        archive.append_data(&mut header, name, bytes)
    };
    add(path.trim_start_matches('/'), 0o755, &unikernel.bytes)?;
    if !urunc.is_empty() {
        let mut encoded = BTreeMap::new();
        for (name, value) in urunc {
            let value = Base64::encode_to_string(value).map_err(io::Error::other)?;
            encoded.insert(*name, value);
        }
        add("urunc.json", 0o644, json::pretty(&encoded).as_bytes())?;
    }
    archive.into_inner()
}
