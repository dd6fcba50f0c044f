//! The unikernel file: read once, audited, and everything said of it afterwards is about these bytes.

use std::ffi::OsString;
use std::io;
use std::path::Path;

use solo5_abi::mft1::DeviceType;
use solo5_abi::{Arch, Target};
use solo5_audit::Selection;
use solo5_image::{Image, ReadAt};
use solo5_output::input::Input;
use solo5_report::{Diagnostic, Severity, diagnostic, path_text};
use solo5_signature::{Digest, locate};

use crate::codes;
use crate::payload::Payload;

/// Most bytes of a unikernel's file.
const SIZE_MAX: u64 = 1 << 30;
/// More memory than any machine has: what does not load into it loads nowhere.
const ANY_MEMORY: u64 = 1 << 46;

/// A unikernel that the audit has no error about.
pub struct Unikernel {
    /// The file.
    pub bytes: Vec<u8>,
    /// Its name, without folders.
    pub name: OsString,
    /// The machine that it is for.
    pub arch: Arch,
    /// What runs it.
    pub target: Target,
    /// The version of its target's ABI.
    pub abi_version: u32,
    /// Digest of its content, without signatures.
    pub digest: Digest,
    /// Type and name of each device, in the manifest's order.
    pub devices: Vec<(DeviceType, String)>,
}

impl Unikernel {
    /// Reads and audits the file at `path`. Findings below an error are added to `remarks`.
    ///
    /// # Errors
    ///
    /// What refuses it, gravest first.
    pub fn read(path: &Path, remarks: &mut Vec<Diagnostic>) -> Result<Unikernel, Vec<Diagnostic>> {
        let bytes = read_all(path).map_err(|error| vec![unreadable(path, &error)])?;
        let name = path_text(path);
        let warnings = Selection { least: Some(Severity::Warning), ..Selection::default() };
        let mut findings = solo5_audit::audit(&name, &bytes, &warnings);
        if diagnostic::worst(&findings) >= Some(Severity::Error) {
            findings.retain(|finding| finding.severity >= Severity::Error);
            return Err(findings);
        }
        let reader: &dyn ReadAt = &bytes;
        let refused = |why: &dyn std::fmt::Display| {
            let message = format!("{name} cannot run anywhere: {why}");
            let help = "link it again; `solo5-elftool audit` says more about the file";
            vec![Diagnostic::error(codes::NOT_BOOTABLE, message).with_help(help)]
        };
        solo5_audit::loads(reader, ANY_MEMORY).map_err(|error| match error {
            solo5_audit::Refused::Image(error) => refused(&error.explained()),
            solo5_audit::Refused::Stack => refused(&"its stack fits into no memory"),
        })?;
        let image = Image::read(reader, &Arch::ALL).map_err(|error| refused(&error.explained()))?;
        let abi = image.abi().map_err(|error| refused(&error))?;
        let target = abi.target().ok_or_else(|| refused(&"its target is unknown"))?;
        let manifest = image.manifest().map_err(|error| refused(&error))?;
        let devices = manifest
            .devices()
            .filter_map(|(_, entry)| Some((entry.kind()?, entry.name().to_owned())))
            .collect();
        let content = content(&bytes).map_err(|error| vec![unreadable(path, &error)])?;
        remarks.append(&mut findings);
        Ok(Unikernel {
            name: path.file_name().unwrap_or(path.as_os_str()).to_owned(),
            arch: image.arch(),
            target,
            abi_version: abi.version(),
            digest: Digest::of(content),
            devices,
            bytes,
        })
    }

    /// What a disk boots.
    ///
    /// # Errors
    ///
    /// If it is not for a machine that boots disks, or has no usable Multiboot header.
    pub fn payload(&self) -> Result<Payload, Diagnostic> {
        let name = path_text(Path::new(&self.name));
        if self.target != Target::Virtio {
            let target = self.target.name();
            let message =
                format!("{name} is for {target}, and a disk boots only virtio unikernels");
            let help = "link it with `-z solo5-abi=virtio`; `--format=oci` takes every target";
            return Err(Diagnostic::error(codes::OTHER_TARGET, message).with_help(help));
        }
        if self.arch != Arch::X86_64 {
            let arch = self.arch.name();
            let message = format!("{name} is for {arch}, and a disk boots only x86_64 unikernels");
            let help = "`--format=kernel` makes what loaders of aarch64 take";
            return Err(Diagnostic::error(codes::OTHER_TARGET, message).with_help(help));
        }
        Payload::of(&self.bytes).map_err(|why| {
            let message = format!("{name} cannot be booted: {why}");
            let help = "link it with the bindings of virtio, and do not strip or pack the result";
            Diagnostic::error(codes::NOT_BOOTABLE, message).with_help(help)
        })
    }
}

impl Unikernel {
    /// The raw form that loaders of Linux kernels take.
    ///
    /// # Errors
    ///
    /// If it is not a virtio unikernel for aarch64, or has none.
    pub fn kernel(&self) -> Result<Vec<u8>, Diagnostic> {
        let name = path_text(Path::new(&self.name));
        if (self.target, self.arch) != (Target::Virtio, Arch::Aarch64) {
            let (target, arch) = (self.target.name(), self.arch.name());
            let message = format!(
                "{name} is for {target} on {arch}, and only virtio unikernels for aarch64 have a raw form"
            );
            let help = match (self.target, self.arch) {
                (Target::Virtio, Arch::X86_64) => {
                    "its file is what loaders take; a disk is made by `--format=raw`"
                }
                _ => "link it with `aarch64-solo5-none-static-cc -z solo5-abi=virtio`",
            };
            return Err(Diagnostic::error(codes::OTHER_TARGET, message).with_help(help));
        }
        let refused = |why: &dyn std::fmt::Display| {
            let message = format!("{name} has no raw form: {why}");
            let help = "link it with the bindings of virtio, and do not strip or pack the result";
            Diagnostic::error(codes::NOT_BOOTABLE, message).with_help(help)
        };
        let image = Image::read(&self.bytes, &[self.arch]).map_err(|error| refused(&error))?;
        crate::kernel::of(&self.bytes, &image).map_err(|error| refused(&error))
    }
}

fn read_all(path: &Path) -> io::Result<Vec<u8>> {
    let bytes = Input::read_all(path, SIZE_MAX + 1)?;
    if bytes.len() as u64 > SIZE_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 1 GiB"));
    }
    Ok(bytes)
}

/// The file without the signatures at its end.
fn content(bytes: &[u8]) -> io::Result<&[u8]> {
    let trailer = locate(bytes, bytes.len() as u64).map_err(io::Error::other)?;
    let end = trailer.and_then(|trailer| usize::try_from(trailer.content).ok());
    Ok(end.and_then(|end| bytes.get(..end)).unwrap_or(bytes))
}

fn unreadable(path: &Path, error: &io::Error) -> Diagnostic {
    let message = format!("cannot read {}: {error}", path_text(path));
    let help = "check that the file exists and may be read";
    Diagnostic::error(codes::UNREADABLE, message).with_help(help)
}
