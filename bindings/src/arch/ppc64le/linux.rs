//! Linux system calls (`docs/reference/spt.md#calls`).

use core::arch::asm;

/// A system call, by its number.
#[derive(Clone, Copy)]
#[repr(usize)]
pub(crate) enum Call {
    Read = 3,
    Write = 4,
    Fdatasync = 148,
    Pread64 = 179,
    Pwrite64 = 180,
    ExitGroup = 234,
    EpollCtl = 236,
    ClockGettime = 246,
    EpollPwait = 303,
    TimerfdSettime = 311,
}

/// `struct epoll_event`.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct EpollEvent {
    pub(crate) events: u32,
    pub(crate) data: u64,
}

const _: () = assert!(size_of::<EpollEvent>() == 16);

/// Makes a system call and returns its result: negative is an error number.
///
/// # Safety
///
/// Memory that the call writes has to be the caller's to write.
pub(crate) unsafe fn call(call: Call, arguments: [usize; 6]) -> isize {
    let [a, b, c, d, e, f] = arguments;
    let result;
    // SAFETY: the kernel changes only the registers named and the memory that the call writes, for
    // which the caller vouches. After an error the summary overflow bit is set, and the number is
    // positive.
    unsafe {
        asm!(
            "sc",
            "bns+ 2f",
            "neg %r3, %r3",
            "2:",
            inout("r0") call as usize => _,
            inout("r3") a => result,
            inout("r4") b => _,
            inout("r5") c => _,
            inout("r6") d => _,
            inout("r7") e => _,
            inout("r8") f => _,
            out("r9") _,
            out("r10") _,
            out("r11") _,
            out("r12") _,
            out("ctr") _,
            out("xer") _,
            out("cr0") _,
            options(nostack),
        );
    }
    result
}

/// Sets the thread pointer, which may be anything.
pub(crate) fn set_thread_pointer(base: usize) -> bool {
    // SAFETY: this crate does not use the register, and every value is legal.
    unsafe { asm!("mr %r13, {0}", in(reg) base, options(nomem, nostack, preserves_flags)) };
    true
}
