//! `show`: segments, notes and manifest of an image, as `readelf -n -l` has them.

use std::fmt::Write;
use std::path::PathBuf;

use serde::Serialize;
use solo5_abi::offer::{Feature, Features};
use solo5_abi::{Target, mft1, note};
use solo5_audit::Subject;
use solo5_image::elf;
use solo5_image::{Image, ImageError, Note, pages};
use solo5_report::one_line;

use crate::console::{Console, Exit, Failure};
use crate::draw;
use crate::files::{name, readable};
use crate::options::Format;
use crate::properties::Properties;

#[derive(Debug, clap::Args)]
pub(crate) struct ShowOptions {
    /// Image
    image: PathBuf,
    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Serialize)]
struct Shown<'a> {
    file: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    arch: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    abi_version: Option<u32>,
    /// Features that the bindings know.
    known: Vec<&'static str>,
    /// Features that the manifest needs.
    needed: Vec<&'static str>,
    entry: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    load: Option<Load>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    manifest: Option<Manifest<'a>>,
    segments: Vec<Segment>,
    notes: Vec<ShownNote>,
}

#[derive(Serialize)]
struct Load {
    minimum_memory: u64,
    /// The smallest memory that also holds a heap, the guard and the stack.
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_with_stack: Option<u64>,
    kernel_end: u64,
    /// The largest pages of a host on which spt starts it, if hosts of its architecture differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    host_page_size_max: Option<u64>,
}

#[derive(Serialize)]
struct Manifest<'a> {
    version: u32,
    #[serde(flatten)]
    properties: Properties<'a>,
    devices: Vec<Device<'a>>,
}

#[derive(Serialize)]
struct Device<'a> {
    handle: usize,
    name: String,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(flatten)]
    properties: Properties<'a>,
}

#[derive(Serialize)]
struct Segment {
    index: usize,
    #[serde(rename = "type")]
    kind: String,
    flags: String,
    offset: u64,
    address: u64,
    file_size: u64,
    memory_size: u64,
    align: u64,
}

#[derive(Serialize)]
struct ShownNote {
    segment: usize,
    offset: u64,
    owner: String,
    #[serde(rename = "type")]
    kind: u32,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    meaning: Option<&'static str>,
}

impl ShowOptions {
    pub(crate) fn run(&self, console: &Console) -> Result<Exit, Failure> {
        let failed = |why: String| Failure::of(&self.image, why);
        let (file, size) = readable(&self.image).map_err(failed)?;
        let name = name(&self.image);
        let subject = Subject::new(&name, &file);
        let Some(image) = subject.image() else {
            let why = subject.faults().first().map(ImageError::explained);
            return Err(failed(why.unwrap_or_default()));
        };
        let shown = collect(&subject, image, size);
        match self.format {
            Format::Human => console.print(&human(&subject, &shown))?,
            Format::Json => console.print_json(&shown)?,
        }
        Ok(Exit::Clean)
    }
}

fn collect<'a>(subject: &'a Subject<'_>, image: &'a Image, size: Option<u64>) -> Shown<'a> {
    let abi = image.abi().ok();
    let headers = image.segments().iter().enumerate();
    // Only targets with a tender have a loader to ask. `solo5-virtio-run` takes the numbers from the same plan.
    let loaded = subject.target().is_some_and(Target::has_tender);
    let started = subject.target().is_some_and(|target| target.starter().is_some());
    let refused = subject.faults().first().filter(|_| loaded);
    let load = subject.plan().filter(|_| started && refused.is_none()).map(|plan| Load {
        minimum_memory: plan.minimum_memory,
        memory_with_stack: subject.least_memory().filter(|least| *least > plan.minimum_memory),
        kernel_end: plan.kernel_end,
        host_page_size_max: pages::largest(plan, image.arch())
            .filter(|_| subject.target() == Some(Target::Spt)),
    });
    Shown {
        file: subject.name(),
        size,
        arch: image.arch().name(),
        target: abi.map(|abi| abi.target_name()),
        abi_version: abi.map(|abi| abi.version()),
        known: names(abi.map(|abi| abi.features())),
        needed: names(image.properties().ok().flatten().map(|properties| properties.needs())),
        entry: image.entry(),
        load,
        refused: refused.map(ToString::to_string),
        manifest: manifest(image),
        segments: headers
            .map(|(index, header)| Segment {
                index,
                kind: segment_type(header.p_type),
                flags: draw::rights(header.p_flags),
                offset: header.p_offset,
                address: header.p_vaddr,
                file_size: header.p_filesz,
                memory_size: header.p_memsz,
                align: header.p_align,
            })
            .collect(),
        notes: image
            .notes()
            .all()
            .iter()
            .map(|note| ShownNote {
                segment: note.phdr,
                offset: note.offset,
                owner: String::from_utf8_lossy(note.owner()).into_owned(),
                kind: note.kind,
                size: note.size(),
                meaning: meaning(note),
            })
            .collect(),
    }
}

fn names(features: Option<Features>) -> Vec<&'static str> {
    features.into_iter().flat_map(Features::iter).map(Feature::name).collect()
}

