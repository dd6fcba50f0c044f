//! What the kernel and the C library keep in the memory of this process: the vdso, and the area for
//! restartable sequences.

use super::errno::Errno;
#[cfg(target_env = "gnu")]
use super::errno::last_error;

/// Unregisters the calling thread's area for restartable sequences (rseq), so that it can be
/// unmapped: while it is registered, the kernel may write to it at any time. Only glibc registers
/// one.
#[cfg(target_env = "gnu")]
pub fn leave_restartable_sequences() -> Result<(), Errno> {
    const UNREGISTER: libc::c_uint = 1;
    const SIGNATURE: libc::c_uint = 0x5305_3053;
    const AT_RSEQ_FEATURE_SIZE: libc::c_ulong = 27;
    // SAFETY: a terminated string; the call only looks it up.
    let offset = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"__rseq_offset".as_ptr()) };
    if offset.is_null() {
        return Ok(());
    }
    // SAFETY: glibc's variable of this name is a `ptrdiff_t`.
    let offset = unsafe { *offset.cast::<isize>() };
    let thread: usize;
    // SAFETY: the first word of the thread's control block is its own address.
    unsafe { std::arch::asm!("mov {}, fs:0", out(reg) thread, options(nostack, readonly)) };
    let area = thread.wrapping_add_signed(offset);
    // SAFETY: the call looks a number up.
    let size = unsafe { libc::getauxval(AT_RSEQ_FEATURE_SIZE) };
    // The size must be the registered one, which depends on glibc's version.
    let sizes = [32, size.next_multiple_of(32), size];
    let leave = |size: libc::c_ulong| {
        // SAFETY: only numbers are passed; the kernel unregisters the area if it is this one.
        unsafe { libc::syscall(libc::SYS_rseq, area, size, UNREGISTER, SIGNATURE) == 0 }
    };
    if sizes.into_iter().any(leave) { Ok(()) } else { Err(last_error()) }
}

/// musl registers none.
#[cfg(not(target_env = "gnu"))]
pub fn leave_restartable_sequences() -> Result<(), Errno> {
    Ok(())
}

/// Address of the vdso.
pub fn vdso() -> Option<u64> {
    // SAFETY: the call looks a number up.
    let address = unsafe { libc::getauxval(libc::AT_SYSINFO_EHDR) };
    (address != 0).then_some(address)
}
