//! What the kernel and the C library keep in the memory of this process, and what the kernel shows of
//! it: its pages, the vdso, the area for restartable sequences, names.

use std::ops::Range;

#[cfg(target_env = "gnu")]
use super::errno::last_error;
use super::errno::{Errno, check};

/// Unregisters the calling thread's area for restartable sequences (rseq), so that it can be
/// unmapped: while it is registered, the kernel may write to it at any time. Only glibc registers
/// one.
#[cfg(target_env = "gnu")]
pub fn leave_restartable_sequences() -> Result<(), Errno> {
    const UNREGISTER: libc::c_uint = 1;
    const SIGNATURE: libc::c_uint = crate::arch::RSEQ_SIGNATURE;
    const AT_RSEQ_FEATURE_SIZE: libc::c_ulong = 27;
    let offset = rseq_offset();
    if offset.is_null() {
        return Ok(());
    }
    // SAFETY: glibc's variable of this name is a `ptrdiff_t`.
    let offset = unsafe { *offset };
    let area = crate::arch::thread_pointer().wrapping_add_signed(offset);
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

/// Where glibc says how far the area is from the thread pointer; null before glibc 2.35.
#[cfg(all(target_env = "gnu", not(target_feature = "crt-static")))]
fn rseq_offset() -> *const isize {
    // SAFETY: a terminated string; the call only looks it up.
    unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"__rseq_offset".as_ptr()) }.cast()
}

#[cfg(all(target_env = "gnu", target_feature = "crt-static"))]
std::arch::global_asm!(
    ".pushsection .data.rel.ro.solo5_rseq_offset, \"aw\", %progbits",
    ".balign 8",
    ".weak __rseq_offset",
    ".globl solo5_rseq_offset",
    "solo5_rseq_offset: .quad __rseq_offset",
    ".popsection",
);

/// The same in a static program, which has no table of symbols to look in: the linker fills in the
/// address.
#[cfg(all(target_env = "gnu", target_feature = "crt-static"))]
fn rseq_offset() -> *const isize {
    unsafe extern "C" {
        static solo5_rseq_offset: *const isize;
    }
    // SAFETY: the word above, which never changes.
    unsafe { solo5_rseq_offset }
}

/// musl registers none.
#[cfg(not(target_env = "gnu"))]
pub fn leave_restartable_sequences() -> Result<(), Errno> {
    Ok(())
}

/// Where the kernel's vdso is: from its ELF header to the end of its only segment, in whole pages.
pub fn vdso() -> Option<Range<u64>> {
    let page = page_size();
    let at_least = 2 * page;
    // SAFETY: the call looks a number up.
    let address = unsafe { libc::getauxval(libc::AT_SYSINFO_EHDR) };
    if address == 0 {
        return None;
    }
    let header = std::ptr::with_exposed_provenance::<libc::Elf64_Ehdr>(address as usize);
    // SAFETY: the kernel says that an ELF header is there.
    let header = unsafe { &*header };
    let table = address.saturating_add(header.e_phoff);
    let segments = (0..u64::from(header.e_phnum)).map(|index| {
        let at = table + index * size_of::<libc::Elf64_Phdr>() as u64;
        let segment = std::ptr::with_exposed_provenance::<libc::Elf64_Phdr>(at as usize);
        // SAFETY: as above; the header says that its table is there.
        unsafe { segment.read() }
    });
    let loaded = segments.filter(|segment| segment.p_type == libc::PT_LOAD);
    let size = loaded.map(|segment| segment.p_vaddr.saturating_add(segment.p_memsz)).max();
    let size = size.unwrap_or(at_least).next_multiple_of(page);
    Some(address..address.saturating_add(size))
}

/// Whether the kernel seals its mappings, the vdso among them: it then refuses all calls that would change
/// one, also this one, which gives the vdso the rights that it has.
pub fn seals_vdso() -> bool {
    // SAFETY: the call looks a number up.
    let address = unsafe { libc::getauxval(libc::AT_SYSINFO_EHDR) };
    if address == 0 {
        return false;
    }
    let start = std::ptr::with_exposed_provenance_mut(address as usize);
    // SAFETY: a page of the kernel's vdso keeps the rights that each vdso has.
    unsafe { libc::mprotect(start, 1, libc::PROT_READ | libc::PROT_EXEC) != 0 }
}

/// Size of this host's pages in bytes.
pub fn page_size() -> u64 {
    // SAFETY: the call looks a number up.
    let size = unsafe { libc::getauxval(libc::AT_PAGESZ) };
    // Every kernel says; without its word, the size that all architectures can have.
    if size.is_power_of_two() { size } else { 0x1000 }
}

/// Tells the kernel that the strings at `names` are the process's arguments, that there is no
/// environment, and that its program is at `program`. Kernels without CONFIG_CHECKPOINT_RESTORE
/// refuse.
pub fn show_names(names: Range<u64>, program: Range<u64>) -> Result<(), Errno> {
    const PR_SET_MM: libc::c_int = 35;
    const PR_SET_MM_MAP: libc::c_ulong = 14;
    /// The kernel's `struct prctl_mm_map`.
    #[repr(C)]
    struct Map {
        code: [u64; 2],
        data: [u64; 2],
        brk: [u64; 2],
        stack: u64,
        arguments: [u64; 2],
        environment: [u64; 2],
        auxv: u64,
        auxv_size: u32,
        executable: u32,
    }
    let map = Map {
        code: [program.start, program.end],
        data: [program.start; 2],
        // Older kernels want it after the data.
        brk: [program.end; 2],
        stack: program.end,
        arguments: [names.start, names.end],
        environment: [names.end; 2],
        auxv: 0,
        auxv_size: 0,
        // The executable stays.
        executable: u32::MAX,
    };
    // SAFETY: the call reads the structure, which has the given size. It changes only what the
    // kernel shows to other processes.
    check(unsafe {
        libc::prctl(PR_SET_MM, PR_SET_MM_MAP, &raw const map, size_of::<Map>(), 0 as libc::c_ulong)
    })
    .map(drop)
}
