//! The guest API of `solo5.h` as the bindings export it. No other file calls it.
//!
//! The functions here are safe. They add what the C signatures leave open: which length belongs to
//! which pointer, and what each result means. The C API is neither thread-safe nor re-entrant
//! (docs/reference/guest-api.md#rules). A Solo5 guest has one thread and the bindings never call
//! back, so no lock is needed.

use core::ffi::{c_char, c_int};
use core::ptr::null_mut;

use solo5_abi::guest::{BlockInfo, NetFrame, NetInfo};
use solo5_abi::mft1::NAME_MAX;
use solo5_abi::offer::SEED_SIZE;

use crate::error::{Error, Result};
use crate::status::Status;

mod c {
    use super::{BlockInfo, NetFrame, NetInfo, c_char, c_int};

    unsafe extern "C" {
        pub(super) safe fn solo5_exit(status: c_int) -> !;
        pub(super) safe fn solo5_abort() -> !;
        pub(super) fn solo5_console_write(buf: *const c_char, size: usize);
        pub(super) safe fn solo5_clock_monotonic() -> u64;
        pub(super) safe fn solo5_clock_wall() -> u64;
        pub(super) fn solo5_seed(buf: *mut u8, size: usize) -> c_int;
        pub(super) fn solo5_yield(deadline: u64, ready_set: *mut u64);
        pub(super) fn solo5_net_acquire(
            name: *const c_char,
            handle: *mut u64,
            info: *mut NetInfo,
        ) -> c_int;
        pub(super) fn solo5_net_write(handle: u64, buf: *const u8, size: usize) -> c_int;
        pub(super) fn solo5_net_read(
            handle: u64,
            buf: *mut u8,
            size: usize,
            read_size: *mut usize,
        ) -> c_int;
        pub(super) fn solo5_net_write_many(
            handle: u64,
            frames: *const NetFrame,
            count: usize,
            written: *mut usize,
        ) -> c_int;
        pub(super) fn solo5_net_read_many(
            handle: u64,
            frames: *mut NetFrame,
            count: usize,
            read: *mut usize,
        ) -> c_int;
        pub(super) fn solo5_block_acquire(
            name: *const c_char,
            handle: *mut u64,
            info: *mut BlockInfo,
        ) -> c_int;
        pub(super) fn solo5_block_write_many(
            handle: u64,
            offset: u64,
            buf: *const u8,
            size: usize,
        ) -> c_int;
        pub(super) safe fn solo5_block_flush(handle: u64) -> c_int;
        pub(super) fn solo5_block_read_many(
            handle: u64,
            offset: u64,
            buf: *mut u8,
            size: usize,
        ) -> c_int;
    }
}

/// `SOLO5_R_AGAIN`: nothing now, perhaps later.
const AGAIN: c_int = 1;

/// The meaning of a `solo5_result_t` from a call that never returns AGAIN
/// (docs/reference/guest-api.md#results).
fn check(result: c_int) -> Result<()> {
    match result {
        0 => Ok(()),
        2 => Err(Error::Invalid),
        _ => Err(Error::Unspecified),
    }
}

/// `name` as the C string `acquire` takes. A name no manifest can hold is refused.
fn device_name(name: &str) -> Result<[c_char; NAME_MAX + 1]> {
    if name.is_empty() || name.len() > NAME_MAX || name.contains('\0') {
        return Err(Error::Invalid);
    }
    let mut text = [0; NAME_MAX + 1];
    for (to, from) in text.iter_mut().zip(name.bytes()) {
        *to = from as c_char;
    }
    Ok(text)
}

pub(crate) fn exit(status: Status) -> ! {
    c::solo5_exit(c_int::from(status.code()))
}

pub(crate) fn abort() -> ! {
    c::solo5_abort()
}

pub(crate) fn console_write(bytes: &[u8]) {
    // SAFETY: pointer and length are those of one slice, which the call only reads.
    unsafe { c::solo5_console_write(bytes.as_ptr().cast(), bytes.len()) }
}

pub(crate) fn clock_monotonic() -> u64 {
    c::solo5_clock_monotonic()
}

pub(crate) fn clock_wall() -> u64 {
    c::solo5_clock_wall()
}

/// The seed.
pub(crate) fn seed() -> Result<[u8; SEED_SIZE]> {
    let mut seed = [0; SEED_SIZE];
    // SAFETY: pointer and length are those of one array, which outlives the call.
    check(unsafe { c::solo5_seed(seed.as_mut_ptr(), seed.len()) })?;
    Ok(seed)
}

/// The set of ready handles. It is zeroed first: the stub bindings leave it untouched.
pub(crate) fn yield_until(deadline: u64) -> u64 {
    let mut ready = 0;
    // SAFETY: `ready` outlives the call, which keeps no pointer to it.
    unsafe { c::solo5_yield(deadline, &mut ready) };
    ready
}

pub(crate) fn net_acquire(name: &str) -> Result<(u64, NetInfo)> {
    let name = device_name(name)?;
    let mut handle = 0;
    let mut info = NetInfo::default();
    // SAFETY: the name ends in NUL (one byte longer than the longest name); the other two point to
    // initialised values that outlive the call.
    check(unsafe { c::solo5_net_acquire(name.as_ptr(), &mut handle, &mut info) })?;
    Ok((handle, info))
}

