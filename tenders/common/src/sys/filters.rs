//! System call filters: whether they work here, and installing one.

use super::errno::{Errno, last_error};
use crate::seccomp::{Instruction, KILL_PROCESS};

/// Whether this process may install system call filters: the kernel supports them, and no outer
/// filter forbids the call.
pub fn check_filters() -> Result<(), Errno> {
    const SET_MODE_FILTER: libc::c_uint = 1;
    // No program has memory at the last address. The kernel knows that without looking for a page, which
    // it would do for a null pointer.
    let none = std::ptr::without_provenance::<Instruction>(usize::MAX);
    // SAFETY: without a program nothing is installed.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, SET_MODE_FILTER, 0, none) };
    match last_error() {
        // The kernel got as far as reading the program, so it would have accepted one.
        Errno::FAULT if result != 0 => Ok(()),
        error => Err(error),
    }
}

/// Whether the kernel's seccomp has the action that kills the whole process.
pub fn has_seccomp_kill_process() -> bool {
    const GET_ACTION_AVAIL: libc::c_uint = 2;
    let action: u32 = KILL_PROCESS;
    // SAFETY: the call reads one number, which outlives it, and changes nothing.
    let result =
        unsafe { libc::syscall(libc::SYS_seccomp, GET_ACTION_AVAIL, 0, &raw const action) };
    result == 0
}

/// Installs a system call filter for the calling thread and the threads that it starts.
///
/// `no_new_privs` must be set, or the kernel refuses.
pub fn install_filter(filter: &[Instruction]) -> Result<(), Errno> {
    /// The kernel's `struct sock_fprog`.
    #[repr(C)]
    struct Program {
        length: u16,
        instructions: *const Instruction,
    }
    const SET_MODE_FILTER: libc::c_uint = 1;
    let program = Program {
        length: u16::try_from(filter.len()).map_err(|_| Errno::INVAL)?,
        instructions: filter.as_ptr(),
    };
    // SAFETY: the call copies the program, whose pointer and length are those of `filter`.
    let result =
        unsafe { libc::syscall(libc::SYS_seccomp, SET_MODE_FILTER, 0, &raw const program) };
    if result == 0 { Ok(()) } else { Err(last_error()) }
}
