//! The hvt target: a virtual machine that has only memory, one CPU and hypercalls
//! (`docs/reference/hvt.md#bindings`).
//!
//! The guest runs in the CPU's most privileged mode, on the tender's page tables. Interrupts stay
//! off: waiting is a hypercall. SSE is usable from the first instruction on, but this code is built
//! without it: on some hosts KVM interprets the guest's code, and supports no vector registers.

use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering::Relaxed};

use solo5_abi::hvt::ring::Ring;
use solo5_abi::hvt::{Block, BlockFlush, Halt, Hypercall, Net, Outcome, Poll, Puts, Walltime};
use solo5_abi::offer::{Feature, Features};

use crate::abort::abort;
use crate::api_types::{EXIT_ABORT, Error};
use crate::arch::hvt::{hypercall, kick};
pub(crate) use crate::arch::set_thread_pointer as set_tls_base;
use crate::arch::{self, TrapFrame};
use crate::attached::{self, Transfer, devices, has_net};
pub(crate) use crate::attached::{block_acquire, net_acquire};
use crate::memory::Heap;
use crate::queue::{Buffers, Machine, NAP, Queue};
use crate::scale::Scale;

/// The target of the ABI note.
pub(crate) const TARGET: solo5_abi::Target = solo5_abi::Target::Hvt;
/// The version of the ABI note.
pub(crate) const ABI_VERSION: u32 = solo5_abi::hvt::ABI_VERSION;
/// The features of the ABI note.
pub(crate) const FEATURES: Features =
    Features::of(&[Feature::Stack, Feature::Transfers, Feature::Flush, Feature::Seed]);

// State from the boot information. There is one thread. Atomics only make the statics writable.
static CLOCK_MULT: AtomicU32 = AtomicU32::new(0);
static CLOCK_SHIFT: AtomicU32 = AtomicU32::new(0);
/// The last reading of the clock; no later one is less.
static CLOCK_LAST: AtomicU64 = AtomicU64::new(0);
/// NULL: frames are not queued.
static RING: AtomicPtr<Ring> = AtomicPtr::new(ptr::null_mut());
/// The queue's buffers, their number and the size of each.
static BUFFERS: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());
static BUFFER_COUNT: AtomicU32 = AtomicU32::new(0);
static BUFFER_SIZE: AtomicU32 = AtomicU32::new(0);
static STALLED: AtomicBool = AtomicBool::new(false);
/// Whether a frame was sent since the last wait.
static SENDING: AtomicBool = AtomicBool::new(false);

pub(crate) fn panic() -> ! {
    abort!("internal error")
}

/// Ends the guest. Frames still in the queue are sent first: an older tender would lose them.
pub(crate) fn exit(status: i32) -> ! {
    if let Some(queue) = queue() {
        queue.drain(&Tender);
    }
    halt(status, 0)
}

/// Ends the guest after a trap. The tender may store the frame in a core file.
pub(crate) fn fault(frame: &TrapFrame) -> ! {
    // The tender requires more bytes than it reads; the memory behind a trap's stack provides them.
    halt(EXIT_ABORT, ptr::from_ref(frame).expose_provenance() as u64)
}

fn halt(status: i32, cookie: u64) -> ! {
    let mut argument =
        Halt { cookie: cookie.into(), exit_status: status.into(), ..Halt::default() };
    loop {
        // SAFETY: the argument has the call's type, and nothing is written.
        unsafe { hypercall(Hypercall::Halt, &mut argument) };
    }
}

pub(crate) fn console_write(bytes: &[u8]) {
    let mut argument = Puts {
        data: (bytes.as_ptr().expose_provenance() as u64).into(),
        len: (bytes.len() as u64).into(),
    };
    // SAFETY: the argument has the call's type, and nothing is written.
    unsafe { hypercall(Hypercall::Puts, &mut argument) };
}

pub(crate) fn clock_wall() -> u64 {
    let mut argument = Walltime::default();
    // SAFETY: the argument has the call's type, and only it is written.
    unsafe { hypercall(Hypercall::Walltime, &mut argument) };
    argument.nsecs.get()
}

/// Starts the monotonic clock on a counter of `frequency` Hz, and returns its scale.
pub(crate) fn start_clock(frequency: u64) -> Scale {
    let Some(scale) = Scale::new(frequency) else {
        abort!("Assertion `cpu_cycle_freq' failed");
    };
    CLOCK_MULT.store(scale.mult, Relaxed);
    CLOCK_SHIFT.store(scale.shift, Relaxed);
    scale
}

