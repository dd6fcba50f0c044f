//! An image in memory: what its digest and signatures are about, and what may be judged by them.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use solo5_signature::proof::IMAGE_MAX;
use solo5_signature::{Signature, locate, trailer};

use crate::files::{open, readable, reason};

/// The content of an image and its signatures.
pub(crate) struct Content {
    /// The bytes that are hashed and signed.
    pub(crate) bytes: Vec<u8>,
    /// The signatures that were behind them.
    pub(crate) signatures: Vec<Signature>,
}

impl Content {
    /// Reads the image at `path`.
    pub(crate) fn open(path: &Path) -> Result<Content, String> {
        let (file, _) = readable(path)?;
        Content::read(&file)
    }

    /// Reads all of `file`, whose size is bounded as for tenders.
    pub(crate) fn read(file: &File) -> Result<Content, String> {
        let mut bytes = Vec::new();
        let mut limited = file.take(IMAGE_MAX + 1);
        limited.read_to_end(&mut bytes).map_err(|error| reason(&error))?;
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if size > IMAGE_MAX {
            let mib = IMAGE_MAX >> 20;
            return Err(format!("is larger than {mib} MiB, so no tender proves it"));
        }
        let found = locate(&bytes, size).map_err(|error| error.to_string())?;
        let mut signatures = Vec::new();
        if let Some(trailer) = found {
            bytes.truncate(usize::try_from(trailer.content).unwrap_or(usize::MAX));
            signatures = trailer.signatures;
        }
        Ok(Content { bytes, signatures })
    }
}

/// Where a detached signature of the image at `path` is.
pub(crate) fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".minisig");
    PathBuf::from(name)
}

/// The signatures beside the image at `path`; one that cannot be read proves nothing.
pub(crate) fn detached(path: &Path) -> Vec<Signature> {
    let file = open(&beside(path));
    let read = file.and_then(trailer::read_detached);
    read.unwrap_or_default()
}
