//! One image, from its command line to its place. Everything is prepared before anything is put in its
//! place, so a failure leaves nothing behind, and an older image stays as it was.

use std::ffi::OsString;
use std::fs::{File, Permissions};
use std::io::{self, IsTerminal, Read, Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use solo5_output::prepare::{PreparedFile, PreparedFolder};
use solo5_report::{Diagnostic, path_text};
use solo5_signature::Digest;
use solo5_signature::digest::Hasher;

use crate::boot::{self, ARGUMENTS_MAX};
use crate::cli::Format;
use crate::codes;
use crate::disk::Disk;
use crate::epoch;
use crate::format::{qcow2, raw, tar, vhd, vmdk};
use crate::oci;
use crate::place;
use crate::record::{self, Made};
use crate::unikernel::Unikernel;

/// What to make.
pub struct Order<'a> {
    /// File or folder to make.
    pub image: &'a Path,
    /// The unikernel's file.
    pub unikernel: &'a Path,
    /// Arguments of the guest.
    pub arguments: &'a [OsString],
    /// The format.
    pub format: Format,
    /// Name in an image layout.
    pub tag: Option<&'a str>,
    /// What `urunc` takes the unikernel for.
    pub framework: Option<&'a str>,
    /// Whether to write the record.
    pub record: bool,
    /// Seconds since 1970.
    pub time: u64,
}

type Failure = Vec<Diagnostic>;

/// Makes the image. Findings of the audit below an error are added to `remarks`.
///
/// # Errors
///
/// Why there is none.
pub fn make(order: &Order<'_>, remarks: &mut Vec<Diagnostic>) -> Result<(), Failure> {
    place::check_image(order.image, order.unikernel).map_err(|found| vec![found])?;
    let unikernel = Unikernel::read(order.unikernel, remarks)?;
    match order.format {
        Format::Oci => layout(order, &unikernel),
        Format::Kernel => kernel(order, &unikernel),
        _ => disk(order, &unikernel),
    }
}

/// A disk in one of its formats.
fn disk(order: &Order<'_>, unikernel: &Unikernel) -> Result<(), Failure> {
    only_disks(order)?;
    let payload = unikernel.payload().map_err(|found| vec![found])?;
    let words: Vec<&[u8]> = order.arguments.iter().map(|word| word.as_bytes()).collect();
    let disk = boot::disk(&payload, &words.join(&b' ')).ok_or_else(|| {
        let message = format!("the arguments have more than {ARGUMENTS_MAX} bytes");
        let help = "a unikernel takes no more; put data on a disk of its own";
        vec![Diagnostic::error(codes::ARGUMENTS, message).with_help(help)]
    })?;
    write(order, unikernel, true, |file| fill(&disk, order.format, order.time, file))
}

/// The raw form of a kernel.
fn kernel(order: &Order<'_>, unikernel: &Unikernel) -> Result<(), Failure> {
    only_disks(order)?;
    if !order.arguments.is_empty() {
        let message = "a raw kernel has no place for arguments";
        let help = "leave them out, and give them to the loader, as with QEMU's -append";
        return Err(vec![Diagnostic::error(codes::ARGUMENTS, message).with_help(help)]);
    }
    let bytes = unikernel.kernel().map_err(|found| vec![found])?;
    write(order, unikernel, false, |file| file.write_all(&bytes))
}

/// Refuses options of container images.
fn only_disks(order: &Order<'_>) -> Result<(), Failure> {
    let given = [("--tag", order.tag), ("--framework", order.framework)];
    let Some((option, _)) = given.iter().find(|(_, value)| value.is_some()) else { return Ok(()) };
    let message = format!("{option} is for container images");
    let help = "add --format=oci, or leave the option out";
    Err(vec![Diagnostic::error(codes::OTHER_FORMAT, message).with_help(help)])
}

/// Writes one file and its record. `boots` says whether boot sector and loaders are in it.
fn write(
    order: &Order<'_>,
    unikernel: &Unikernel,
    boots: bool,
    content: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<(), Failure> {
    if order.image == Path::new("-") && io::stdout().is_terminal() {
        let message = "binary output could disturb the terminal";
        let help = "name a file, or write to a pipe";
        return Err(vec![Diagnostic::error(codes::UNWRITABLE, message).with_help(help)]);
    }
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error: io::Error| vec![unwritable(&path, &error)]
    };
    let mut image = PreparedFile::new(order.image, content).map_err(failed(order.image))?;
    let record = if order.record && image.has_name() {
        let (size, digest) = digest(image.file()).map_err(failed(order.image))?;
        let made = Made {
            name: &file_name(order.image),
            format: order.format.name(),
            size: Some(size),
            digest,
            boots,
        };
        let mut record = prepare_record(order, &made, unikernel)?;
        // It has the arguments too, so nobody reads it who may not read the image.
        no_more_open(record.1.file(), image.file()).map_err(failed(order.image))?;
        Some(record)
    } else {
        None
    };
    finish(record, || image.commit().map(drop).map_err(failed(order.image)))
}

/// Writes the disk to an empty file.
fn fill(disk: &Disk, format: Format, time: u64, file: &mut File) -> io::Result<()> {
    // Chosen by the content, so that the same disk is the same, and another is another.
    let parts = disk.parts().iter();
    let mut hasher = Hasher::default();
    parts.for_each(|(_, bytes)| hasher.update(bytes));
    let text = hasher.finish().to_string();
    let identifier =
        u128::from_str_radix(text.get(7..39).unwrap_or_default(), 16).map_err(io::Error::other)?;
    match format {
        Format::Raw => raw::write(disk, file),
        Format::Vhd => vhd::write(disk, time, uuid(identifier), file),
        Format::Tar => buffered(file, |out| tar::write(disk, time, out)),
        Format::Qcow2 => buffered(file, |out| qcow2::write(disk, out)),
        // All ones means "no parent".
        Format::Vmdk => buffered(file, |out| vmdk::write(disk, identifier as u32 >> 1, out)),
        Format::Kernel | Format::Oci => Err(io::Error::other("it is no disk")),
    }
}

