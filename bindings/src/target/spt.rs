//! The spt target: a Linux process under a seccomp filter (`docs/reference/spt.md#bindings`).
//!
//! Exactly the system calls of `docs/reference/spt.md#calls` are made, with arguments that every
//! tender's filter permits. There is no vDSO here: the monotonic clock is read from the CPU's
//! counter, disciplined by the host's clock (see [`crate::clock`]).

use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use solo5_abi::mft1::{ENTRIES_MAX, Entry};
use solo5_abi::offer::{Feature, Features};
use solo5_abi::spt::{BootInfo, INTERNAL_TIMERFD};

use crate::abort::abort;
use crate::api_types::Error;
use crate::arch;
use crate::arch::linux::{self, Call, EpollEvent, call};
use crate::attached::{self, Transfer, devices, has_net};
pub(crate) use crate::attached::{block_acquire, net_acquire};
use crate::clock::Clock;

/// The target of the ABI note.
pub(crate) const TARGET: solo5_abi::Target = solo5_abi::Target::Spt;
/// The version of the ABI note.
pub(crate) const ABI_VERSION: u32 = solo5_abi::spt::ABI_VERSION;
/// The features of the ABI note.
pub(crate) const FEATURES: Features =
    Features::of(&[Feature::Stack, Feature::Transfers, Feature::Flush, Feature::Seed]);

const STDOUT: usize = 1;
const CLOCK_REALTIME: usize = 0;
const CLOCK_MONOTONIC: usize = 1;
const TFD_TIMER_ABSTIME: usize = 1;

const EPOLL_CTL_DEL: usize = 2;
const EPOLLIN: u32 = 0x1;
/// `EPOLLERR | EPOLLHUP`
const GONE: u32 = 0x18;

const EINTR: isize = -4;
const EAGAIN: isize = -11;
const ENOMEM: isize = -12;
const ENOBUFS: isize = -105;

const NANOS: u64 = 1_000_000_000;

// State from the boot information. There is one thread. Atomics only make the statics writable.
static EPOLLFD: AtomicU32 = AtomicU32::new(0);
static TIMERFD: AtomicU32 = AtomicU32::new(0);
static CLOCK: Clock = Clock::new();
/// The deadline the timer was last armed with; 0: never.
static ARMED: AtomicU64 = AtomicU64::new(0);

/// Stores the host descriptors of the boot information.
pub(crate) fn set_boot_info(info: &BootInfo) {
    EPOLLFD.store(info.epollfd.get(), Relaxed);
    TIMERFD.store(info.timerfd.get(), Relaxed);
}

/// The descriptor behind a device, as a system call's argument.
fn fd(entry: &Entry) -> usize {
    entry.host_fd() as usize
}

pub(crate) fn panic() -> ! {
    abort!("internal error")
}

pub(crate) fn exit(status: i32) -> ! {
    loop {
        // SAFETY: writes no memory.
        unsafe { call(Call::ExitGroup, [status as usize, 0, 0, 0, 0, 0]) };
    }
}

/// Writes all of `bytes`. It waits for a slow reader, even on a non-blocking descriptor. Output that
/// the host refuses for another reason is lost.
pub(crate) fn console_write(mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let arguments = [STDOUT, bytes.as_ptr().addr(), bytes.len(), 0, 0, 0];
        // SAFETY: writes no memory.
        let result = unsafe { call(Call::Write, arguments) };
        match result {
            EINTR => continue,
            EAGAIN => {
                nap();
                continue;
            }
            _ => {}
        }
        match usize::try_from(result) {
            Ok(written @ 1..) => bytes = bytes.get(written..).unwrap_or_default(),
            _ => return,
        }
    }
}

/// Pauses while the console is full: for about a millisecond, or until a device has input. The guest
/// can wait only for the timer and the devices.
fn nap() {
    const NAP: u64 = 1_000_000;
    arm(clock_monotonic().wrapping_add(NAP));
    poll(true);
}

/// `struct timespec`.
#[derive(Default)]
#[repr(C)]
struct Timespec {
    sec: u64,
    nsec: u64,
}

fn host_clock(clock: usize) -> u64 {
    let mut now = Timespec::default();
    let arguments = [clock, (&raw mut now).expose_provenance(), 0, 0, 0, 0];
    // SAFETY: the call writes one `struct timespec`, which `now` is.
    if unsafe { call(Call::ClockGettime, arguments) } != 0 {
        abort!("Assertion `clock_gettime' failed");
    }
    now.sec.wrapping_mul(NANOS).wrapping_add(now.nsec)
}

pub(crate) fn clock_wall() -> u64 {
    host_clock(CLOCK_REALTIME)
}

pub(crate) fn clock_monotonic() -> u64 {
    if !CLOCK.is_usable() {
        return CLOCK.advance(host_clock(CLOCK_MONOTONIC));
    }
    let before = arch::fine_counter();
    if let Some(nanos) = CLOCK.read(before) {
        return nanos;
    }
    if CLOCK.last() == 0 && !arch::has_steady_counter() {
        CLOCK.give_up();
    }
    let nanos = host_clock(CLOCK_MONOTONIC);
    CLOCK.sample(before, nanos, arch::fine_counter())
}

/// Waits for the deadline or for input; returns the network devices that have some.
///
/// A deadline that has passed costs one system call, to poll the devices, and none without network
/// devices. The last known time or the clock tells that it has passed, so the timer is not armed.
/// Any other deadline costs one call to wait, and one to arm the timer unless it is armed for this
/// deadline already.
pub(crate) fn wait(deadline: u64) -> u64 {
    let passed = deadline <= CLOCK.last() || deadline <= clock_monotonic();
    if passed && !has_net() {
        return 0;
    }
    if !passed && deadline != ARMED.load(Relaxed) {
        arm(deadline);
    }
    poll(!passed)
}

