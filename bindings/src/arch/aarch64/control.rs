//! System registers: page tables, the timer, sleeping; and calls to the firmware.

use core::arch::asm;

/// Address space of the real page tables. Those of the start are in address space 0.
const ADDRESS_SPACE: u64 = 1 << 48;
/// SCTLR_EL1: what can be written cannot be executed, whatever the tables say.
const WRITABLE_IS_NOT_EXECUTABLE: u64 = 1 << 19;

/// Whether the CPU can make pages not executable.
pub(crate) fn has_no_execute() -> bool {
    true
}

/// Makes the table of the highest level at `tables` the one that maps memory.
///
/// # Safety
///
/// It maps this code, the stack and all data that is in use, to where they were.
pub(crate) unsafe fn set_tables(tables: u64) {
    // SAFETY: the caller's promise. The stores to the tables come first.
    unsafe {
        asm!(
            "dsb ishst",
            "msr ttbr0_el1, {tables}",
            "isb",
            "mrs {scratch}, sctlr_el1",
            "orr {scratch}, {scratch}, {bits}",
            "msr sctlr_el1, {scratch}",
            "isb",
            // A TLB may keep that bit too.
            "tlbi vmalle1",
            "dsb nsh",
            "isb",
            tables = in(reg) tables | ADDRESS_SPACE,
            scratch = out(reg) _,
            bits = in(reg) WRITABLE_IS_NOT_EXECUTABLE,
            options(nostack, preserves_flags),
        );
    }
}

/// Forgets how `address` was mapped. The stores to the tables come first.
pub(crate) fn forget(address: u64) {
    const PAGE_NUMBER: u64 = (1 << 44) - 1;
    // SAFETY: only a cache of the tables changes.
    unsafe {
        asm!(
            "dsb ishst",
            "tlbi vaae1, {}",
            "dsb nsh",
            "isb",
            in(reg) address >> 12 & PAGE_NUMBER,
            options(nostack, preserves_flags),
        );
    }
}

/// Goes on with `next` on the stack that ends at `stack`.
///
/// # Safety
///
/// The stack is mapped and not in use.
pub(crate) unsafe fn go_on(stack: u64, next: extern "C" fn() -> !) -> ! {
    // SAFETY: the caller's promise.
    unsafe {
        asm!(
            "mov sp, {stack}",
            "mov x29, xzr",
            "mov x30, xzr",
            "br {next}",
            stack = in(reg) stack & !15,
            next = in(reg) next,
            options(noreturn),
        );
    }
}

/// Sleeps until the virtual counter is at `until`, or an interrupt is pending. Interrupts stay masked: one
/// that is pending ends the sleep and is not taken.
pub(crate) fn sleep(until: u64) {
    // SAFETY: only the timer changes, and it interrupts nobody.
    unsafe {
        asm!(
            "msr cntv_cval_el0, {until}",
            "msr cntv_ctl_el0, {on}",
            "isb",
            "dsb sy",
            "wfi",
            "msr cntv_ctl_el0, xzr",
            "isb",
            until = in(reg) until,
            on = in(reg) 1u64,
            options(nostack, preserves_flags),
        );
    }
}

/// Sleeps for good.
pub(crate) fn stop() -> ! {
    loop {
        // SAFETY: nothing changes.
        unsafe { asm!("wfi", options(nomem, nostack, preserves_flags)) };
    }
}

/// Switches on the registers that the CPU has for a GICv3: all interrupts of group 1.
///
/// # Safety
///
/// There is such a controller.
pub(crate) unsafe fn start_gic() {
    // SAFETY: the caller's promise. ICC_SRE_EL1, ICC_PMR_EL1, ICC_IGRPEN1_EL1; interrupts stay masked.
    unsafe {
        asm!(
            "mrs {scratch}, s3_0_c12_c12_5",
            "orr {scratch}, {scratch}, #1",
            "msr s3_0_c12_c12_5, {scratch}",
            "isb",
            "mov {scratch}, #0xff",
            "msr s3_0_c4_c6_0, {scratch}",
            "mov {scratch}, #1",
            "msr s3_0_c12_c12_7, {scratch}",
            "isb",
            scratch = out(reg) _,
            options(nostack, preserves_flags),
        );
    }
}

/// This CPU's affinity, as a GICv3 routes interrupts.
pub(crate) fn affinity() -> u64 {
    let affinity: u64;
    // SAFETY: reads a constant.
    unsafe {
        asm!("mrs {}, mpidr_el1", out(reg) affinity, options(nomem, nostack, preserves_flags));
    }
    affinity & 0xff_00ff_ffff
}

/// Calls a function of the firmware by way of the hypervisor. It may not return.
///
/// # Safety
///
/// There is a hypervisor, and what the function does is sound.
pub(crate) unsafe fn call_hypervisor(function: u32) {
    let function = u64::from(function);
    // SAFETY: the caller's promise.
    unsafe { asm!("hvc #0", inout("x0") function => _, clobber_abi("C"), options(nostack)) };
}

/// Calls a function of the firmware itself. It may not return.
///
/// # Safety
///
/// The firmware takes calls, and what the function does is sound.
pub(crate) unsafe fn call_firmware(function: u32) {
    let function = u64::from(function);
    // SAFETY: the caller's promise.
    unsafe { asm!("smc #0", inout("x0") function => _, clobber_abi("C"), options(nostack)) };
}