/// An identifier of version 8, "made by a rule of its own" (RFC 9562, 5.8).
fn uuid(from: u128) -> [u8; 16] {
    let version = from & !(0xf << 76) | 8 << 76;
    (version & !(3 << 62) | 2 << 62).to_be_bytes()
}

fn buffered(
    file: &mut File,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let mut out = io::BufWriter::with_capacity(1 << 18, file);
    write(&mut out)?;
    out.flush()
}

/// A container image.
fn layout(order: &Order<'_>, unikernel: &Unikernel) -> Result<(), Failure> {
    let arguments = texts(order.arguments).ok_or_else(|| {
        let message = "an argument is not UTF-8, and a container image cannot express it";
        vec![Diagnostic::error(codes::ARGUMENTS, message).with_help("write it as UTF-8")]
    })?;
    let options = oci::Options {
        tag: order.tag.unwrap_or("latest"),
        framework: order.framework.unwrap_or("mirage"),
        arguments: &arguments,
        time: order.time,
    };
    if order.image == Path::new("-") {
        let message = "a container image is a folder, which standard output cannot take";
        let help = "name a folder; `skopeo copy oci:FOLDER oci-archive:FILE` makes one file of it";
        return Err(vec![Diagnostic::error(codes::UNWRITABLE, message).with_help(help)]);
    }
    place::check_folder(order.image).map_err(|found| vec![found])?;
    let mut digest = None;
    let folder = PreparedFolder::new(order.image, oci::is_layout, |to| {
        digest = Some(oci::write(unikernel, &options, to)?);
        Ok(())
    })
    .map_err(|error| vec![unwritable(order.image, &error)])?;
    let record = match digest.filter(|_| order.record) {
        Some(digest) => {
            let name = file_name(order.image);
            let format = order.format.name();
            let made = Made { name: &name, format, size: None, digest, boots: false };
            Some(prepare_record(order, &made, unikernel)?)
        }
        None => None,
    };
    finish(record, || folder.commit().map_err(|error| vec![unwritable(order.image, &error)]))
}

fn prepare_record(
    order: &Order<'_>,
    made: &Made<'_>,
    unikernel: &Unikernel,
) -> Result<(PathBuf, PreparedFile), Failure> {
    let path = place::of_record(order.image);
    place::check_record(&path).map_err(|found| vec![found])?;
    let arguments = texts(order.arguments).ok_or_else(|| {
        let message = "an argument is not UTF-8, and the record of the image cannot express it";
        let help = "write it as UTF-8, or give --no-record";
        vec![Diagnostic::error(codes::ARGUMENTS, message).with_help(help)]
    })?;
    let text = record::text(made, unikernel, &arguments, order.time);
    match PreparedFile::new(&path, |file| file.write_all(text.as_bytes())) {
        Ok(record) => Ok((path, record)),
        Err(error) => Err(vec![unwritable(&path, &error)]),
    }
}

/// Puts image and record in their places.
fn finish(
    record: Option<(PathBuf, PreparedFile)>,
    commit: impl FnOnce() -> Result<(), Failure>,
) -> Result<(), Failure> {
    commit()?;
    match record {
        Some((path, record)) => {
            record.commit().map(drop).map_err(|error| vec![unwritable(&path, &error)])
        }
        None => Ok(()),
    }
}

/// Takes from `file` every permission that `other` does not have.
fn no_more_open(file: &File, other: &File) -> io::Result<()> {
    let mode = |file: &File| Ok::<_, io::Error>(file.metadata()?.permissions().mode() & 0o7777);
    file.set_permissions(Permissions::from_mode(mode(file)? & mode(other)?))
}

/// Length and digest of the file.
fn digest(file: &mut File) -> io::Result<(u64, Digest)> {
    file.rewind()?;
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; 1 << 16];
    let mut length = 0;
    loop {
        let count = file.read(&mut buffer)?;
        let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else {
            return Ok((length, hasher.finish()));
        };
        hasher.update(bytes);
        length += bytes.len() as u64;
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

fn texts(words: &[OsString]) -> Option<Vec<String>> {
    words.iter().map(|word| word.to_str().map(str::to_owned)).collect()
}

fn unwritable(path: &Path, error: &io::Error) -> Diagnostic {
    let message = format!("cannot write {}: {error}", path_text(path));
    let help = match error.kind() {
        io::ErrorKind::StorageFull => "make room; nothing was changed",
        io::ErrorKind::FileTooLarge => "raise the limit (`ulimit -f`); nothing was changed",
        io::ErrorKind::AlreadyExists => {
            "only an empty folder is replaced, or a layout with one image and nothing else"
        }
        _ => "check that its folder exists and may be written to",
    };
    Diagnostic::error(codes::UNWRITABLE, message).with_help(help)
}

/// The time that the environment asks for.
///
/// # Errors
///
/// If it is not a time.
pub fn time() -> Result<u64, Failure> {
    let value = std::env::var_os(epoch::VARIABLE);
    epoch::read(value.as_deref()).ok_or_else(|| {
        let message = format!("{} is not a number of seconds since 1970", epoch::VARIABLE);
        let help = "write digits only, as `git log -1 --format=%ct` prints them, or unset it";
        vec![Diagnostic::error(codes::EPOCH, message).with_help(help)]
    })
}
