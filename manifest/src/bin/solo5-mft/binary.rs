//! The manifest in a binary: a linked image, an object, or a file of notes.

use std::io;
use std::path::Path;

use object::{Object, ObjectSection, SectionFlags, elf};
use solo5_abi::{Arch, note};
use solo5_image::error::HeaderField;
use solo5_image::{Foreign, Image, ImageError, ReadAt};
use solo5_manifest::decode;
use solo5_manifest::{Manifest, codes};
use solo5_output::input::{self, Input};
use solo5_report::{Diagnostic, Place};

use crate::console::{Failure, cannot_read, name_of};

/// Most bytes read of an input that is read whole.
const SIZE_MAX: u64 = 16 * 1024 * 1024;
/// Most bytes read of a packaging note.
const PACKAGE_MAX: usize = 4096;

/// Why no manifest can be shown.
enum ReadError {
    Image(ImageError),
    Notes(decode::Error),
}

/// The manifest in the binary at `path`, or the diagnostic that says why there is none.
pub(crate) fn manifest(path: &Path) -> Result<Result<Manifest, Diagnostic>, Failure> {
    let failed = |error: io::Error| cannot_read(path, &error);
    let result = if path == Path::new("-") {
        in_bytes(&Input::read_all(path, SIZE_MAX).map_err(failed)?)
    } else {
        let file = input::open(path).map_err(failed)?;
        let mut head = [0; 18];
        let got = file.read_at(0, &mut head).unwrap_or(0);
        if is_image(head.get(..got).unwrap_or_default()) {
            // Reading by offset needs little memory for an image of any size.
            in_image(&file)
        } else {
            let bytes = Input::of(file, path).and_then(|input| input.all(SIZE_MAX));
            in_bytes(&bytes.map_err(failed)?)
        }
    };
    Ok(result.map_err(|error| diagnose(path, &error)))
}

fn diagnose(path: &Path, error: &ReadError) -> Diagnostic {
    let place = Place { file: name_of(path), ..Place::default() };
    let (code, message, help) = match error {
        ReadError::Image(error) => {
            let code = match error {
                ImageError::NoManifest => codes::NO_MANIFEST,
                ImageError::Manifest { .. } | ImageError::Properties { .. } => codes::BAD_NOTES,
                _ => codes::NOT_AN_IMAGE,
            };
            (code, error.explained(), "`solo5-elftool audit` says more about the file")
        }
        ReadError::Notes(error) => {
            let (code, help) = match error {
                decode::Error::Missing => (codes::NO_MANIFEST, "is this the right file?"),
                decode::Error::Inexpressible(_) => {
                    (codes::INEXPRESSIBLE, "`solo5-elftool show` prints the notes as they are")
                }
                _ => (codes::BAD_NOTES, "build the file again"),
            };
            (code, error.to_string(), help)
        }
    };
    Diagnostic::error(code, message).at(place).with_help(help)
}

/// Whether a file that starts with `head` is an ELF file, but not a relocatable object.
fn is_image(head: &[u8]) -> bool {
    let [low, high] = elf::ET_REL.0.to_le_bytes();
    head.starts_with(&elf::ELFMAG) && head.get(16..18) != Some(&[low, high])
}

fn in_bytes(bytes: &[u8]) -> Result<Manifest, ReadError> {
    if is_image(bytes) {
        in_image(bytes)
    } else if bytes.starts_with(&elf::ELFMAG) {
        in_object(bytes)
    } else if let Some(foreign) = Foreign::of(bytes) {
        // Notes begin with the length of their owner's name, as nothing of that does.
        let field = HeaderField::Magic(Some(foreign));
        Err(ReadError::Image(ImageError::Header(field)))
    } else {
        decode::notes(bytes).map_err(ReadError::Notes)
    }
}

fn in_image<R: ReadAt + ?Sized>(reader: &R) -> Result<Manifest, ReadError> {
    let image = Image::read(reader, &Arch::ALL).map_err(ReadError::Image)?;
    let first = image.checked_manifest().map_err(ReadError::Image)?;
    let second = image.properties().map_err(ReadError::Image)?;
    let package = image
        .notes()
        .all()
        .iter()
        .find(|found| found.is(note::OWNER_FDO, note::TYPE_FDO_PACKAGE))
        .and_then(|found| found.read(reader, PACKAGE_MAX).ok());
    decode::manifest(&first, second.as_ref(), package.as_deref()).map_err(ReadError::Notes)
}

fn in_object(bytes: &[u8]) -> Result<Manifest, ReadError> {
    let mut notes = Vec::new();
    if let Ok(object) = object::File::parse(bytes) {
        for section in object.sections() {
            let is_note = section.kind() == object::SectionKind::Note;
            let loaded = matches!(section.flags(), SectionFlags::Elf { sh_flags, .. }
                if sh_flags.0 & elf::SHF_ALLOC.0 != 0);
            if is_note
                && loaded
                && let Ok(data) = section.data()
            {
                notes.extend_from_slice(data);
            }
        }
    }
    decode::notes(&notes).map_err(ReadError::Notes)
}
