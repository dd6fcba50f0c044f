//! The tender's last instructions: unmap the tender, install the filter, jump to the guest
//! (`docs/reference/spt.md`).
//!
//! The guest could read whatever the tender left in memory: paths, options, addresses. So before
//! the guest runs, everything except guest memory is unmapped: program, heap, stack, and the
//! kernel's vdso. The instructions that do this are copied into a mapping of their own, together
//! with the data that they read. Only this mapping stays. The two names that `ps` shows are in the
//! guest's read-only low memory; the kernel is told so.
//!
//! After the filter is installed, the registers are cleared: all general and vector registers, the
//! x87 state and the FS base. Only `%rax` is not zero: it holds the guest's entry point.

#[cfg(not(target_arch = "x86_64"))]
compile_error!("solo5-spt is written for x86_64; another architecture needs its own `enter`");

use std::arch::{asm, global_asm};
use std::ops::Range;
use std::os::fd::RawFd;

use rustix::mm::{MapFlags, MprotectFlags, ProtFlags};
use solo5_abi::spt::GUEST_MIN_BASE;
use solo5_tender::seccomp::Instruction;
use solo5_tender::signals;
use solo5_tender::sys::{Errno, filters, image};

/// Where the guest starts.
#[derive(Clone, Debug)]
pub struct Start {
    /// Entry point.
    pub entry: u64,
    /// Initial stack pointer.
    pub stack: u64,
    /// Address of the boot information, which is the guest's only argument.
    pub boot_info: u64,
    /// End of guest memory.
    pub memory_end: u64,
    /// Where the names of program and image are: two strings in guest memory.
    pub names: Range<u64>,
    /// A descriptor to close after the filter is installed.
    pub close: Option<RawFd>,
}

const PAGE: u64 = 0x1000;

/// End of the addresses that a process can map without asking for more.
const ADDRESSES_END: u64 = 0x7fff_ffff_f000;

/// How many pages before the start of the vdso may belong to the kernel, in ranges that are
/// unmapped one by one. The kernel may refuse to unmap its pages, and then refuses every range that
/// includes one. Kernels that refuse have 6 such pages.
const KERNEL_PAGES: [u64; 6] = [4, 4, 2, 2, 2, 2];

/// Size, in words, of an XSAVE area with every component in its initial state.
const INITIAL_STATE: usize = 128;

/// Upper bound, in words, of the data that the code below reads, not counting the filter.
const WORDS_MAX: usize = INITIAL_STATE + 2 * 24;

// In: rbx = a list of address and length pairs to unmap, ended by a length of 0. rbp = a `struct
// sock_fprog`, r8 = whether `xrstor` exists, r9 = an XSAVE area, r12 = entry, r13 = stack, r14 =
// boot information, r15 = a descriptor to close, or -1. The guest's stack is not written.
global_asm!(
    ".pushsection .text.solo5_spt_leave, \"ax\", @progbits",
    ".balign 16",
    ".globl solo5_spt_leave",
    "solo5_spt_leave:",
    "mov rsp, r13", // gives a signal during this code a stack
    "2:",
    "mov rdi, [rbx]",
    "mov rsi, [rbx + 8]",
    "add rbx, 16",
    "test rsi, rsi",
    "jz 3f",
    "mov eax, 11", // munmap
    "syscall",
    "test eax, eax",
    "jz 2b",
    // The kernel keeps a page of this range. A short range is unmapped page by page, and refusals
    // are ignored.
    "cmp rsi, 0x4000",
    "ja 2b",
    "lea rdx, [rdi + rsi]",
    "mov esi, 0x1000",
    "7:",
    "mov eax, 11",
    "syscall",
    "add rdi, rsi",
    "cmp rdi, rdx",
    "jb 7b",
    "jmp 2b",
    "3:",
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
    // All components that the kernel has enabled, except protection keys (PKRU, bit 9): their
    // initial state allows more than Linux's default.
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
    // The kernel refuses the filter although `enter` has checked that it may install one. This is a
    // bug, and no code is left to print a message: abort.
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
    // The signal handler in process 1: see `end_as_process_1`.
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

/// The machine code above.
fn code() -> &'static [u8] {
    let (start, end) = (&raw const solo5_spt_leave, &raw const solo5_spt_leave_end);
    // SAFETY: the two symbols are the start and the end of one contiguous piece of code.
    unsafe { std::slice::from_raw_parts(start, end.addr() - start.addr()) }
}

