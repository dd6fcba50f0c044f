//! The stub target: generic build systems link programs with it to probe for features
//! (`docs/reference/guest-api.md#stub`). Its functions do nothing, and no tender runs it.

use core::ffi::{c_char, c_int};
use core::sync::atomic::AtomicU64;

use crate::api_types::{BlockInfo, NetFrame, NetInfo, Status};

#[unsafe(no_mangle)]
static __stack_chk_guard: AtomicU64 = AtomicU64::new(0);

fn forever() -> ! {
    loop {
        core::hint::spin_loop();
    }
}

pub(crate) fn panic() -> ! {
    forever()
}

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    forever()
}

#[unsafe(no_mangle)]
extern "C" fn __stack_chk_fail() -> ! {
    forever()
}

#[unsafe(no_mangle)]
extern "C" fn solo5_exit(_status: c_int) -> ! {
    forever()
}

#[unsafe(no_mangle)]
extern "C" fn solo5_abort() -> ! {
    forever()
}

#[unsafe(no_mangle)]
extern "C" fn solo5_console_write(_buf: *const c_char, _size: usize) {}

#[unsafe(no_mangle)]
extern "C" fn solo5_clock_monotonic() -> u64 {
    u64::MAX
}

#[unsafe(no_mangle)]
extern "C" fn solo5_clock_wall() -> u64 {
    u64::MAX
}

#[unsafe(no_mangle)]
extern "C" fn solo5_seed(_buf: *mut u8, _size: usize) -> Status {
    Status::Unspecified
}

#[unsafe(no_mangle)]
extern "C" fn solo5_yield(_deadline: u64, _ready_set: *mut u64) {}

#[unsafe(no_mangle)]
extern "C" fn solo5_tls_size() -> usize {
    0
}

#[unsafe(no_mangle)]
extern "C" fn solo5_tls_tp_offset(_tls: usize) -> usize {
    0
}

#[unsafe(no_mangle)]
extern "C" fn solo5_tls_init(_tls: usize) -> Status {
    Status::Unspecified
}

#[unsafe(no_mangle)]
extern "C" fn solo5_set_tls_base(_base: usize) -> Status {
    Status::Unspecified
}

#[unsafe(no_mangle)]
extern "C" fn solo5_net_acquire(
    _name: *const c_char,
    _handle: *mut u64,
    _info: *mut NetInfo,
) -> Status {
    Status::Unspecified
}

#[unsafe(no_mangle)]
extern "C" fn solo5_net_write(_handle: u64, _buf: *const u8, _size: usize) -> Status {
    Status::Unspecified
}

#[unsafe(no_mangle)]
extern "C" fn solo5_net_read(
    _handle: u64,
    _buf: *mut u8,
    _size: usize,
    _read_size: *mut usize,
) -> Status {
    Status::Unspecified
}

#[unsafe(no_mangle)]
extern "C" fn solo5_net_write_many(
    _handle: u64,
    _frames: *const NetFrame,
    _count: usize,
    _written: *mut usize,
) -> Status {
    Status::Unspecified
}

#[unsafe(no_mangle)]
extern "C" fn solo5_net_read_many(
    _handle: u64,
    _frames: *mut NetFrame,
    _count: usize,
    _read: *mut usize,
) -> Status {
    Status::Unspecified
}

#[unsafe(no_mangle)]
extern "C" fn solo5_block_acquire(
    _name: *const c_char,
    _handle: *mut u64,
    _info: *mut BlockInfo,
) -> Status {
    Status::Unspecified
}

#[unsafe(no_mangle)]
extern "C" fn solo5_block_write(
    _handle: u64,
    _offset: u64,
    _buf: *const u8,
    _size: usize,
) -> Status {
    Status::Unspecified
}

#[unsafe(no_mangle)]
extern "C" fn solo5_block_read(_handle: u64, _offset: u64, _buf: *mut u8, _size: usize) -> Status {
    Status::Unspecified
}

#[unsafe(no_mangle)]
extern "C" fn solo5_block_write_many(
    _handle: u64,
    _offset: u64,
    _buf: *const u8,
    _size: usize,
) -> Status {
    Status::Unspecified
}

#[unsafe(no_mangle)]
extern "C" fn solo5_block_read_many(
    _handle: u64,
    _offset: u64,
    _buf: *mut u8,
    _size: usize,
) -> Status {
    Status::Unspecified
}

#[unsafe(no_mangle)]
extern "C" fn solo5_block_flush(_handle: u64) -> Status {
    Status::Unspecified
}
