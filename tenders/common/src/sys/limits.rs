//! Limits on resources, and the execution domain.

use super::errno::{Errno, check};

/// The soft limit on a resource, such as `RLIMIT_DATA`; `None` if there is none.
///
/// Unlike `rustix`'s function it can fail: a filter around the tender may forbid the call.
pub fn limit(resource: libc::c_int) -> Result<Option<u64>, Errno> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the call fills in the structure it is given, which outlives it.
    check(unsafe { libc::getrlimit(resource as _, &mut limit) })?;
    Ok(Some(limit.rlim_cur).filter(|limit| *limit != libc::RLIM_INFINITY))
}

/// The execution domain of this process, as `personality(2)` reports it.
pub fn personality() -> Result<u32, Errno> {
    const QUERY: libc::c_ulong = 0xffff_ffff;
    // SAFETY: this argument only queries.
    check(unsafe { libc::personality(QUERY) }).map(|bits| bits as u32)
}

/// Bit of [`personality`]: every readable mapping is executable.
pub const READ_IMPLIES_EXEC: u32 = libc::READ_IMPLIES_EXEC as u32;
