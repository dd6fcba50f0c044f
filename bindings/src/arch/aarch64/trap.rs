//! Exception handling, for targets without a kernel (`docs/reference/hvt.md#bindings-traps`).
//!
//! A trap never returns: it is reported, and the guest ends. Traps have their own stack, because the
//! application's stack may be the cause. The CPU offers none for them, as x86_64 does: it goes on with
//! the stack pointer that it has. So an entry stores the registers in a place of its own before it
//! touches a stack. Two registers wait in system registers that nothing else uses.

use core::arch::{asm, global_asm};
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering::Relaxed};

use solo5_abi::hvt::HALT_COOKIE_MAX;
use solo5_abi::hvt::aarch64::TrapFrame;

const STACK_SIZE: usize = 4096;

/// Memory that assembly writes. Atomics make it writable.
#[repr(C, align(16))]
struct Words<const N: usize>([AtomicU64; N]);

impl<const N: usize> Words<N> {
    const fn new() -> Words<N> {
        Words([const { AtomicU64::new(0) }; N])
    }
}

/// Where the [`TrapFrame`] goes: as many bytes as a tender may read there.
static FRAME: Words<{ HALT_COOKIE_MAX / 8 }> = Words::new();
static STACK: Words<{ STACK_SIZE / 8 }> = Words::new();

/// The [`Handler`] that every entry calls.
static HANDLER: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

/// Handles the trap with this vector.
pub(crate) type Handler = extern "C" fn(usize, &TrapFrame) -> !;

// One entry for each vector, 128 bytes apart as the CPU wants them. It keeps X0, loads the vector, and
// goes to the common part. That part keeps the frame pointer and makes the trapping instruction the
// return address, so that a debugger finds the callers in a core file.
global_asm!(
    ".pushsection .text.solo5_traps, \"ax\", %progbits",
    ".balign 2048",
    ".globl solo5_traps",
    ".hidden solo5_traps",
    "solo5_traps:",
    ".irp vector, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
    ".balign 128",
    "msr tpidr_el1, x0",
    "mov x0, #\\vector",
    "b 2f",
    ".endr",
    "2:",
    "msr tpidrro_el0, x1",
    "adrp x1, {frame}",
    "add x1, x1, :lo12:{frame}",
    "stp x2, x3, [x1, #16]",
    "stp x4, x5, [x1, #32]",
    "stp x6, x7, [x1, #48]",
    "stp x8, x9, [x1, #64]",
    "stp x10, x11, [x1, #80]",
    "stp x12, x13, [x1, #96]",
    "stp x14, x15, [x1, #112]",
    "stp x16, x17, [x1, #128]",
    "stp x18, x19, [x1, #144]",
    "stp x20, x21, [x1, #160]",
    "stp x22, x23, [x1, #176]",
    "stp x24, x25, [x1, #192]",
    "stp x26, x27, [x1, #208]",
    "stp x28, x29, [x1, #224]",
    "mov x2, sp",
    "stp x30, x2, [x1, #240]",
    "mrs x2, tpidr_el1",
    "mrs x3, tpidrro_el0",
    "stp x2, x3, [x1]",
    "mrs x30, elr_el1",
    "mrs x3, spsr_el1",
    "stp x30, x3, [x1, #256]",
    "mrs x2, esr_el1",
    "mrs x3, far_el1",
    "stp x2, x3, [x1, #272]",
    "adrp x2, {stack}",
    "add x2, x2, :lo12:{stack}",
    "add x2, x2, {stack_size}",
    "mov sp, x2",
    "adrp x2, {handler}",
    "ldr x2, [x2, :lo12:{handler}]",
    "br x2",
    ".popsection",
    frame = sym FRAME,
    stack = sym STACK,
    stack_size = const STACK_SIZE,
    handler = sym HANDLER,
);

unsafe extern "C" {
    /// The entry of vector 0.
    #[link_name = "solo5_traps"]
    static ENTRIES: u8;
}

/// Makes the entries the CPU's. At the guest's entry there are none.
pub(crate) fn handle_traps(handler: Handler) {
    HANDLER.store(handler as *mut (), Relaxed);
    // SAFETY: the entries are complete and stay, and the handler is stored.
    unsafe {
        asm!(
            "msr vbar_el1, {0}",
            "isb",
            in(reg) &raw const ENTRIES,
            options(nostack, preserves_flags),
        );
    }
}
