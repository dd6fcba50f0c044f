//! 64-bit x86.
//!
//! Cleared before the guest's first instruction: all general and vector registers, the x87 state and the
//! FS base. Only `%rax` is not zero: it holds the guest's entry point.

use std::arch::{asm, global_asm};

use solo5_tender::seccomp::calls::ARCH_PRCTL;
use solo5_tender::seccomp::{Condition, Rule, Test};

use crate::leave::Leave;

/// How far below the end of memory the stack begins: a return address is as good as pushed.
pub(crate) const STACK_OFFSET: u64 = 8;

/// End of the addresses that a process can map without asking for more.
pub(crate) fn addresses_end() -> u64 {
    0x7fff_ffff_f000
}

/// Size, in words, of an XSAVE area with every component in its initial state.
pub(crate) const STATE: usize = 128;

/// Such an area.
pub(crate) fn state() -> Vec<u64> {
    let mut words = vec![0u64; STATE];
    // `MXCSR`: all exceptions masked, round to nearest. The other fields of the area are 0, which
    // stands for the initial state.
    if let Some(word) = words.get_mut(3) {
        *word = 0x1f80;
    }
    words
}

/// Rules that only guests of this architecture need.
pub(crate) fn rules() -> Vec<Rule> {
    const ARCH_SET_FS: u64 = 0x1002;
    vec![Rule::allow(
        ARCH_PRCTL,
        vec![Condition::new(0, "code", Test::Equal(ARCH_SET_FS)).meaning("ARCH_SET_FS")],
        "the base of thread-local storage",
    )]
}

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

/// Whether `xrstor` may be used: the system enables components that only it can restore, or bit 27
/// (OSXSAVE) of `%ecx` in leaf 1 is set. The first question is a system call; in a virtual machine
/// the second one takes as long as dozens of them.
fn has_xrstor() -> bool {
    const LEGACY: u64 = 0b11;
    register_components().is_some_and(|components| components & !LEGACY != 0)
        || features().ecx & 1 << 27 != 0
}

/// Leaf 1 of CPUID.
#[allow(unused_unsafe, reason = "newer versions of Rust have a safe function")]
fn features() -> std::arch::x86_64::CpuidResult {
    // SAFETY: every processor with 64 bits has the instruction and this leaf.
    unsafe { std::arch::x86_64::__cpuid(1) }
}

/// The components of registers that the system saves and restores by XSAVE, if the kernel is new
/// enough to say.
fn register_components() -> Option<u64> {
    const ARCH_GET_XCOMP_SUPP: libc::c_long = 0x1021;
    let mut components = 0u64;
    // SAFETY: the call writes one number, to a variable that outlives it.
    let result =
        unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_GET_XCOMP_SUPP, &raw mut components) };
    (result == 0).then_some(components)
}

/// Jumps to the copied code.
///
/// # Safety
///
/// `leave` holds what the code wants, as the fields say. Nothing of this program is used again.
pub(crate) unsafe fn leave(leave: &Leave) -> ! {
    let restorable = u64::from(has_xrstor());
    // SAFETY: the caller's promise. `xrstor` is used only where the system enables it, and reads no more
    // than its area.
    unsafe {
        asm!(
            "mov rbx, r10",
            "mov rbp, r11",
            "jmp rax",
            in("rax") leave.code,
            in("r10") leave.ranges,
            in("r11") leave.program,
            in("r8") restorable,
            in("r9") leave.state,
            in("r12") leave.entry,
            in("r13") leave.stack,
            in("r14") leave.boot_info,
            in("r15") leave.close,
            options(noreturn),
        );
    }
}
