//! The entry of an spt guest (`docs/reference/spt.md#bindings`).

use core::ffi::{CStr, c_char};
use core::ptr;

use solo5_abi::spt::BootInfo;

use crate::arch::linux;
use crate::{attached, start, target};

/// Entered by the tender, with the stack at the end of memory; on ppc64le through `arch/ppc64le/entry.rs`.
///
/// # Safety
///
/// `info` points to the boot information, which never changes.
#[cfg_attr(not(target_arch = "powerpc64"), unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn _start(info: *const BootInfo) -> ! {
    // The guest must not use the tender's thread pointer: uses of thread-local storage before the
    // application sets it up have to fault.
    linux::set_thread_pointer(0);
    // SAFETY: the caller's promise.
    let info = unsafe { info.read() };
    // SAFETY: the tender has filled in a manifest there and no longer touches it.
    unsafe { attached::set(info.mft.get()) };
    start::guard(attached::random());
    target::set_boot_info(&info);
    let line = ptr::with_exposed_provenance::<c_char>(info.cmdline.get() as usize);
    // SAFETY: the boot information points to a string that never changes.
    let rest = start::greet(unsafe { CStr::from_ptr(line) });
    let heap = start::memory(info.mem_size.get(), |_| {});
    start::run(rest, &heap)
}
