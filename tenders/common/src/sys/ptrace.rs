//! Tracing a child.

use libc::{c_long, c_void};

use super::errno::{Errno, last_error};
use rustix::process::Pid;

/// `ptrace`. C libraries differ in the type of theirs, so this is the system call.
///
/// # Safety
///
/// `data` is what `request` wants: a number, or a pointer to what it reads or fills in.
pub(crate) unsafe fn ptrace(
    request: c_long,
    child: Pid,
    address: c_long,
    data: *mut c_void,
) -> Result<(), Errno> {
    let child: c_long = child.as_raw_nonzero().get().into();
    // SAFETY: the caller's promise.
    match unsafe { libc::syscall(libc::SYS_ptrace, request, child, address, data) } {
        -1 => Err(last_error()),
        _ => Ok(()),
    }
}
