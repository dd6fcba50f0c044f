//! Interrupts of devices and of the timer: they end a sleep, and do nothing else.
//!
//! Interrupts are on only while the unikernel sleeps. An entry keeps the registers that a function
//! may change, and calls the handler with the vector. The code of the bindings uses no vector
//! registers on this path, so those keep their values. There is one stack for all, because none comes while
//! another is handled.

use core::arch::global_asm;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering::Relaxed};

use super::descriptor;
use super::{exception, symbol};

/// The first vector behind the exceptions.
pub(crate) const FIRST: usize = exception::COUNT;
/// Number of vectors for interrupts.
pub(crate) const COUNT: usize = 96;
/// Distance in bytes between the entries of two vectors.
const ENTRY_SIZE: u64 = 16;

/// Handles the interrupt of a vector.
pub(crate) type Handler = extern "C" fn(usize);

/// The [`Handler`] that every entry calls.
static HANDLER: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

global_asm!(
    ".pushsection .text.solo5_interrupts, \"ax\", @progbits",
    ".balign {size}",
    ".globl solo5_interrupts",
    ".hidden solo5_interrupts",
    "solo5_interrupts:",
    ".set vector, {first}",
    ".rept {count}",
    ".balign {size}",
    "push rax",
    "mov eax, vector",
    "jmp 2f",
    ".set vector, vector + 1",
    ".endr",
    "2:",
    "push rcx",
    "push rdx",
    "push rsi",
    "push rdi",
    "push r8",
    "push r9",
    "push r10",
    "push r11",
    "push rbp",
    "mov rbp, rsp",
    "mov edi, eax",
    "cld",
    "and rsp, -16",
    "call [rip + {handler}]",
    "mov rsp, rbp",
    "pop rbp",
    "pop r11",
    "pop r10",
    "pop r9",
    "pop r8",
    "pop rdi",
    "pop rsi",
    "pop rdx",
    "pop rcx",
    "pop rax",
    "iretq",
    ".popsection",
    size = const ENTRY_SIZE,
    first = const FIRST,
    count = const COUNT,
    handler = sym HANDLER,
);

/// Sets the handler. Interrupts are off.
pub(crate) fn set_handler(handler: Handler) {
    HANDLER.store(handler as *mut (), Relaxed);
}

/// The gates of the vectors from [`FIRST`] on, all on interrupt stack `stack`.
pub(super) fn gates(stack: u8) -> impl Iterator<Item = u64> {
    let entries = symbol!("solo5_interrupts");
    (0..COUNT as u64).flat_map(move |index| descriptor::gate(entries + index * ENTRY_SIZE, stack))
}