/// Whether `xrstor` may be used: the system enables components that only it can restore, or bit 27
/// (OSXSAVE) of `%ecx` in leaf 1 is set. The first question is a system call; in a virtual machine
/// the second one takes as long as dozens of them.
fn has_xrstor() -> bool {
    const LEGACY: u64 = 0b11;
    image::register_components().is_some_and(|components| components & !LEGACY != 0)
        || features().ecx & 1 << 27 != 0
}

/// Leaf 1 of CPUID.
#[allow(unused_unsafe, reason = "newer versions of Rust have a safe function")]
fn features() -> std::arch::x86_64::CpuidResult {
    // SAFETY: every processor with 64 bits has the instruction and this leaf.
    unsafe { std::arch::x86_64::__cpuid(1) }
}

/// A filter instruction as the 8 bytes of the kernel's `struct sock_filter`.
fn word(step: &Instruction) -> u64 {
    let Instruction { code, if_true, if_false, operand } = *step;
    u64::from(code)
        | u64::from(if_true) << 16
        | u64::from(if_false) << 24
        | u64::from(operand) << 32
}

/// The parts of `all` that are in none of `kept`.
fn without(all: Range<u64>, kept: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut left = vec![all];
    for keep in kept {
        let cut = |range: Range<u64>| {
            let before = range.start..range.end.min(keep.start);
            let after = range.start.max(keep.end)..range.end;
            [before, after].into_iter().filter(|part| part.start < part.end)
        };
        left = left.into_iter().flat_map(cut).collect();
    }
    left
}

/// The ranges to unmap: everything from address `from` on, except the mapping `own`. Pages before
/// the `vdso` that may belong to the kernel, and the vdso itself, are ranges of their own.
fn unmapped(from: u64, own: Range<u64>, vdso: Option<Range<u64>>) -> Vec<Range<u64>> {
    let all = from..ADDRESSES_END;
    let vdso = vdso.unwrap_or(all.end..all.end);
    let before = KERNEL_PAGES.iter().sum::<u64>() * PAGE;
    let kernel = vdso.start.saturating_sub(before).max(from)..vdso.end;
    let mut ranges = without(all, &[own.clone(), kernel.clone()]);
    let mut start = kernel.start;
    for pages in KERNEL_PAGES {
        let end = start.saturating_add(pages * PAGE).min(vdso.start);
        ranges.extend(without(start..end, std::slice::from_ref(&own)));
        start = end;
    }
    ranges.push(vdso);
    ranges.retain(|range| range.start < range.end);
    ranges
}

