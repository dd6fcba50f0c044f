//! The last instructions of the tender: it leaves the process, then the filter, then the guest
//! (`docs/reference/spt.md`).
//!
//! What the tender was would be the guest's to read: paths, options, where things lie. So before the
//! guest runs, everything but guest memory is unmapped: program, heap, stack, and the kernel's vdso.
//! The instructions that do it, with what they read, are copied to a mapping of their own. That one
//! stays, and the end of the stack: the two strings that `ps` shows, read-only.
//!
//! After the filter, registers are cleared: all general and vector registers, the x87 state and the FS
//! base. Only `%rax` is not zero: it holds the guest's own entry point.

#[cfg(not(target_arch = "x86_64"))]
compile_error!("solo5-spt is written for x86_64; another architecture needs its own `enter`");

use std::arch::{asm, global_asm};
use std::ops::Range;
use std::os::fd::RawFd;

use rustix::mm::{MapFlags, MprotectFlags, ProtFlags};
use solo5_tender::seccomp::Instruction;
use solo5_tender::signals;
use solo5_tender::sys::{self, Errno};

/// Where the guest starts.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// Entry point.
    pub entry: u64,
    /// Initial stack pointer.
    pub stack: u64,
    /// Address of the boot information, the guest's only argument.
    pub boot_info: u64,
    /// End of guest memory.
    pub memory_end: u64,
    /// A descriptor that is closed once the kernel has taken the filter.
    pub close: Option<RawFd>,
}

const PAGE: u64 = 0x1000;

/// Pages in front of the vdso and from it on that may be the kernel's: it can forbid to unmap them, and
/// then refuses a request that has one of them in it.
const KERNEL_PAGES: (u64, u64) = (16, 8);

/// Words of an XSAVE area whose every component is in its initial state.
const INITIAL_STATE: usize = 128;

/// Words that tell the code below what to do, but for the filter: more than there ever are.
const WORDS_MAX: usize = INITIAL_STATE + 2 * 48;

// In: rbx = addresses and lengths to unmap, then a length of 0; behind that what to zero, and what to
// make read-only. rbp = a `struct sock_fprog`, r8 = whether there is `xrstor`, r9 = an XSAVE area, r12 =
// entry, r13 = stack, r14 = boot information, r15 = a descriptor to close, or -1. The guest's stack is not touched.
global_asm!(
    ".pushsection .text.solo5_spt_leave, \"ax\", @progbits",
    ".balign 16",
    ".globl solo5_spt_leave",
    "solo5_spt_leave:",
    "mov rsp, r13", // for a signal that comes meanwhile
    "2:",
    "mov rdi, [rbx]",
    "mov rsi, [rbx + 8]",
    "add rbx, 16",
    "test rsi, rsi",
    "jz 3f",
    "mov eax, 11", // munmap; what the kernel keeps, stays
    "syscall",
    "jmp 2b",
    "3:",
    "mov rdi, [rbx]",
    "mov rcx, [rbx + 8]",
    "xor eax, eax",
    "cld",
    "rep stosb",
    "mov rdi, [rbx + 16]",
    "mov rsi, [rbx + 24]",
    "mov edx, 1",  // PROT_READ
    "mov eax, 10", // mprotect
    "syscall",
    "mov eax, 317", // seccomp
    "mov edi, 1",   // SECCOMP_SET_MODE_FILTER
    "xor esi, esi",
    "mov rdx, rbp",
    "syscall",
    "test rax, rax",
    "jnz 9f",
    "mov eax, 158",    // arch_prctl
    "mov edi, 0x1002", // ARCH_SET_FS
    "xor esi, esi",
    "syscall",
    "test r15d, r15d",
    "js 6f",
    "mov eax, 3", // close
    "mov edi, r15d",
    "syscall",
    "6:",
    "test r8, r8",
    "jz 4f",
    // Everything the kernel has enabled, but for the protection keys of pages (bit 9), whose initial
    // state would be laxer than the system's.
    "mov eax, 0xfffffdff",
    "mov edx, 0xffffffff",
    "xrstor64 [r9]",
    "jmp 5f",
    "4:",
    "fninit",
    "ldmxcsr [r9 + 24]",
    "pxor xmm0, xmm0",
    "pxor xmm1, xmm1",
    "pxor xmm2, xmm2",
    "pxor xmm3, xmm3",
    "pxor xmm4, xmm4",
    "pxor xmm5, xmm5",
    "pxor xmm6, xmm6",
    "pxor xmm7, xmm7",
    "pxor xmm8, xmm8",
    "pxor xmm9, xmm9",
    "pxor xmm10, xmm10",
    "pxor xmm11, xmm11",
    "pxor xmm12, xmm12",
    "pxor xmm13, xmm13",
    "pxor xmm14, xmm14",
    "pxor xmm15, xmm15",
    "5:",
    "mov rax, r12",
    "mov rdi, r14",
    "xor ebx, ebx",
    "xor ecx, ecx",
    "xor edx, edx",
    "xor esi, esi",
    "xor ebp, ebp",
    "xor r8d, r8d",
    "xor r9d, r9d",
    "xor r10d, r10d",
    "xor r11d, r11d",
    "xor r12d, r12d",
    "xor r13d, r13d",
    "xor r14d, r14d",
    "xor r15d, r15d",
    "cld",
    "jmp rax",
    // The kernel has refused a filter that `enter` asked it about: a bug, and nobody is left to say so.
    "9:",
    "mov eax, 39", // getpid
    "syscall",
    "mov edi, eax",
    "mov esi, 6",  // SIGABRT
    "mov eax, 62", // kill
    "syscall",
    "mov edi, 1",
    "mov eax, 231", // exit_group
    "syscall",
    "ud2",
    // The handler of signals in process 1: see `end_as_process_1`.
    ".globl solo5_spt_signal",
    "solo5_spt_signal:",
    "add edi, 128",
    "mov eax, 231", // exit_group
    "syscall",
    "ud2",
    ".globl solo5_spt_leave_end",
    "solo5_spt_leave_end:",
    ".popsection",
);

