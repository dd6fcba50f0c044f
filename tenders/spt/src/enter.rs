//! The last instructions of the tender: the filter, then the guest (`spec/30` §8).
//!
//! One block of assembly, so that nothing runs between the filter and the guest that could
//! allocate, unwind, or leave something behind: all general and vector registers, the x87 state
//! and the FS base are cleared, since what the tender left there tells where its code, stack and
//! heap are. Only `%rax` is not zero: it holds the guest's own entry point.

#[cfg(not(target_arch = "x86_64"))]
compile_error!("solo5-spt is written for x86_64; another architecture needs its own `enter`");

use std::arch::asm;

use solo5_tender::seccomp::Instruction;
use solo5_tender::sys::Errno;

/// Where the guest starts.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// Entry point.
    pub entry: u64,
    /// Initial stack pointer.
    pub stack: u64,
    /// Address of the boot information, the guest's only argument.
    pub boot_info: u64,
}

/// The kernel's `struct sock_fprog`.
#[repr(C)]
struct Program {
    length: u16,
    instructions: *const Instruction,
}

/// An XSAVE area whose every component is in its initial state. Only `MXCSR` is read from it: all
/// exceptions masked, round to nearest.
#[repr(C, align(64))]
struct InitialState {
    before: [u8; 24],
    mxcsr: u32,
    behind: [u8; 996],
}

static INITIAL_STATE: InitialState =
    InitialState { before: [0; 24], mxcsr: 0x1f80, behind: [0; 996] };

/// Whether `xrstor` may be used: bit 27 (OSXSAVE) of `%ecx` in leaf 1.
fn has_xrstor() -> bool {
    std::arch::x86_64::__cpuid(1).ecx & 1 << 27 != 0
}

/// Installs `filter` and starts the guest. Returns only if the kernel refuses the filter.
///
/// # Safety
///
/// `start.entry` is code of the guest's, `start.stack` is below the end of its memory and
/// writable. The process has one thread and `no_new_privs` set. `filter` allows
/// `arch_prctl(ARCH_SET_FS)`.
pub unsafe fn enter(filter: &[Instruction], start: Start) -> Errno {
    let program = Program { length: filter.len() as u16, instructions: filter.as_ptr() };
    let result: i64;
    // SAFETY: up to label 2 the block is one system call, whose pointer is to a complete program
    // that outlives it; on failure nothing but the named registers has changed. Otherwise control
    // never comes back, so no register or stack of ours matters: FS is cleared by a call that the
    // filter allows, and the jump is to the guest on its own stack, as the caller promises.
    // `xrstor` is used only where the system enables it and reads no more than its area.
    unsafe {
        asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",

            "mov eax, 158", // arch_prctl
            "mov edi, 0x1002", // ARCH_SET_FS
            "xor esi, esi",
            "syscall",

            "test r8, r8",
            "jz 3f",
            // Everything the kernel has enabled, but for the protection keys of pages (bit 9),
            // whose initial state would be laxer than the system's.
            "mov eax, 0xfffffdff",
            "mov edx, 0xffffffff",
            "xrstor64 [r9]",
            "jmp 4f",
            "3:",
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
            "4:",
            "mov rax, r12",
            "mov rsp, r13",
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
            "2:",
            inlateout("rax") 317i64 => result, // seccomp
            in("rdi") 1u64, // SECCOMP_SET_MODE_FILTER
            in("rsi") 0u64,
            in("rdx") &raw const program,
            in("r8") u64::from(has_xrstor()),
            in("r9") &raw const INITIAL_STATE,
            in("r12") start.entry,
            in("r13") start.stack,
            in("r14") start.boot_info,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    // Thread synchronisation was not asked for, so every result but 0 is an error number.
    Errno::from_raw_os_error(i32::try_from(-result).unwrap_or(0))
}