/// Unmaps the tender, installs `filter` and starts the guest. Returns only on an error before
/// anything is unmapped.
///
/// # Safety
///
/// `start.entry` is guest code; `start.stack` is writable and below the end of guest memory. The
/// process has one thread and `no_new_privs` set. `filter` allows `arch_prctl(ARCH_SET_FS)` and
/// closing `start.close`, which nothing else uses.
pub unsafe fn enter(filter: &[Instruction], start: Start) -> Errno {
    if let Err(error) = filters::check_filters().and_then(|()| image::leave_restartable_sequences())
    {
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
    let ranges = unmapped(start.memory_end, base..base + size as u64, image::vdso());

    let mut words = vec![0u64; INITIAL_STATE];
    // `MXCSR`: all exceptions masked, round to nearest. The other fields of the area are 0, which
    // stands for the initial state.
    if let Some(word) = words.get_mut(3) {
        *word = 0x1f80;
    }
    // The list in `rbx`: ranges to unmap, and its end.
    words.extend(ranges.iter().flat_map(|range| [range.start, range.end - range.start]));
    words.extend([0, 0]);
    // The `struct sock_fprog` in `rbp`, and the filter that it points to.
    let program = words.len() as u64;
    words.extend([filter.len() as u64, base + 8 * (program + 2)]);
    words.extend(filter.iter().map(word));
    let entry = 8 * words.len();
    if entry + code.len() > size {
        return Errno::TOOBIG;
    }
    let at = own.cast::<u64>();
    // SAFETY: words and code fit into the mapping, as checked above; it is writable and nothing
    // else uses it. Words are aligned, because mappings start at a page.
    unsafe { std::ptr::copy_nonoverlapping(words.as_ptr(), at, words.len()) };
    // SAFETY: as above; the code follows the words.
    let at = unsafe { at.add(words.len()) }.cast::<u8>();
    // SAFETY: as above.
    unsafe { std::ptr::copy_nonoverlapping(code.as_ptr(), at, code.len()) };
    let rights = MprotectFlags::READ | MprotectFlags::EXEC;
    // SAFETY: this is the mapping made above, which is never written again.
    if let Err(error) = unsafe { rustix::mm::mprotect(own, size, rights) } {
        return error;
    }
    let signal = (&raw const solo5_spt_signal).addr() - (&raw const solo5_spt_leave).addr();
    // SAFETY: this is the copied code that ends the process; it uses no stack and stays mapped.
    if let Err(error) = unsafe { signals::end_elsewhere(base as usize + entry + signal) } {
        return error;
    }
    // If the kernel refuses, `ps` shows the program's file name only.
    let _ = image::show_names(start.names, GUEST_MIN_BASE..start.memory_end);
    // SAFETY: the jump goes to the copy of the code above. The copy uses no stack, and all data
    // that it reads is in the same mapping. It never returns, so nothing that it unmaps is used
    // again; `ranges` contains neither guest memory nor the copy's own mapping.
    // The filter allows the call that clears FS. The last jump starts the guest on its own stack,
    // as the caller promises. `xrstor` is used only where the system enables it, and reads no more
    // than its area.
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
    fn unmapped_covers_everything_except_the_kept_ranges() {
        let kernel = 0x7_0000_0000..0x7_0000_2000;
        let (from, own) = (0x20_0000, 0x6_0000_0000..0x6_0000_3000);
        let ranges = unmapped(from, own.clone(), Some(kernel.clone()));
        assert_eq!(ranges.len(), 3 + KERNEL_PAGES.len() + 1);
        let whole = |mut ranges: Vec<Range<u64>>, own: Range<u64>| {
            ranges.push(own);
            ranges.sort_by_key(|range| range.start);
            assert_eq!(ranges.first().unwrap().start, from);
            assert_eq!(ranges.last().unwrap().end, ADDRESSES_END);
            assert!(ranges.windows(2).all(|pair| pair[0].end == pair[1].start), "{ranges:x?}");
        };
        whole(ranges, own.clone());
        // The vdso's address may be unknown, and the tender's mapping may lie among the kernel's
        // pages.
        for own in [own, kernel.start - PAGE..kernel.start, kernel.end..kernel.end + PAGE] {
            whole(unmapped(from, own.clone(), None), own.clone());
            let ranges = unmapped(from, own.clone(), Some(kernel.clone()));
            assert!(2 * (ranges.len() + 2) <= WORDS_MAX - INITIAL_STATE, "{}", ranges.len());
            whole(ranges, own);
        }
        let own = kernel.start - 5 * PAGE..kernel.start - PAGE;
        whole(unmapped(from, own.clone(), Some(kernel)), own);
    }
}