unsafe extern "C" {
    static solo5_spt_leave: u8;
    static solo5_spt_signal: u8;
    static solo5_spt_leave_end: u8;
}

/// The code above.
fn code() -> &'static [u8] {
    let (start, end) = (&raw const solo5_spt_leave, &raw const solo5_spt_leave_end);
    // SAFETY: the two symbols are the start and the end of one piece of the program's code.
    unsafe { std::slice::from_raw_parts(start, end.addr() - start.addr()) }
}

/// Whether `xrstor` may be used: bit 27 (OSXSAVE) of `%ecx` in leaf 1.
fn has_xrstor() -> bool {
    std::arch::x86_64::__cpuid(1).ecx & 1 << 27 != 0
}

/// A filter's instruction as it lies in memory.
fn word(step: &Instruction) -> u64 {
    let Instruction { code, if_true, if_false, operand } = *step;
    u64::from(code)
        | u64::from(if_true) << 16
        | u64::from(if_false) << 24
        | u64::from(operand) << 32
}

fn pages(range: Range<u64>) -> Range<u64> {
    range.start & !(PAGE - 1)..range.end.next_multiple_of(PAGE)
}

/// What of `all` is in none of `kept`.
fn without(all: Range<u64>, kept: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut left = vec![all];
    for keep in kept {
        let cut = |range: Range<u64>| {
            let before = range.start..range.end.min(keep.start);
            let behind = range.start.max(keep.end)..range.end;
            [before, behind].into_iter().filter(|part| part.start < part.end)
        };
        left = left.into_iter().flat_map(cut).collect();
    }
    left
}

/// What to unmap: everything between guest memory and the strings on the stack but the mapping `own`,
/// and page by page what may be the kernel's, around its `vdso`.
fn unmapped(between: Range<u64>, own: Range<u64>, vdso: Option<u64>) -> Vec<Range<u64>> {
    let kernels = vdso.map_or(0..0, |vdso| {
        let (before, behind) = KERNEL_PAGES;
        vdso.saturating_sub(before * PAGE)..vdso.saturating_add(behind * PAGE)
    });
    let single = (kernels.start..kernels.end).step_by(PAGE as usize).map(|page| page..page + PAGE);
    let single = single.filter(|page| !own.contains(&page.start) && between.contains(&page.start));
    let mut ranges = without(between.clone(), &[own.clone(), kernels.clone()]);
    ranges.extend(single);
    ranges
}

