//! Reading at an offset.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Content that can be read at any offset.
pub trait ReadAt {
    /// Fills `out` with the bytes from `offset` on and returns how many there were: fewer than
    /// `out.len()` only at the end of the content.
    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<usize, ReadError>;
}

/// A failed read: the host's error number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadError(pub i32);

impl fmt::Display for ReadError {
    /// The text of `strerror`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = io::Error::from_raw_os_error(self.0).to_string();
        // The standard library appends the number.
        f.write_str(text.split(" (os error").next().unwrap_or(&text))
    }
}

impl std::error::Error for ReadError {}

impl ReadAt for File {
    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<usize, ReadError> {
        const EINVAL: i32 = 22;
        let mut got = 0;
        while got < out.len() {
            // pread takes a signed offset, so an overflow gives pread's error.
            let at = offset.checked_add(got as u64).ok_or(ReadError(EINVAL))?;
            match FileExt::read_at(self, &mut out[got..], at) {
                Ok(0) => break,
                Ok(count) => got += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(ReadError(error.raw_os_error().unwrap_or(EINVAL))),
            }
        }
        Ok(got)
    }
}

impl ReadAt for [u8] {
    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<usize, ReadError> {
        let rest = usize::try_from(offset).ok().and_then(|at| self.get(at..));
        let rest = rest.unwrap_or_default();
        let count = rest.len().min(out.len());
        out[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}

impl ReadAt for Vec<u8> {
    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<usize, ReadError> {
        self.as_slice().read_at(offset, out)
    }
}

/// Reads `length` bytes from `offset`, or as many as there are. The allocation grows in steps of
/// 64 KiB as bytes are read, so a length field alone allocates only one step.
pub fn read_vec<R: ReadAt + ?Sized>(
    reader: &R,
    offset: u64,
    length: usize,
) -> Result<Vec<u8>, ReadError> {
    const STEP: usize = 64 * 1024;
    let mut out = Vec::new();
    while out.len() < length {
        let start = out.len();
        out.resize(start + STEP.min(length - start), 0);
        let got = match offset.checked_add(start as u64) {
            Some(at) => reader.read_at(at, &mut out[start..])?,
            None => 0,
        };
        if start + got < out.len() {
            out.truncate(start + got);
            break;
        }
    }
    Ok(out)
}