fn manifest(image: &Image) -> Option<Manifest<'_>> {
    let manifest = image.manifest().ok()?;
    let properties = image.properties().ok().flatten();
    let devices = manifest.devices().map(|(handle, entry)| Device {
        handle,
        name: String::from_utf8_lossy(entry.name_bytes()).into_owned(),
        kind: mft1::type_name(entry.kind_number()),
        properties: Properties::of(properties.as_ref(), handle),
    });
    let devices = devices.collect();
    let properties = Properties::of(properties.as_ref(), 0);
    Some(Manifest { version: image.manifest_version(), properties, devices })
}

/// The type of a program header, by the name `readelf` has for it.
fn segment_type(kind: u32) -> String {
    let name = match kind {
        0 => "NULL",
        elf::PT_LOAD => "LOAD",
        elf::PT_DYNAMIC => "DYNAMIC",
        elf::PT_INTERP => "INTERP",
        elf::PT_NOTE => "NOTE",
        elf::PT_PHDR => "PHDR",
        elf::PT_TLS => "TLS",
        elf::PT_GNU_STACK => "GNU_STACK",
        elf::PT_GNU_RELRO => "GNU_RELRO",
        other => return format!("{other:#x}"),
    };
    name.to_owned()
}

fn meaning(found: &Note) -> Option<&'static str> {
    let known = [
        (&note::OWNER_SOLO5[..], note::TYPE_ABI1, "ABI"),
        (note::OWNER_SOLO5, note::TYPE_MFT1, "manifest"),
        (note::OWNER_SOLO5, note::TYPE_MFT2, "manifest properties"),
        (note::OWNER_FDO, note::TYPE_FDO_PACKAGE, "package"),
        (note::OWNER_OPENBSD, note::TYPE_OPENBSD_IDENT, "OpenBSD identification"),
        (note::OWNER_XEN, note::TYPE_XEN_PHYS32_ENTRY, "Xen entry point"),
    ];
    let matching = known.iter().find(|(owner, kind, _)| found.is(owner, *kind));
    matching.map(|(_, _, meaning)| *meaning)
}

fn human(subject: &Subject<'_>, shown: &Shown<'_>) -> String {
    let mut out = draw::headline(subject, shown.size);
    out.push('\n');
    out.push_str(&draw::segments(subject, &[]));
    // Writing to a String cannot fail.
    let _ = writeln!(out, "\nentry    {:#x}", shown.entry);
    if let Some(load) = &shown.load {
        let (memory, end) = (load.minimum_memory, load.kernel_end);
        let mib = memory.div_ceil(1 << 20);
        let stack = load.memory_with_stack.map(|memory| {
            format!(", {} MiB to start it with its stack ({memory:#x})", memory.div_ceil(1 << 20))
        });
        let stack = stack.unwrap_or_default();
        let _ = writeln!(
            out,
            "memory   {mib} MiB to load it ({memory:#x}){stack}, kernel_end {end:#x}"
        );
        if let Some(page) = load.host_page_size_max {
            let _ = writeln!(out, "pages    hosts with pages of up to {} KiB start it", page >> 10);
        }
    }
    if !shown.known.is_empty() {
        let needed = if shown.needed.is_empty() { "none".into() } else { shown.needed.join(", ") };
        let known = shown.known.join(", ");
        let _ = writeln!(out, "features {needed} needed; the bindings know {known}");
    }
    if let Some(refused) = &shown.refused {
        let _ = writeln!(out, "refused  {}", one_line(refused));
    }
    let _ =
        writeln!(out, "\nsegment  type       flags  offset      address     file size   memory");
    for segment in &shown.segments {
        let _ = writeln!(
            out,
            "{:>7}  {:<9}  {:<5}  {:<#10x}  {:<#10x}  {:<#10x}  {:#x}",
            segment.index,
            segment.kind,
            segment.flags,
            segment.offset,
            segment.address,
            segment.file_size,
            segment.memory_size,
        );
    }
    if !shown.notes.is_empty() {
        let _ = writeln!(out, "\nsegment  owner      type        bytes   meaning");
    }
    for note in &shown.notes {
        let line = format!(
            "{:>7}  {:<9}  {:<#10x}  {:<6}  {}",
            note.segment,
            one_line(&note.owner),
            note.kind,
            note.size,
            note.meaning.unwrap_or_default(),
        );
        let _ = writeln!(out, "{}", line.trim_end());
    }
    if let Some(manifest) = &shown.manifest {
        human_manifest(manifest, &mut out);
    }
    out
}

fn human_manifest(manifest: &Manifest<'_>, out: &mut String) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "\nmanifest version {}", manifest.version);
    for (name, value) in manifest.properties.values(draw::bytes) {
        let value = value.map(|value| format!(": {value}")).unwrap_or_default();
        let _ = writeln!(out, "  {}{value}", name.replace('-', " "));
    }
    for (name, text) in manifest.properties.texts() {
        let _ = writeln!(out, "  {name}: {}", one_line(text));
    }
    for device in &manifest.devices {
        let name = one_line(&device.name);
        let _ = write!(out, "  {:>2} {name} {}", device.handle, device.kind);
        for phrase in device.properties.phrases(false, draw::bytes) {
            let _ = write!(out, ", {phrase}");
        }
        for (_, text) in device.properties.texts() {
            let _ = write!(out, ": {}", one_line(text));
        }
        out.push('\n');
    }
}