/// Leaves the process, installs `filter` and starts the guest. `strings` are the addresses of what stays
/// on the stack. Returns only while the tender is still there to say why.
///
/// # Safety
///
/// `start.entry` is code of the guest's, `start.stack` is below the end of its memory and
/// writable. The process has one thread and `no_new_privs` set. `filter` allows
/// `arch_prctl(ARCH_SET_FS)` and closing `start.close`, which nothing uses any more. `strings` are at
/// the end of this thread's stack.
pub unsafe fn enter(filter: &[Instruction], start: Start, strings: Range<u64>) -> Errno {
    if let Err(error) = sys::check_filters().and_then(|()| sys::leave_restartable_sequences()) {
        return error;
    }
    let code = code();
    let size = 8 * (WORDS_MAX + filter.len()) + code.len();
    let size = size.next_multiple_of(PAGE as usize);
    let access = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a new mapping at an address of the kernel's choice replaces nothing.
    let mapped = unsafe {
        rustix::mm::mmap_anonymous(std::ptr::null_mut(), size, access, MapFlags::PRIVATE)
    };
    let own = match mapped {
        Ok(own) => own,
        Err(error) => return error,
    };
    let base = own.expose_provenance() as u64;
    let kept = pages(strings.clone());
    let ranges = unmapped(start.memory_end..kept.start, base..base + size as u64, sys::vdso());

    let mut words = vec![0u64; INITIAL_STATE];
    // Its `MXCSR`, all that is read of it: all exceptions masked, round to nearest.
    if let Some(word) = words.get_mut(3) {
        *word = 0x1f80;
    }
    words.extend(ranges.iter().flat_map(|range| [range.start, range.end - range.start]));
    words.extend([0, 0]);
    words.extend([kept.start, strings.start - kept.start]);
    words.extend([kept.start, kept.end - kept.start]);
    let program = words.len() as u64;
    words.extend([filter.len() as u64, base + 8 * (program + 2)]);
    words.extend(filter.iter().map(word));
    let entry = 8 * words.len();
    if entry + code.len() > size {
        return Errno::TOOBIG;
    }
    let bytes = words.iter().flat_map(|word| word.to_ne_bytes());
    for (index, byte) in bytes.chain(code.iter().copied()).enumerate() {
        // SAFETY: `index` is below `size`, so this is inside the mapping.
        let at = unsafe { own.cast::<u8>().add(index) };
        // SAFETY: as above; it is writable, and nothing else uses it.
        unsafe { at.write(byte) };
    }
    let rights = MprotectFlags::READ | MprotectFlags::EXEC;
    // SAFETY: this is the mapping made above, which is not written to any more.
    if let Err(error) = unsafe { rustix::mm::mprotect(own, size, rights) } {
        return error;
    }
    let signal = (&raw const solo5_spt_signal).addr() - (&raw const solo5_spt_leave).addr();
    // SAFETY: this is the copy of the code that ends a process; it uses no stack and stays mapped.
    if let Err(error) = unsafe { signals::end_elsewhere(base as usize + entry + signal) } {
        return error;
    }
    // SAFETY: the jump is to the copy of the code above, which has all it reads in the same mapping and
    // uses no stack. It never comes back, so nothing of what it unmaps is used again: guest memory,
    // its own mapping and the strings are not in `ranges`. FS is cleared by a call that the filter
    // allows, and the last jump is to the guest on its own stack, as the caller promises. `xrstor` is
    // used only where the system enables it and reads no more than its area.
    unsafe {
        asm!(
            "mov rbx, r10",
            "mov rbp, r11",
            "jmp rax",
            in("rax") base + entry as u64,
            in("r10") base + 8 * INITIAL_STATE as u64,
            in("r11") base + 8 * program,
            in("r8") u64::from(has_xrstor()),
            in("r9") base,
            in("r12") start.entry,
            in("r13") start.stack,
            in("r14") start.boot_info,
            in("r15") i64::from(start.close.unwrap_or(-1)),
            options(noreturn),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_but_what_is_kept_is_unmapped() {
        let kernel = 0x7_0000_0000;
        let (between, own) = (0x20_0000..0x8_0000_0000, 0x6_0000_0000..0x6_0000_3000);
        let ranges = unmapped(between.clone(), own.clone(), Some(kernel));
        let (before, behind) = KERNEL_PAGES;
        assert_eq!(ranges.len() as u64, 3 + before + behind);
        let mut sorted = ranges;
        sorted.push(own);
        sorted.sort_by_key(|range| range.start);
        assert_eq!(sorted.first().unwrap().start, between.start);
        assert_eq!(sorted.last().unwrap().end, between.end);
        assert!(sorted.windows(2).all(|pair| pair[0].end == pair[1].start), "{sorted:x?}");
        // Nobody knows where the kernel's pages are; or the mapping is among them.
        let own = kernel - PAGE..kernel;
        assert_eq!(unmapped(between.clone(), own.clone(), None).len(), 2);
        let ranges = unmapped(between, own.clone(), Some(kernel));
        assert!(ranges.iter().all(|range| range.end <= own.start || range.start >= own.end));
        assert!(2 * (ranges.len() + 3) <= WORDS_MAX - INITIAL_STATE - 2);
    }
}