fn arm(deadline: u64) {
    // A zero would disarm the timer; one nanosecond more does no harm.
    let deadline_spec = Timespec { sec: deadline / NANOS, nsec: (deadline % NANOS) | 1 };
    let timer = [Timespec::default(), deadline_spec];
    let arguments = [
        TIMERFD.load(Relaxed) as usize,
        TFD_TIMER_ABSTIME,
        (&raw const timer).expose_provenance(),
        0,
        0,
        0,
    ];
    // SAFETY: reads one `struct itimerspec`: interval and value; without a place for the old value
    // it writes no memory.
    if unsafe { call(Call::TimerfdSettime, arguments) } < 0 {
        abort!("Assertion `timerfd_settime' failed");
    }
    ARMED.store(deadline, Relaxed);
}

/// Polls the epoll set. With `block` it waits until something is ready.
fn poll(block: bool) -> u64 {
    // One for each device and one for the timer. They fit, as the reserved entry is no device.
    let mut events = [const { MaybeUninit::<EpollEvent>::uninit() }; ENTRIES_MAX];
    let timeout: isize = if block { -1 } else { 0 };
    let arguments = [
        EPOLLFD.load(Relaxed) as usize,
        (&raw mut events).expose_provenance(),
        ENTRIES_MAX,
        timeout as usize,
        0,
        0,
    ];
    let result = loop {
        // SAFETY: the call writes at most `ENTRIES_MAX` events, which there is room for.
        match unsafe { call(Call::EpollPwait, arguments) } {
            EINTR => {}
            result => break result,
        }
    };
    let Ok(count) = usize::try_from(result) else {
        abort!("Assertion `epoll_pwait' failed");
    };
    let mut ready = 0;
    for event in events.iter().take(count) {
        // SAFETY: the call has filled in this many events.
        let EpollEvent { events, data: handle } = *unsafe { event.assume_init_ref() };
        if events & GONE != 0 && events & EPOLLIN == 0 {
            forget(handle);
        }
        if handle == INTERNAL_TIMERFD {
            // The timer has fired, so this time has passed, whatever the counter says.
            CLOCK.advance(ARMED.load(Relaxed));
        } else if handle < u64::BITS.into() {
            ready |= 1 << handle;
        }
    }
    ready
}

/// Removes the device from the epoll set: its tap is gone, which would end every wait at once. The
/// application sees the device ready once, and its next read fails. The entry tells whether the
/// tender allows the removal.
fn forget(handle: u64) {
    if let Some(entry) = devices().network(handle).filter(|entry| entry.may_forget()) {
        let arguments = [EPOLLFD.load(Relaxed) as usize, EPOLL_CTL_DEL, fd(entry), 0, 0, 0];
        // SAFETY: writes no memory.
        unsafe { call(Call::EpollCtl, arguments) };
    }
}

pub(crate) fn set_tls_base(base: usize) -> bool {
    linux::set_thread_pointer(base)
}

pub(crate) fn net_write(handle: u64, buf: *const u8, size: usize) -> Result<(), Error> {
    let entry = devices().net_write(handle, size)?;
    let arguments = [fd(entry), buf.expose_provenance(), size, 0, 0, 0];
    // SAFETY: writes no memory.
    match unsafe { call(Call::Write, arguments) } {
        // No room for the frame: it is dropped, as networks do.
        EAGAIN | ENOBUFS | ENOMEM => Ok(()),
        written if usize::try_from(written) == Ok(size) => Ok(()),
        _ => Err(Error::Unspecified),
    }
}

pub(crate) use net_write as net_submit;

/// Every frame of [`net_submit`] has been sent already.
pub(crate) fn net_submitted() {}

/// # Safety
///
/// `size` bytes at `buf` are the caller's to write.
pub(crate) unsafe fn net_read(handle: u64, buf: *mut u8, size: usize) -> Result<usize, Error> {
    let entry = devices().net_read(handle, size)?;
    let arguments = [fd(entry), buf.expose_provenance(), size, 0, 0, 0];
    // SAFETY: the call writes at most `size` bytes at `buf`.
    match unsafe { call(Call::Read, arguments) } {
        EAGAIN => Err(Error::Again),
        result => usize::try_from(result).map_err(|_| Error::Unspecified),
    }
}

pub(crate) fn block_flush(handle: u64) -> Result<(), Error> {
    attached::block_flush(handle, |entry| {
        loop {
            // SAFETY: writes no memory.
            match unsafe { call(Call::Fdatasync, [fd(entry), 0, 0, 0, 0, 0]) } {
                EINTR => {}
                result => return result == 0,
            }
        }
    })
}

/// # Safety
///
/// Memory that a read writes has to be the caller's to write.
pub(crate) unsafe fn block_transfer(all: Transfer) -> Result<(), Error> {
    let direction = if all.writes { Call::Pwrite64 } else { Call::Pread64 };
    attached::transfer(all, true, |entry, part| {
        let arguments = [fd(entry), part.buf, part.size, part.offset as usize, 0, 0];
        loop {
            // SAFETY: `pwrite64` writes no memory, and `pread64` at most the part's bytes at its
            // address, which is the caller's promise.
            match unsafe { call(direction, arguments) } {
                EINTR => {}
                result => return usize::try_from(result).map_err(|_| Error::Unspecified),
            }
        }
    })
}
