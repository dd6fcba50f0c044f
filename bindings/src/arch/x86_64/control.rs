//! Control registers, model-specific registers, and waiting for interrupts.

use core::arch::asm;

use super::cpuid;

/// Reads a model-specific register.
///
/// # Safety
///
/// The CPU has it.
pub(crate) unsafe fn read_msr(number: u32) -> u64 {
    let (low, high): (u64, u64);
    // SAFETY: the caller's promise; no memory is touched.
    unsafe {
        asm!("rdmsr", in("ecx") number, out("rax") low, out("rdx") high, options(nostack));
    }
    high << 32 | low
}

/// Writes a model-specific register.
///
/// # Safety
///
/// The CPU has it, and what the value does is sound.
pub(crate) unsafe fn write_msr(number: u32, value: u64) {
    // SAFETY: the caller's promise.
    unsafe {
        asm!(
            "wrmsr",
            in("ecx") number,
            in("eax") value as u32,
            in("edx") (value >> 32) as u32,
            options(nostack, preserves_flags),
        );
    }
}

/// Whether the CPU can make pages not executable.
pub(crate) fn has_no_execute() -> bool {
    cpuid(0x8000_0001).edx & 1 << 20 != 0
}

/// Makes the CPU refuse what this unikernel never does: to execute pages of unprivileged code, and to
/// tell such code where the tables are.
pub(crate) fn harden() {
    const LEAF: u32 = 7;
    if cpuid(0).eax < LEAF {
        return;
    }
    let leaf = cpuid(LEAF);
    let mut bits: u64 = 0;
    if leaf.ecx & 1 << 2 != 0 {
        bits |= 1 << 11;
    }
    if leaf.ebx & 1 << 7 != 0 {
        bits |= 1 << 20;
    }
    // SAFETY: the CPU has the features, and nothing here runs unprivileged.
    unsafe {
        asm!(
            "mov {scratch}, cr4",
            "or {scratch}, {bits}",
            "mov cr4, {scratch}",
            scratch = out(reg) _,
            bits = in(reg) bits,
            options(nostack),
        );
    }
}

/// Makes the table of the fourth level at `tables` the one that maps memory.
///
/// # Safety
///
/// It maps this code, the stack and all data that is in use, to where they were.
pub(crate) unsafe fn set_tables(tables: u64) {
    // SAFETY: the caller's promise.
    unsafe { asm!("mov cr3, {}", in(reg) tables, options(nostack, preserves_flags)) };
}

/// Forgets how `address` was mapped.
pub(crate) fn forget(address: u64) {
    // SAFETY: only a cache of the tables changes.
    unsafe { asm!("invlpg [{}]", in(reg) address, options(nostack, preserves_flags)) };
}

/// Sleeps until an interrupt has come. Interrupts are off before and after.
pub(crate) fn sleep() {
    // SAFETY: the instruction behind `sti` still runs without interrupts, so none is missed. The
    // handlers have their own stacks and keep every register.
    unsafe { asm!("sti", "hlt", "cli") };
}

/// Goes on with `next` on the stack that ends at `stack`.
///
/// # Safety
///
/// The stack is mapped and not in use.
pub(crate) unsafe fn go_on(stack: u64, next: extern "C" fn() -> !) -> ! {
    // SAFETY: the caller's promise. `call` aligns the stack as functions expect it.
    unsafe {
        asm!(
            "mov rsp, {stack}",
            "xor ebp, ebp",
            "push rbp",
            "push rbp",
            "call {next}",
            "ud2",
            stack = in(reg) stack & !15,
            next = in(reg) next,
            options(noreturn),
        );
    }
}

/// Ends with the machine's reset: an exception without any handler.
pub(crate) fn triple_fault() -> ! {
    /// A table of length 0.
    static NONE: super::descriptor::Pointer = super::descriptor::Pointer::new(0, 1);
    // SAFETY: nothing runs after this.
    unsafe {
        asm!(
            "lidt [{none}]",
            "ud2",
            none = in(reg) &raw const NONE,
            options(noreturn),
        );
    }
}