pub(crate) fn clock_monotonic() -> u64 {
    let scale = Scale { mult: CLOCK_MULT.load(Relaxed), shift: CLOCK_SHIFT.load(Relaxed) };
    let now = scale.nanos(arch::counter()).max(CLOCK_LAST.load(Relaxed));
    CLOCK_LAST.store(now, Relaxed);
    now
}

/// Waits for the deadline or for input; returns the network devices that have some.
///
/// No hypercall is made if the deadline has passed and no device could have input. The tender's timer
/// follows another clock than the guest's, so a wait may end early; the guest then waits for the
/// rest.
pub(crate) fn wait(deadline: u64) -> u64 {
    loop {
        let left = deadline.saturating_sub(clock_monotonic());
        if left == 0 && !has_net() {
            return 0;
        }
        let ready = poll(left);
        if left == 0 || ready != 0 {
            return ready;
        }
    }
}

/// Waits up to `timeout` nanoseconds for a device that can be read; returns all that can.
fn poll(timeout: u64) -> u64 {
    SENDING.store(false, Relaxed);
    let mut argument = Poll {
        timeout_nsecs: timeout.into(),
        // A compiler that knew the zeroes would move them through a vector register.
        ready_set: core::hint::black_box(0).into(),
        ..Poll::default()
    };
    // SAFETY: the argument has the call's type, and only it is written.
    unsafe { hypercall(Hypercall::Poll, &mut argument) };
    argument.ready_set.get()
}

/// Makes the queue for a ring at `address`, if the heap can spare the buffers.
pub(crate) fn queue_frames(address: u64, heap: &mut Heap) {
    let longest = devices().longest_frame();
    let Some(buffers) = longest.and_then(|frame| Buffers::fair(heap.size, frame)) else {
        return;
    };
    let pages = buffers.total().next_multiple_of(arch::PAGE_SIZE);
    if let Some(first) = heap.reserve(pages) {
        BUFFERS.store(ptr::with_exposed_provenance_mut(first as usize), Relaxed);
        BUFFER_COUNT.store(buffers.count, Relaxed);
        BUFFER_SIZE.store(buffers.size, Relaxed);
        RING.store(ptr::with_exposed_provenance_mut(address as usize), Relaxed);
    }
}

/// The queue for frames, if there is one.
fn queue() -> Option<Queue<'static>> {
    // SAFETY: NULL, or the ring of the boot information: aligned, and mapped for good. All its
    // fields are atomics, which the tender may change.
    let ring = unsafe { RING.load(Relaxed).as_ref() }?;
    let buffers = Buffers { count: BUFFER_COUNT.load(Relaxed), size: BUFFER_SIZE.load(Relaxed) };
    Some(Queue::new(ring, buffers, &STALLED))
}

/// The tender, as the queue sees it.
struct Tender;

impl Machine for Tender {
    fn kick(&self) {
        kick();
    }

    fn pause(&self) {
        core::hint::spin_loop();
    }

    fn nap(&self) {
        poll(NAP);
    }

    fn now(&self) -> u64 {
        clock_monotonic()
    }
}

/// Sends a frame. The first one after a wait goes by hypercall if the tender's I/O thread sleeps: many
/// guests send one frame and wait for the answer, and to wake a thread costs more than a hypercall. If
/// others follow, they are queued.
pub(crate) fn net_write(handle: u64, buf: *const u8, size: usize) -> Result<(), Error> {
    let is_first = !SENDING.load(Relaxed);
    SENDING.store(true, Relaxed);
    if is_first && queue().is_some_and(|queue| queue.is_asleep()) {
        devices().net_write(handle, size)?;
        let outcome = send(handle, buf, size);
        // As of a queued frame, the application gets to know the outcome only if the tap is gone.
        return if is_gone(handle) { outcome } else { Ok(()) };
    }
    let result = net_submit(handle, buf, size);
    net_submitted();
    result
}

/// Wakes the tender for the frames of [`net_submit`].
pub(crate) fn net_submitted() {
    if let Some(queue) = queue() {
        queue.wake(&Tender);
    }
}

