//! Linux system calls (`docs/reference/spt.md#calls`).

use core::arch::asm;

pub(crate) use super::set_thread_pointer;

/// A system call, by its number.
#[derive(Clone, Copy)]
#[repr(usize)]
pub(crate) enum Call {
    EpollCtl = 21,
    EpollPwait = 22,
    Read = 63,
    Write = 64,
    Pread64 = 67,
    Pwrite64 = 68,
    Fdatasync = 83,
    TimerfdSettime = 86,
    ExitGroup = 94,
    ClockGettime = 113,
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
    // which the caller vouches.
    unsafe {
        asm!(
            "svc #0",
            in("x8") call as usize,
            inout("x0") a => result,
            in("x1") b,
            in("x2") c,
            in("x3") d,
            in("x4") e,
            in("x5") f,
            options(nostack),
        );
    }
    result
}
