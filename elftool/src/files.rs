//! Opening and reading files, their names in messages, and the system's error texts.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use solo5_abi::Arch;
use solo5_image::{Image, ReadAt, ReadError, elf};
use solo5_output::input::Input;
pub(crate) use solo5_output::input::open;
use solo5_report::path_text;

/// The name of a file in messages and results. Different names stay different.
pub(crate) fn name(path: &Path) -> String {
    path_text(path).into_owned()
}

/// Opens an image and says how long it is.
///
/// # Errors
///
/// The system's text, or that it is a folder.
pub(crate) fn readable(path: &Path) -> Result<(File, Option<u64>), String> {
    let file = open(path).map_err(|error| reason(&error))?;
    let metadata = file.metadata().map_err(|error| reason(&error))?;
    if metadata.is_dir() {
        return Err(String::from("is a folder; name the images in it"));
    }
    let size = metadata.is_file().then_some(metadata.len());
    Ok((file, size))
}

/// Whether a file starts with the ELF magic number.
pub(crate) fn is_elf(file: &File) -> Result<bool, ReadError> {
    let mut magic = [0; elf::MAGIC.len()];
    let got = file.read_at(0, &mut magic)?;
    Ok(got == magic.len() && magic == elf::MAGIC)
}

/// What a file is that is not ELF, such as `a gzip file`; `None` if it is ELF.
///
/// # Errors
///
/// The system's text.
pub(crate) fn not_elf(file: &File) -> Result<Option<String>, String> {
    if is_elf(file).map_err(|error| error.to_string())? {
        return Ok(None);
    }
    let what = Image::read(file, &Arch::ALL).err().and_then(|error| error.what());
    Ok(Some(what.unwrap_or_else(|| String::from("not an ELF file"))))
}

/// Reads a file that an operator wrote, up to one byte more than its size limit, which shows that
/// it is too long.
///
/// # Errors
///
/// The system's text, or that it is a named pipe that nobody writes to.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, String> {
    let most = u64::try_from(solo5_source::SIZE_MAX).unwrap_or(u64::MAX);
    let input = open(path).and_then(|file| Input::of(file, path));
    let read = input.and_then(|input| input.all(most.saturating_add(1)));
    read.map_err(|error| reason(&error))
}

/// Most bytes of a key file or a password file.
const SECRET_MAX: u64 = 16 * 1024;

/// Reads a key or a password from a file. It must be a regular file, or a pipe that the caller has
/// opened, such as `/dev/fd/3` or `/dev/stdin`. A named pipe could make the program wait.
///
/// # Errors
///
/// The system's text, or what is wrong with the file.
pub(crate) fn read_secret(path: &Path) -> Result<String, String> {
    let file = open(path).map_err(|error| reason(&error))?;
    let metadata = file.metadata().map_err(|error| reason(&error))?;
    let pipe = metadata.file_type().is_fifo() && solo5_output::is_descriptor(path);
    if !metadata.is_file() && !pipe {
        return Err(String::from("is not a regular file"));
    }
    let mut bytes = Vec::new();
    let read = file.take(SECRET_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|error| reason(&error))?;
    if bytes.len() as u64 > SECRET_MAX {
        return Err(format!("is longer than {} KiB", SECRET_MAX >> 10));
    }
    String::from_utf8(bytes).map_err(|_| String::from("is not a text"))
}

/// The system's text for an error, without the number the standard library appends, and without
/// what a library wrapped around it.
pub(crate) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}
