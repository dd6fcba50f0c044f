//! Opens files and standard input to be read, without waiting for a named pipe that nobody writes to.
//!
//! A pipe is an input like any other: standard input, a shell's `<(COMMAND)`, or a named pipe whose
//! writer has it open. The program then waits for the writer as for every pipe.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use crate::{is_descriptor, was_given};

/// Opens `path` to be read, without waiting for the writer of a named pipe. Reads then wait for
/// data as long as there is a writer.
///
/// # Errors
///
/// The system's error.
pub fn open(path: &Path) -> io::Result<File> {
    was_given(path)?;
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let mut options = OpenOptions::new();
    let file = options.read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    fcntl_setfl(&file, fcntl_getfl(&file)? & !OFlags::NONBLOCK)?;
    Ok(file)
}

/// Text that a program reads from its start to its end. Reading fails at the end of a named pipe that
/// nobody has written to.
pub struct Input {
    reader: Box<dyn Read + Send>,
    /// Whether it is a named pipe that has given nothing yet.
    is_silent_pipe: bool,
}

impl Input {
    /// Opens `path`; `-` is standard input.
    ///
    /// # Errors
    ///
    /// The system's error.
    pub fn open(path: &Path) -> io::Result<Input> {
        if path == Path::new("-") {
            return Ok(Input { reader: Box::new(solo5_streams::stdin()), is_silent_pipe: false });
        }
        Input::of(open(path)?, path)
    }

    /// What is in `file`, which was opened at `path`.
    ///
    /// # Errors
    ///
    /// The system's error.
    pub fn of(file: File, path: &Path) -> io::Result<Input> {
        // A pipe by its descriptor has a writer, or had one.
        let is_silent_pipe = file.metadata()?.file_type().is_fifo() && !is_descriptor(path);
        Ok(Input { reader: Box::new(file), is_silent_pipe })
    }

    /// Everything at `path`, but at most `most` bytes; `-` is standard input.
    ///
    /// # Errors
    ///
    /// The system's error, or that nobody writes to the named pipe.
    pub fn read_all(path: &Path, most: u64) -> io::Result<Vec<u8>> {
        Input::open(path)?.all(most)
    }

    /// Everything, but at most `most` bytes.
    ///
    /// # Errors
    ///
    /// The system's error, or that nobody writes to the named pipe.
    pub fn all(self, most: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.take(most).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        if count == 0 && self.is_silent_pipe && !buffer.is_empty() {
            return Err(io::Error::other("it is a named pipe that nobody writes to"));
        }
        self.is_silent_pipe &= count == 0;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn a_named_pipe_without_writer_is_an_error_and_one_with_a_writer_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let error = Input::read_all(&pipe, 9).unwrap_err();
        assert!(error.to_string().contains("nobody writes to"), "{error}");
        // Opened for reading too, a pipe takes text before its reader comes.
        let mut writer = OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
        writer.write_all(b"text").unwrap();
        let input = Input::open(&pipe).unwrap();
        drop(writer);
        assert_eq!(input.all(9).unwrap(), b"text");
    }

    #[test]
    fn a_descriptor_of_a_pipe_is_read_even_if_nothing_was_written() {
        let (reader, mut writer) = io::pipe().unwrap();
        let name = format!("/dev/fd/{}", reader.as_raw_fd());
        writer.write_all(b"text").unwrap();
        drop(writer);
        assert_eq!(Input::read_all(Path::new(&name), 3).unwrap(), b"tex");
        let (reader, writer) = io::pipe().unwrap();
        let name = format!("/dev/fd/{}", reader.as_raw_fd());
        drop(writer);
        assert_eq!(Input::read_all(Path::new(&name), 3).unwrap(), b"");
    }
}
