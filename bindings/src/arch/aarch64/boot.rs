//! From a loader to Rust (`docs/reference/virtio.md#aarch64-boot`).
//!
//! A loader enters `_start` with the MMU off, in EL1 or EL2, and with the address of the device tree or
//! 0 in X0. Code in EL2 first goes down to EL1, as hypervisors leave their guests there. The tables that
//! switch the MMU on are constants of the image: nothing is written while caches are off. They map
//! the first GiB as devices, where a `virt` machine has them, and the second one, where its memory begins,
//! with every right; both a second time in the window to registers. They serve until `virtio::paging` has
//! built the real ones. What they map is in no other address space, so that no stale translation
//! survives them.

use core::arch::global_asm;

/// Size in bytes of the stack until the memory is known.
const STACK_SIZE: u32 = 0x4000;

/// SCTLR_EL1: bits that have to be set; MMU, data cache, stack alignment, instruction cache.
const SCTLR_ONES: u64 = 0x30d0_0800;
const SCTLR: u64 = SCTLR_ONES | 1 | 1 << 2 | 1 << 3 | 1 << 12;
/// TCR_EL1: 48 bits by TTBR0, nothing by TTBR1, tables in cached memory. Bits 32 to 34 are the CPU's size of
/// physical addresses, at most 48 bits.
const TCR: u64 = 16 | 1 << 8 | 1 << 10 | 3 << 12 | 1 << 23;
const ADDRESS_BITS_48: u64 = 5;
/// MAIR_EL1: kind 0 is memory, cached; kind 1 a device's registers, whose writes need not wait.
const MAIR: u64 = 0x04ff;
/// HCR_EL2: EL1 is 64-bit code.
const HCR: u64 = 1 << 31;
/// CPTR_EL2: floating point does not trap.
const CPTR: u64 = 0x33ff;
/// SPSR: EL1 with its own stack, everything masked.
const SPSR: u64 = 0x3c5;

/// Entries of tables: a table; a block that is accessed, and not in another address space.
const TABLE: u64 = 3;
const BLOCK: u64 = 1 | 1 << 10 | 1 << 11;
/// A block of memory, shared, not executable in EL0; a block of registers, not executable.
const MEMORY: u64 = BLOCK | 3 << 8 | 1 << 54;
const REGISTERS: u64 = BLOCK | 1 << 2 | 1 << 53 | 1 << 54;

global_asm!(
    ".pushsection .rodata.solo5_boot, \"a\", %progbits",
    ".balign 4096",
    "solo5_boot_tables:",
    ".quad solo5_boot_blocks + {table}",
    ".skip 255 * 8",
    ".quad solo5_boot_blocks + {table}",
    ".skip 255 * 8",
    "solo5_boot_blocks:",
    ".quad {registers}",
    ".quad {memory} + 0x40000000",
    ".skip 510 * 8",
    ".popsection",

    ".pushsection .bss.solo5_boot, \"aw\", %nobits",
    ".balign 16",
    ".skip {stack_size}",
    "solo5_boot_stack:",
    ".popsection",

    ".pushsection .text._start, \"ax\", %progbits",
    ".globl _start",
    ".type _start, %function",
    "_start:",
    "msr daifset, #15",
    "mov x19, x0",
    // Elsewhere than where it was linked to, nothing would work.
    "adr x1, _start",
    "movz x2, #:abs_g1:_start",
    "movk x2, #:abs_g0_nc:_start",
    "cmp x1, x2",
    "b.ne 9f",
    "mrs x1, currentel",
    "mov x20, x1",
    "cmp x1, #8",
    "b.lo 3f",
    "b.hi 9f",

    "ldr x1, ={hcr}",
    "msr hcr_el2, x1",
    "isb",
    "mov x1, #3",
    "msr cnthctl_el2, x1",
    "msr cntvoff_el2, xzr",
    "mov x1, #{cptr}",
    "msr cptr_el2, x1",
    "msr hstr_el2, xzr",
    "mrs x1, midr_el1",
    "msr vpidr_el2, x1",
    "mrs x1, mpidr_el1",
    "msr vmpidr_el2, x1",
    // ICC_SRE_EL2, where the interrupt controller has registers of the CPU.
    "mrs x1, id_aa64pfr0_el1",
    "ubfx x1, x1, #24, #4",
    "cbz x1, 2f",
    "mrs x1, s3_4_c12_c9_5",
    "mov x2, #9",
    "orr x1, x1, x2",
    "msr s3_4_c12_c9_5, x1",
    "isb",
    "2:",
    "ldr x1, ={sctlr_ones}",
    "msr sctlr_el1, x1",
    "mov x1, #{spsr}",
    "msr spsr_el2, x1",
    "adr x1, 3f",
    "msr elr_el2, x1",
    "eret",

    "3:",
    "mov x1, #(3 << 20)",
    "msr cpacr_el1, x1",
    "mov x1, #{mair}",
    "msr mair_el1, x1",
    "mrs x1, id_aa64mmfr0_el1",
    "and x1, x1, #7",
    "mov x2, #{address_bits}",
    "cmp x1, x2",
    "csel x1, x2, x1, hi",
    "ldr x2, ={tcr}",
    "orr x1, x2, x1, lsl #32",
    "msr tcr_el1, x1",
    "adrp x1, solo5_boot_tables",
    "msr ttbr0_el1, x1",
    "isb",
    "tlbi vmalle1",
    "dsb nsh",
    "isb",
    "ldr x1, ={sctlr}",
    "msr sctlr_el1, x1",
    "isb",
    // Loaders of the raw form leave what was in memory behind the file.
    "adrp x1, _eload + 15",
    "add x1, x1, :lo12:_eload + 15",
    "and x1, x1, #~15",
    "adrp x2, _ebss",
    "add x2, x2, :lo12:_ebss",
    "4:",
    "cmp x1, x2",
    "b.hs 5f",
    "stp xzr, xzr, [x1], #16",
    "b 4b",
    "5:",
    "adrp x1, solo5_boot_stack",
    "add x1, x1, :lo12:solo5_boot_stack",
    "mov sp, x1",
    "mov x0, x19",
    "mov x1, x20",
    "mov x29, xzr",
    "mov x30, xzr",
    "b solo5_start",
    "9:",
    "wfi",
    "b 9b",
    ".ltorg",
    ".popsection",
    table = const TABLE,
    registers = const REGISTERS,
    memory = const MEMORY,
    stack_size = const STACK_SIZE,
    hcr = const HCR,
    cptr = const CPTR,
    sctlr_ones = const SCTLR_ONES,
    spsr = const SPSR,
    mair = const MAIR,
    address_bits = const ADDRESS_BITS_48,
    tcr = const TCR,
    sctlr = const SCTLR,
);
