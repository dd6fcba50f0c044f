//! The guest API for this crate's own tests on the host. It replaces the functions that the
//! bindings would export; its state is thread-local.
//!
//! The manifest of this host: net `service` (1), block `storage` (2, eight blocks of 512 bytes,
//! `flush: true`), block `constant` (3, the same but read-only and without `flush`), and net and block
//! `declined`, which are optional and not attached. A test offers a seed itself.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ffi::{CStr, c_char, c_int};

use solo5_abi::guest::{BlockInfo, NetFrame, NetInfo};

/// What the monotonic clock says.
pub(crate) const MONOTONIC: u64 = 1;
/// What the wall clock says.
pub(crate) const WALL: u64 = 2;

pub(crate) const MAC: [u8; 6] = [0x52, 0x54, 0, 1, 2, 3];

const OK: c_int = 0;
const AGAIN: c_int = 1;
const EINVAL: c_int = 2;
const EUNSPEC: c_int = 3;

/// Handle of the block device for reading only.
const READ_ONLY: u64 = 3;

/// What this thread's host has for `solo5_seed`.
#[derive(Clone, Copy)]
enum Seed {
    None,
    Ready([u8; 32]),
    Taken,
}

thread_local! {
    static OUTPUT: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
    static QUEUE: RefCell<VecDeque<Vec<u8>>> = const { RefCell::new(VecDeque::new()) };
    static SEED: Cell<Seed> = const { Cell::new(Seed::None) };
    static DISK: RefCell<[u8; 4096]> = const { RefCell::new([0; 4096]) };
}

/// Offers this thread a seed.
pub(crate) fn offer_seed(seed: [u8; 32]) {
    SEED.set(Seed::Ready(seed));
}

/// The console writes of this thread since the last call of this function, one item a write.
pub(crate) fn take_calls() -> Vec<Vec<u8>> {
    OUTPUT.take()
}

/// The same, joined.
pub(crate) fn take_output() -> Vec<u8> {
    OUTPUT.take().concat()
}

#[unsafe(no_mangle)]
extern "C" fn solo5_exit(status: c_int) -> ! {
    panic!("solo5_exit({status})")
}

#[unsafe(no_mangle)]
extern "C" fn solo5_abort() -> ! {
    panic!("solo5_abort()")
}

#[unsafe(no_mangle)]
unsafe extern "C" fn solo5_console_write(buf: *const c_char, size: usize) {
    // SAFETY: the caller passes a readable buffer of this size.
    let bytes = unsafe { core::slice::from_raw_parts(buf.cast::<u8>(), size) };
    OUTPUT.with_borrow_mut(|output| output.push(bytes.to_vec()));
}

#[unsafe(no_mangle)]
extern "C" fn solo5_clock_monotonic() -> u64 {
    MONOTONIC
}

#[unsafe(no_mangle)]
extern "C" fn solo5_clock_wall() -> u64 {
    WALL
}

