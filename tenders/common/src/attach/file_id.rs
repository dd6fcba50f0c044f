//! The check that a disk is not at the same time a standard descriptor.

use rustix::fs::{Mode, OFlags};
use rustix::stdio::{stderr, stdin, stdout};
use solo5_launch::FileId;

use crate::sys::Errno;

/// The standard descriptor that is open for writing on `file`, if any.
pub(super) fn standard_writer(file: FileId) -> Option<usize> {
    let writes = |fd| -> Result<bool, Errno> {
        let flags = rustix::fs::fcntl_getfl(fd)?;
        Ok(flags & OFlags::ACCMODE != OFlags::RDONLY && FileId::of(fd)? == file)
    };
    let standard = [stdin(), stdout(), stderr()];
    standard.into_iter().position(|fd| writes(fd).unwrap_or(false))
}

/// If `standard` is standard error, redirects it to `/dev/null`. Otherwise a message would be
/// written into the disk.
pub fn silence(standard: usize) {
    if standard == 2
        && let Ok(null) = rustix::fs::open(c"/dev/null", OFlags::WRONLY, Mode::empty())
    {
        // Best effort: the disk is refused in any case.
        let _ = rustix::stdio::dup2_stderr(null);
    }
}