/// Sends a frame. The tender may get to know of it only by [`net_submitted`].
pub(crate) fn net_submit(handle: u64, buf: *const u8, size: usize) -> Result<(), Error> {
    devices().net_write(handle, size)?;
    // A queued frame has no outcome. A frame to a tap that is gone needs one, so it is not queued.
    if let Some(queue) = queue().filter(|_| !is_gone(handle)) {
        enqueue(&queue, handle, buf, size);
        return Ok(());
    }
    send(handle, buf, size)
}

/// Sends a frame by hypercall.
fn send(handle: u64, buf: *const u8, size: usize) -> Result<(), Error> {
    // SAFETY: the frame is only read.
    match unsafe { net(Hypercall::NetWrite, handle, buf.expose_provenance(), size) } {
        // No room for the frame: it is dropped, as networks do.
        Ok(_) | Err(Error::Again) => Ok(()),
        Err(error) => Err(error),
    }
}

/// The network devices on which a read has failed, bit N for handle N.
static GONE: AtomicU64 = AtomicU64::new(0);

/// Whether a read on this device, whose handle is below 64, has failed.
fn is_gone(handle: u64) -> bool {
    GONE.load(Relaxed) >> handle & 1 != 0
}

/// Queues a frame, or drops it if the tender does not take frames.
fn enqueue(queue: &Queue<'_>, handle: u64, buf: *const u8, size: usize) {
    let Some(place) = queue.place(&Tender) else {
        return;
    };
    let buffer = BUFFERS.load(Relaxed).wrapping_add(place.offset as usize);
    // SAFETY: by the API's contract the application may read `size` bytes at `buf`. The buffer is
    // one of those reserved, has room for the longest frame, and the tender is done with it.
    unsafe { buffer.copy_from_nonoverlapping(buf, size) };
    // Handles are below 64, and frames are at most 64 KiB and a header, so the casts lose nothing.
    let data = buffer.expose_provenance() as u64;
    queue.submit(place, handle as u32, data, size as u32);
}

/// # Safety
///
/// `size` bytes at `buf` are the caller's to write.
pub(crate) unsafe fn net_read(handle: u64, buf: *mut u8, size: usize) -> Result<usize, Error> {
    devices().net_read(handle, size)?;
    // SAFETY: the caller's promise.
    let read = unsafe { net(Hypercall::NetRead, handle, buf.expose_provenance(), size) };
    if matches!(read, Err(Error::Unspecified)) {
        // The check has found the device, so the handle is below 64.
        GONE.fetch_or(1 << handle, Relaxed);
    }
    read
}

/// Transfers one frame by hypercall; returns its length.
///
/// # Safety
///
/// The memory that `direction` writes has to be the caller's to write.
unsafe fn net(direction: Hypercall, handle: u64, buf: usize, size: usize) -> Result<usize, Error> {
    let mut argument = Net {
        handle: handle.into(),
        data: (buf as u64).into(),
        len: (size as u64).into(),
        ..Net::default()
    };
    // SAFETY: both directions take this type; the caller vouches for the memory.
    unsafe { hypercall(direction, &mut argument) };
    result(argument.ret.get()).map(|()| argument.len.get() as usize)
}

fn result(ret: i32) -> Result<(), Error> {
    match Outcome::from_number(ret) {
        Outcome::Ok => Ok(()),
        Outcome::Again => Err(Error::Again),
        Outcome::Invalid => Err(Error::Invalid),
        Outcome::Unspecified => Err(Error::Unspecified),
    }
}

pub(crate) fn block_flush(handle: u64) -> Result<(), Error> {
    attached::block_flush(handle, |_| {
        let mut argument = BlockFlush { handle: handle.into(), ..BlockFlush::default() };
        // SAFETY: the argument has the call's type, and only it is written.
        unsafe { hypercall(Hypercall::BlockFlush, &mut argument) };
        result(argument.ret.get()).is_ok()
    })
}

/// # Safety
///
/// Memory that a read writes has to be the caller's to write.
pub(crate) unsafe fn block_transfer(all: Transfer) -> Result<(), Error> {
    let direction = if all.writes { Hypercall::BlockWrite } else { Hypercall::BlockRead };
    attached::transfer(all, true, |_, part| {
        let mut argument = Block {
            handle: part.handle.into(),
            offset: part.offset.into(),
            data: (part.buf as u64).into(),
            len: (part.size as u64).into(),
            ..Block::default()
        };
        // SAFETY: both directions take this type; the caller vouches for the memory.
        unsafe { hypercall(direction, &mut argument) };
        result(argument.ret.get()).map(|()| part.size)
    })
}
