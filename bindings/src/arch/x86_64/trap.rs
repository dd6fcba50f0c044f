//! Exception handling, for targets without a kernel (`docs/reference/hvt.md#bindings-traps`).
//!
//! A trap never returns: it is reported, and the guest ends. So the entries save no registers.
//! Interrupts are off, except while a virtio guest sleeps. Traps have their own stack, because the application's stack may be
//! the cause. NMI and double fault have another, because they may come during a trap.

use core::arch::{asm, global_asm};
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering::Relaxed};

use solo5_abi::hvt::x86_64::{GDT, SELECTOR_CODE, SELECTOR_DATA, TrapFrame};

use super::descriptor::{self, Pointer, SELECTOR_TASK, STACKS, TASK_WORDS};
use super::exception::{self, COUNT, DOUBLE_FAULT, NMI, PAGE_FAULT};
#[cfg(feature = "virtio")]
use super::interrupt;

/// What a target without interrupts has of them.
#[cfg(not(feature = "virtio"))]
mod interrupt {
    pub(super) const COUNT: usize = 0;

    pub(super) fn gates(_stack: u8) -> impl Iterator<Item = u64> {
        core::iter::empty()
    }
}

const STACK_SIZE: usize = 4096;

/// The interrupt stack of traps, and the one of NMI and double fault.
const STACK_TRAP: u8 = 1;
const STACK_NMI: u8 = 2;
const STACK_INTERRUPT: u8 = 3;

/// Distance in bytes between the entries of two vectors.
const ENTRY_SIZE: u64 = 16;

// Tables that the CPU reads while the guest runs. They are written once, before that. Atomics make
// the statics writable.
#[repr(C, align(16))]
struct Words64<const N: usize>([AtomicU64; N]);

impl<const N: usize> Words64<N> {
    const fn new() -> Words64<N> {
        Words64([const { AtomicU64::new(0) }; N])
    }

    fn set(&self, words: impl Iterator<Item = u64>) {
        for (slot, word) in self.0.iter().zip(words) {
            slot.store(word, Relaxed);
        }
    }

    fn pointer(&'static self) -> Pointer {
        Pointer::new(address(self), size_of::<Self>())
    }
}

#[repr(C, align(16))]
struct Task([AtomicU32; TASK_WORDS]);

/// The segments at entry, and the two words of the task state segment's descriptor.
static SEGMENTS: Words64<{ GDT.len() + 2 }> = Words64::new();
static GATES: Words64<{ 2 * (COUNT + interrupt::COUNT) }> = Words64::new();
static TASK: Task = Task([const { AtomicU32::new(0) }; TASK_WORDS]);
static TRAP_STACK: Words64<{ STACK_SIZE / 8 }> = Words64::new();
static NMI_STACK: Words64<{ STACK_SIZE / 8 }> = Words64::new();
#[cfg(feature = "virtio")]
static INTERRUPT_STACK: Words64<{ STACK_SIZE / 8 }> = Words64::new();

/// The [`Handler`] that every entry calls.
static HANDLER: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

/// Handles the trap with this vector. The frame lies on the trap's stack.
pub(crate) type Handler = extern "C" fn(usize, &TrapFrame) -> !;

fn address<T>(place: &'static T) -> u64 {
    ptr::from_ref(place).expose_provenance() as u64
}

fn end(stack: &'static Words64<{ STACK_SIZE / 8 }>) -> u64 {
    address(stack).wrapping_add(STACK_SIZE as u64)
}

// One entry for each vector, at equal distances. It pushes an error code of 0 where the CPU pushes
// none, then the vector, and jumps to the common part. That part makes the CPU's frame a
// `TrapFrame`: the address of a page fault, or 0, replaces the vector. It clears the direction
// flag, which the application may have set. It keeps the frame pointer, so that a debugger finds
// the callers in a core file.
global_asm!(
    ".pushsection .text.solo5_traps, \"ax\", @progbits",
    ".balign {size}",
    ".globl solo5_traps",
    ".hidden solo5_traps",
    "solo5_traps:",
    ".set vector, 0",
    ".rept {count}",
    ".balign {size}",
    ".if (({errors} >> vector) & 1) == 0",
    "push 0",
    ".endif",
    "push vector",
    "jmp 2f",
    ".set vector, vector + 1",
    ".endr",
    "2:",
    "pop rdi",
    "xor eax, eax",
    "cmp edi, {page_fault}",
    "jne 3f",
    "mov rax, cr2",
    "3:",
    "push rax",
    "mov rsi, rsp",
    "cld",
    "and rsp, -16",
    "call [rip + {handler}]",
    "ud2",
    ".popsection",
    size = const ENTRY_SIZE,
    count = const COUNT,
    errors = const exception::WITH_ERROR_CODE,
    page_fault = const PAGE_FAULT,
    handler = sym HANDLER,
);

unsafe extern "C" {
    /// The entry of vector 0.
    #[link_name = "solo5_traps"]
    static ENTRIES: u8;
}

/// Replaces the tender's descriptor tables, which the guest has not mapped, by tables that handle
/// traps.
pub(crate) fn handle_traps(handler: Handler) {
    HANDLER.store(handler as *mut (), Relaxed);
    let mut stacks = [0; STACKS];
    let [trap_stack, nmi_stack, _interrupt_stack, ..] = &mut stacks;
    *trap_stack = end(&TRAP_STACK);
    *nmi_stack = end(&NMI_STACK);
    #[cfg(feature = "virtio")]
    {
        *_interrupt_stack = end(&INTERRUPT_STACK);
    }
    for (slot, word) in TASK.0.iter().zip(descriptor::task_state(stacks)) {
        slot.store(word, Relaxed);
    }
    let task = descriptor::task(address(&TASK));
    SEGMENTS.set(GDT.into_iter().chain(task));
    let entries = (&raw const ENTRIES).addr() as u64;
    let traps = (0..COUNT).flat_map(|vector| {
        let stack = match vector {
            NMI | DOUBLE_FAULT => STACK_NMI,
            _ => STACK_TRAP,
        };
        descriptor::gate(entries + vector as u64 * ENTRY_SIZE, stack)
    });
    GATES.set(traps.chain(interrupt::gates(STACK_INTERRUPT)));
    let (segments, gates) = (SEGMENTS.pointer(), GATES.pointer());
    // SAFETY: the tables are complete and stay. The code and data segments are as before, so code
    // and stack go on. Loading FS or GS would clear its base, so they keep what they have.
    unsafe {
        asm!(
            "lgdt [{segments}]",
            "push {code}",
            "lea {scratch}, [rip + 2f]",
            "push {scratch}",
            "retfq",
            "2:",
            "mov ss, {data:e}",
            "mov ds, {data:e}",
            "mov es, {data:e}",
            "ltr {task:x}",
            "lidt [{gates}]",
            segments = in(reg) &raw const segments,
            gates = in(reg) &raw const gates,
            code = in(reg) u64::from(SELECTOR_CODE),
            data = in(reg) u32::from(SELECTOR_DATA),
            task = in(reg) SELECTOR_TASK,
            scratch = out(reg) _,
            options(preserves_flags),
        );
    }
}