pub(crate) fn net_write(handle: u64, frame: &[u8]) -> Result<()> {
    // SAFETY: pointer and length are those of one slice, which the call only reads.
    check(unsafe { c::solo5_net_write(handle, frame.as_ptr(), frame.len()) })
}

/// The length of the frame read into `buffer`; `None` when none is queued.
pub(crate) fn net_read(handle: u64, buffer: &mut [u8]) -> Result<Option<usize>> {
    let mut size = 0;
    // SAFETY: pointer and length are those of one slice borrowed for writing; `size` outlives the
    // call.
    let result = unsafe { c::solo5_net_read(handle, buffer.as_mut_ptr(), buffer.len(), &mut size) };
    if result == AGAIN {
        return Ok(None);
    }
    check(result)?;
    // A size above the buffer's would be a fault of the bindings; it must not become an index.
    if size > buffer.len() { Err(Error::Unspecified) } else { Ok(Some(size)) }
}

/// Most frames of one call.
pub(crate) const FRAMES_MAX: usize = 32;

/// Sends frames in order, at most [`FRAMES_MAX`]. How many were sent, and the result of the next.
pub(crate) fn net_write_many(handle: u64, frames: &[&[u8]]) -> (usize, Result<()>) {
    let mut list = [NetFrame { buf: null_mut(), size: 0 }; FRAMES_MAX];
    for (place, frame) in list.iter_mut().zip(frames) {
        *place = NetFrame { buf: frame.as_ptr().cast_mut(), size: frame.len() };
    }
    let count = frames.len().min(FRAMES_MAX);
    let mut written = 0;
    // SAFETY: the first `count` frames of the list have pointer and length of one slice each, which
    // the call only reads; `written` outlives the call.
    let result = unsafe { c::solo5_net_write_many(handle, list.as_ptr(), count, &mut written) };
    (written.min(count), check(result))
}

/// Reads frames into consecutive parts of `buffer` of `part` bytes each, at most [`FRAMES_MAX`].
/// Returns how many, and stores their lengths. A failure after the first frame is left to the next
/// call, which meets it again.
pub(crate) fn net_read_many(
    handle: u64,
    buffer: &mut [u8],
    part: usize,
    lengths: &mut [usize; FRAMES_MAX],
) -> Result<usize> {
    let mut list = [NetFrame { buf: null_mut(), size: 0 }; FRAMES_MAX];
    let mut count = 0;
    for (place, part) in list.iter_mut().zip(buffer.chunks_exact_mut(part)) {
        *place = NetFrame { buf: part.as_mut_ptr(), size: part.len() };
        count += 1;
    }
    let mut read = 0;
    // SAFETY: the first `count` frames of the list have pointer and length of separate parts of
    // `buffer`, borrowed for writing; `read` outlives the call.
    let result = unsafe { c::solo5_net_read_many(handle, list.as_mut_ptr(), count, &mut read) };
    for (length, frame) in lengths.iter_mut().zip(&list) {
        *length = frame.size;
    }
    match read.min(count) {
        0 if result == AGAIN => Ok(0),
        0 => check(result).map(|()| 0),
        read => Ok(read),
    }
}

pub(crate) fn block_acquire(name: &str) -> Result<(u64, BlockInfo)> {
    let name = device_name(name)?;
    let mut handle = 0;
    let mut info = BlockInfo::default();
    // SAFETY: as in `net_acquire`.
    check(unsafe { c::solo5_block_acquire(name.as_ptr(), &mut handle, &mut info) })?;
    Ok((handle, info))
}

/// At least one block.
pub(crate) fn block_write(handle: u64, offset: u64, blocks: &[u8]) -> Result<()> {
    // SAFETY: pointer and length are those of one slice, which the call only reads.
    check(unsafe { c::solo5_block_write_many(handle, offset, blocks.as_ptr(), blocks.len()) })
}

/// At least one block.
pub(crate) fn block_read(handle: u64, offset: u64, blocks: &mut [u8]) -> Result<()> {
    // SAFETY: pointer and length are those of one slice borrowed for writing.
    check(unsafe { c::solo5_block_read_many(handle, offset, blocks.as_mut_ptr(), blocks.len()) })
}

pub(crate) fn block_flush(handle: u64) -> Result<()> {
    check(c::solo5_block_flush(handle))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results() {
        assert_eq!(check(0), Ok(()));
        assert_eq!(check(2), Err(Error::Invalid));
        for other in [-1, 1, 3, 4] {
            assert_eq!(check(other), Err(Error::Unspecified));
        }
    }

    #[test]
    fn names() {
        let longest = "a".repeat(NAME_MAX);
        let text = device_name(&longest).unwrap();
        assert_eq!(text[NAME_MAX - 1], b'a' as c_char);
        assert_eq!(text[NAME_MAX], 0);
        for bad in ["", "a\0b", &"a".repeat(NAME_MAX + 1)] {
            assert_eq!(device_name(bad), Err(Error::Invalid), "{bad:?}");
        }
    }

    #[test]
    fn a_device_of_another_handle_is_refused() {
        assert_eq!(net_write(2, &[0; 60]), Err(Error::Invalid));
        assert_eq!(net_read(2, &mut [0; 1514]), Err(Error::Invalid));
        assert_eq!(block_read(1, 0, &mut [0; 512]), Err(Error::Invalid));
        assert_eq!(block_write(1, 0, &[0; 512]), Err(Error::Invalid));
    }
}
