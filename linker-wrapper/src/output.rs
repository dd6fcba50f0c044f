//! The file that a link writes: whether it is new, and whether it may stay.

use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use solo5_report::{Diagnostic, path_text};

use crate::codes;

/// The output file's state before the link.
pub struct Output {
    path: PathBuf,
    before: Option<Mark>,
}

/// Metadata that changes when a file is written or replaced.
#[derive(PartialEq, Eq)]
struct Mark {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Mark {
    fn of(metadata: &Metadata) -> Mark {
        Mark {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

impl Output {
    /// Remembers the file called `name` before the link.
    pub fn before_link(name: &OsStr) -> Output {
        let path = PathBuf::from(name);
        let before = fs::metadata(&path).ok().as_ref().map(Mark::of);
        Output { path, before }
    }

    /// The file that the link wrote. `None` if it wrote none: a file from before the link is
    /// neither judged nor removed, and a device or pipe cannot be read again.
    ///
    /// # Errors
    ///
    /// If it cannot be opened.
    pub fn written(&self) -> Result<Option<File>, Diagnostic> {
        let Ok(metadata) = fs::metadata(&self.path) else {
            return Ok(None);
        };
        if !metadata.is_file() || self.before.as_ref() == Some(&Mark::of(&metadata)) {
            return Ok(None);
        }
        File::open(&self.path).map(Some).map_err(|error| {
            Diagnostic::error(
                codes::UNREADABLE,
                format!("cannot read {}: {error}", path_text(&self.path)),
            )
            .with_help("`-z solo5-audit=off` links without an audit")
        })
    }

    /// Removes the file that the link wrote, as a failing linker does. If the output is a symbolic
    /// link that the linker followed, the symbolic link stays and points to nothing.
    ///
    /// # Errors
    ///
    /// If the file is still there.
    pub fn remove(&self) -> Result<(), Diagnostic> {
        fs::canonicalize(&self.path).and_then(fs::remove_file).map_err(|error| {
            Diagnostic::error(
                codes::UNREADABLE,
                format!("cannot remove {}: {error}", path_text(&self.path)),
            )
            .with_help("remove it: it did not pass the audit")
        })
    }

    /// Path of the output.
    pub fn path(&self) -> &Path {
        &self.path
    }
}
