//! Linux system calls (`docs/reference/spt.md#calls`).

use core::arch::asm;

/// A system call, by its number.
#[derive(Clone, Copy)]
#[repr(usize)]
pub(crate) enum Call {
    Read = 0,
    Write = 1,
    Pread64 = 17,
    Pwrite64 = 18,
    Fdatasync = 75,
    ArchPrctl = 158,
    ClockGettime = 228,
    ExitGroup = 231,
    EpollCtl = 233,
    EpollPwait = 281,
    TimerfdSettime = 286,
}

/// `ARCH_SET_FS`, the code of `arch_prctl` that sets the thread pointer.
const ARCH_SET_FS: usize = 0x1002;

/// `struct epoll_event`: packed on this architecture.
#[derive(Clone, Copy)]
#[repr(C, packed)]
pub(crate) struct EpollEvent {
    pub(crate) events: u32,
    pub(crate) data: u64,
}

const _: () = assert!(size_of::<EpollEvent>() == 12);

/// Makes a system call and returns its result: negative is an error number.
///
/// # Safety
///
/// Memory that the call writes has to be the caller's to write.
pub(crate) unsafe fn call(call: Call, arguments: [usize; 6]) -> isize {
    let [a, b, c, d, e, f] = arguments;
    let result;
    // SAFETY: the kernel changes only the registers named and the memory that the call writes, for
    // which the caller vouches.
    unsafe {
        asm!(
            "syscall",
            inout("rax") call as usize => result,
            in("rdi") a,
            in("rsi") b,
            in("rdx") c,
            in("r10") d,
            in("r8") e,
            in("r9") f,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result
}

/// Sets the thread pointer. Returns whether the host accepts it.
pub(crate) fn set_thread_pointer(base: usize) -> bool {
    // SAFETY: writes no memory.
    unsafe { call(Call::ArchPrctl, [ARCH_SET_FS, base, 0, 0, 0, 0]) == 0 }
}