#[unsafe(no_mangle)]
unsafe extern "C" fn solo5_seed(buf: *mut u8, size: usize) -> c_int {
    match SEED.get() {
        _ if size != 32 => EINVAL,
        Seed::None => EUNSPEC,
        Seed::Taken => EINVAL,
        Seed::Ready(seed) => {
            SEED.set(Seed::Taken);
            // SAFETY: the caller passes a writable buffer of this size.
            unsafe { core::slice::from_raw_parts_mut(buf, size) }.copy_from_slice(&seed);
            OK
        }
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn solo5_yield(_deadline: u64, ready_set: *mut u64) {
    let ready = u64::from(!QUEUE.with_borrow(VecDeque::is_empty)) << 1;
    // SAFETY: the caller passes a writable integer.
    unsafe { *ready_set = ready };
}

#[unsafe(no_mangle)]
unsafe extern "C" fn solo5_net_acquire(
    name: *const c_char,
    handle: *mut u64,
    info: *mut NetInfo,
) -> c_int {
    // SAFETY: the caller passes a NUL-terminated string.
    let name = unsafe { CStr::from_ptr(name) };
    if name != c"service" {
        return if name == c"declined" { EUNSPEC } else { EINVAL };
    }
    // SAFETY: the caller passes a writable handle.
    unsafe { *handle = 1 };
    // SAFETY: the caller passes a writable structure.
    unsafe { *info = NetInfo { mac_address: MAC, mtu: 1500 } };
    OK
}

#[unsafe(no_mangle)]
unsafe extern "C" fn solo5_net_write(handle: u64, buf: *const u8, size: usize) -> c_int {
    if handle != 1 || size < 14 {
        return EINVAL;
    }
    // SAFETY: the caller passes a readable buffer of this size.
    let frame = unsafe { core::slice::from_raw_parts(buf, size) };
    QUEUE.with_borrow_mut(|queue| queue.push_back(frame.to_vec()));
    OK
}

#[unsafe(no_mangle)]
unsafe extern "C" fn solo5_net_read(
    handle: u64,
    buf: *mut u8,
    size: usize,
    read_size: *mut usize,
) -> c_int {
    if handle != 1 {
        return EINVAL;
    }
    let Some(frame) = QUEUE.with_borrow_mut(VecDeque::pop_front) else {
        return AGAIN;
    };
    // SAFETY: the caller passes a writable buffer of this size.
    let buffer = unsafe { core::slice::from_raw_parts_mut(buf, size) };
    buffer[..frame.len()].copy_from_slice(&frame);
    // SAFETY: the caller passes a writable length.
    unsafe { *read_size = frame.len() };
    OK
}

#[unsafe(no_mangle)]
unsafe extern "C" fn solo5_net_write_many(
    handle: u64,
    frames: *const NetFrame,
    count: usize,
    written: *mut usize,
) -> c_int {
    // SAFETY: the caller passes this many frames.
    let frames = unsafe { core::slice::from_raw_parts(frames, count) };
    for (done, frame) in frames.iter().enumerate() {
        // SAFETY: the caller passes a writable number.
        unsafe { *written = done };
        // SAFETY: the caller passes a readable frame.
        let result = unsafe { solo5_net_write(handle, frame.buf, frame.size) };
        if result != OK {
            return result;
        }
    }
    // SAFETY: the caller passes a writable number.
    unsafe { *written = count };
    OK
}

#[unsafe(no_mangle)]
unsafe extern "C" fn solo5_net_read_many(
    handle: u64,
    frames: *mut NetFrame,
    count: usize,
    read: *mut usize,
) -> c_int {
    // SAFETY: the caller passes this many frames.
    let frames = unsafe { core::slice::from_raw_parts_mut(frames, count) };
    for (done, frame) in frames.iter_mut().enumerate() {
        // SAFETY: the caller passes a writable number.
        unsafe { *read = done };
        let room = frame.size;
        // SAFETY: the caller passes a writable buffer of this size.
        let result = unsafe { solo5_net_read(handle, frame.buf, room, &mut frame.size) };
        if result != OK {
            return if done > 0 && result == AGAIN { OK } else { result };
        }
    }
    // SAFETY: the caller passes a writable number.
    unsafe { *read = count };
    OK
}

#[unsafe(no_mangle)]
unsafe extern "C" fn solo5_block_acquire(
    name: *const c_char,
    handle: *mut u64,
    info: *mut BlockInfo,
) -> c_int {
    // SAFETY: the caller passes a NUL-terminated string.
    let name = unsafe { CStr::from_ptr(name) };
    let found = match name {
        _ if name == c"storage" => 2,
        _ if name == c"constant" => READ_ONLY,
        _ if name == c"declined" => return EUNSPEC,
        _ => return EINVAL,
    };
    // SAFETY: the caller passes a writable handle.
    unsafe { *handle = found };
    // SAFETY: the caller passes a writable structure.
    unsafe { *info = BlockInfo { capacity: 4096, block_size: 512 } };
    OK
}

/// The bytes of the disk that a call may touch: at least one block, and only whole ones, as on real targets.
fn place(handle: u64, offset: u64, size: usize) -> Option<std::ops::Range<usize>> {
    let offset = usize::try_from(offset).ok()?;
    ((2..=READ_ONLY).contains(&handle)
        && size != 0
        && size.is_multiple_of(512)
        && offset.is_multiple_of(512)
        && offset.checked_add(size).is_some_and(|end| end <= 4096))
    .then(|| offset..offset + size)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn solo5_block_write_many(
    handle: u64,
    offset: u64,
    buf: *const u8,
    size: usize,
) -> c_int {
    let Some(place) = place(handle, offset, size) else {
        return EINVAL;
    };
    if handle == READ_ONLY {
        return EUNSPEC;
    }
    // SAFETY: the caller passes a readable buffer of this size.
    let data = unsafe { core::slice::from_raw_parts(buf, size) };
    DISK.with_borrow_mut(|disk| disk[place].copy_from_slice(data));
    OK
}

#[unsafe(no_mangle)]
unsafe extern "C" fn solo5_block_read_many(
    handle: u64,
    offset: u64,
    buf: *mut u8,
    size: usize,
) -> c_int {
    let Some(place) = place(handle, offset, size) else {
        return EINVAL;
    };
    // SAFETY: the caller passes a writable buffer of this size.
    let data = unsafe { core::slice::from_raw_parts_mut(buf, size) };
    DISK.with_borrow(|disk| data.copy_from_slice(&disk[place]));
    OK
}

#[unsafe(no_mangle)]
extern "C" fn solo5_block_flush(handle: u64) -> c_int {
    match handle {
        2 => OK,
        READ_ONLY => EUNSPEC,
        _ => EINVAL,
    }
}
