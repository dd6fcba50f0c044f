//! The C side of the functions of `solo5.h`, for targets that run an application.
//!
//! Each function turns pointers into values, calls the target, and turns the outcome into a result.
//! The application vouches for its pointers; a pointer that is documented as optional is compared
//! with NULL.

use core::ffi::{CStr, c_char, c_int};
use core::ptr;
use core::slice;

use solo5_abi::offer::SEED_SIZE;

use crate::api_types::{BlockInfo, Error, NetFrame, NetInfo, Status};
use crate::arch::{self, symbol};
use crate::attached::Transfer;
use crate::tls::Layout;
use crate::{seed, start, target};

// `_stls_align` comes from linker scripts that know the alignment of the TLS segment. Under an
// older script the symbol is undefined, and its value is 0.
core::arch::global_asm!(".weak _stls_align");

#[unsafe(no_mangle)]
extern "C" fn solo5_exit(status: c_int) -> ! {
    start::exit(status)
}

#[unsafe(no_mangle)]
extern "C" fn solo5_abort() -> ! {
    start::abort()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn solo5_console_write(buf: *const c_char, size: usize) {
    if size == 0 {
        return;
    }
    // SAFETY: `size` bytes at `buf`, by the API's contract.
    target::console_write(unsafe { slice::from_raw_parts(buf.cast(), size) });
}

#[unsafe(no_mangle)]
extern "C" fn solo5_clock_monotonic() -> u64 {
    target::clock_monotonic()
}

#[unsafe(no_mangle)]
extern "C" fn solo5_clock_wall() -> u64 {
    target::clock_wall()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn solo5_seed(buf: *mut u8, size: usize) -> Status {
    if buf.is_null() || size != SEED_SIZE {
        return Status::Invalid;
    }
    // SAFETY: `size` bytes at `buf` are the application's, by the API's contract.
    unsafe { seed::take(buf) }.into()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn solo5_yield(deadline: u64, ready_set: *mut u64) {
    let ready = target::wait(deadline);
    if !ready_set.is_null() {
        // SAFETY: not NULL, so by the API's contract it points to a handle set of the application.
        unsafe { ready_set.write(ready) };
    }
}

fn tls_layout() -> Layout {
    Layout::new(
        arch::TLS,
        symbol!("_ltdata") as usize,
        symbol!("_ltbss") as usize,
        symbol!("_stls_align") as usize,
    )
}

#[unsafe(no_mangle)]
extern "C" fn solo5_tls_size() -> usize {
    tls_layout().size
}

#[unsafe(no_mangle)]
extern "C" fn solo5_tls_tp_offset(tls: usize) -> usize {
    tls.wrapping_add(tls_layout().thread_pointer)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn solo5_tls_init(tls: usize) -> Status {
    let layout = tls_layout();
    if tls == 0 || tls & (layout.align - 1) != 0 {
        return Status::Invalid;
    }
    let block: *mut u8 = ptr::with_exposed_provenance_mut(tls);
    let image: *const u8 = ptr::with_exposed_provenance(symbol!("_stdata") as usize);
    let data = block.wrapping_add(layout.data);
    // The padding between the two sections belongs to no segment, so it may not be mapped.
    let stored = symbol!("_edata").wrapping_sub(symbol!("_stdata")) as usize;
    let copied = stored.min(layout.data_len);
    // SAFETY: the linker put `copied` bytes of initial values at `image`. By the API's contract the
    // application owns the block of `layout.size` bytes, which lies elsewhere and holds the
    // variables.
    unsafe { data.copy_from_nonoverlapping(image, copied) };
    let zero = data.wrapping_add(copied);
    let zero_len = layout.end.wrapping_sub(layout.data).wrapping_sub(copied);
    // SAFETY: the range from the end of the initial values to the end of all variables is in the
    // block.
    unsafe { zero.write_bytes(0, zero_len) };
    if layout.self_pointer {
        let thread_pointer = block.wrapping_add(layout.thread_pointer);
        // SAFETY: a word of the block, aligned because the block and its offset are.
        unsafe { thread_pointer.cast::<usize>().write(thread_pointer.addr()) };
    }
    Status::Ok
}

#[unsafe(no_mangle)]
extern "C" fn solo5_set_tls_base(base: usize) -> Status {
    if target::set_tls_base(base) { Status::Ok } else { Status::Invalid }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn solo5_net_acquire(
    name: *const c_char,
    handle: *mut u64,
    info: *mut NetInfo,
) -> Status {
    if name.is_null() || handle.is_null() || info.is_null() {
        return Status::Invalid;
    }
    // SAFETY: not NULL, so by the API's contract a string.
    let name = unsafe { CStr::from_ptr(name) };
    let acquired = target::net_acquire(name.to_bytes()).map(|(found, properties)| {
        // SAFETY: not NULL, so by the API's contract it points to a handle of the application.
        unsafe { handle.write(found) };
        // SAFETY: likewise.
        unsafe { info.write(properties) };
    });
    acquired.into()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn solo5_net_write(handle: u64, buf: *const u8, size: usize) -> Status {
    target::net_write(handle, buf, size).into()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn solo5_net_read(
    handle: u64,
    buf: *mut u8,
    size: usize,
    read_size: *mut usize,
) -> Status {
    // SAFETY: `size` bytes at `buf` are the application's, by the API's contract.
    let read = unsafe { target::net_read(handle, buf, size) }.map(|len| {
        // SAFETY: by the API's contract it points to a length of the application.
        unsafe { read_size.write(len) };
    });
    read.into()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn solo5_net_write_many(
    handle: u64,
    frames: *const NetFrame,
    count: usize,
    written: *mut usize,
) -> Status {
    let mut done = 0;
    let mut result = Ok(());
    while done < count && result.is_ok() {
        // SAFETY: `count` frames are at `frames`, by the API's contract.
        let frame = unsafe { frames.wrapping_add(done).read() };
        result = target::net_submit(handle, frame.buf, frame.size);
        done += usize::from(result.is_ok());
    }
    target::net_submitted();
    // SAFETY: by the API's contract it points to a number of the application.
    unsafe { written.write(done) };
    result.into()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn solo5_net_read_many(
    handle: u64,
    frames: *mut NetFrame,
    count: usize,
    read: *mut usize,
) -> Status {
    let mut done = 0;
    let mut result = Ok(());
    while done < count {
        let place = frames.wrapping_add(done);
        // SAFETY: `count` frames are at `frames`, by the API's contract.
        let frame = unsafe { place.read() };
        // SAFETY: `frame.size` bytes at `frame.buf` are the application's, by the API's contract.
        match unsafe { target::net_read(handle, frame.buf, frame.size) } {
            // SAFETY: as for `frame`, which is the application's.
            Ok(size) => unsafe { place.write(NetFrame { size, ..frame }) },
            Err(Error::Again) if done > 0 => break,
            Err(error) => {
                result = Err(error);
                break;
            }
        }
        done += 1;
    }
    // SAFETY: by the API's contract it points to a number of the application.
    unsafe { read.write(done) };
    result.into()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn solo5_block_acquire(
    name: *const c_char,
    handle: *mut u64,
    info: *mut BlockInfo,
) -> Status {
    if name.is_null() || handle.is_null() || info.is_null() {
        return Status::Invalid;
    }
    // SAFETY: not NULL, so by the API's contract a string.
    let name = unsafe { CStr::from_ptr(name) };
    let acquired = target::block_acquire(name.to_bytes()).map(|(found, properties)| {
        // SAFETY: not NULL, so by the API's contract it points to a handle of the application.
        unsafe { handle.write(found) };
        // SAFETY: likewise.
        unsafe { info.write(properties) };
    });
    acquired.into()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn solo5_block_write(
    handle: u64,
    offset: u64,
    buf: *const u8,
    size: usize,
) -> Status {
    let buf = buf.expose_provenance();
    let all = Transfer { writes: true, many: false, handle, offset, buf, size };
    // SAFETY: the block is only read.
    unsafe { target::block_transfer(all) }.into()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn solo5_block_read(
    handle: u64,
    offset: u64,
    buf: *mut u8,
    size: usize,
) -> Status {
    let buf = buf.expose_provenance();
    let all = Transfer { writes: false, many: false, handle, offset, buf, size };
    // SAFETY: `size` bytes at `buf` are the application's, by the API's contract.
    unsafe { target::block_transfer(all) }.into()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn solo5_block_write_many(
    handle: u64,
    offset: u64,
    buf: *const u8,
    size: usize,
) -> Status {
    let buf = buf.expose_provenance();
    let all = Transfer { writes: true, many: true, handle, offset, buf, size };
    // SAFETY: the blocks are only read.
    unsafe { target::block_transfer(all) }.into()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn solo5_block_read_many(
    handle: u64,
    offset: u64,
    buf: *mut u8,
    size: usize,
) -> Status {
    let buf = buf.expose_provenance();
    let all = Transfer { writes: false, many: true, handle, offset, buf, size };
    // SAFETY: `size` bytes at `buf` are the application's, by the API's contract.
    unsafe { target::block_transfer(all) }.into()
}

#[unsafe(no_mangle)]
extern "C" fn solo5_block_flush(handle: u64) -> Status {
    target::block_flush(handle).into()
}
