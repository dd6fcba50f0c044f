//! From a loader to 64-bit code (`docs/reference/virtio.md#boot`).
//!
//! Two protocols enter the image, each with the CPU in 32-bit mode and without paging: Multiboot 1,
//! whose header makes loaders treat the file as flat bytes, and PVH, whose note has the entry's
//! address. Both entries build page tables that map the first 4 GiB to themselves, with every right:
//! nothing is known about the machine yet. They serve until `virtio::paging` has built the real ones,
//! and again when the machine is switched off.

use core::arch::global_asm;

use solo5_abi::hvt::x86_64::{GDT, SELECTOR_CODE, SELECTOR_DATA};
use solo5_abi::note;

use super::symbol;

/// What Multiboot loaders have in EAX.
const MULTIBOOT_LOADER: u32 = 0x2bad_b002;
/// What a Multiboot header begins with, and its flags: pages, memory, and addresses in the header.
const MULTIBOOT_HEADER: u32 = 0x1bad_b002;
const MULTIBOOT_FLAGS: u32 = 0x0001_0003;

/// The second argument of the entry in Rust.
pub(crate) const MULTIBOOT: u32 = 1;
pub(crate) const PVH: u32 = 2;

/// Size in bytes of the stack until the memory is known, and after the end.
const STACK_SIZE: u32 = 0x4000;

/// Rights of an entry: present and writable, and that it maps a large page.
const TABLE: u32 = 3;
const LARGE: u32 = 0x83;

/// CR4: physical address extension, and SSE.
const CR4_PAE: u32 = 1 << 5;
const CR4_SSE: u32 = 3 << 9;
/// EFER: long mode, and pages that are not executable.
const EFER: u32 = 0xc000_0080;
const EFER_LONG: u32 = 1 << 8;
const EFER_NXE: u32 = 1 << 11;
/// CR0: protected mode, FPU present, its errors as exceptions, read-only pages also for us, paging.
const CR0: u32 = 0x8001_0033;

// `code32` must not see RIP-relative addresses, so every symbol is absolute here.
global_asm!(
    ".pushsection .multiboot, \"a\", @progbits",
    ".balign 4",
    "7:",
    ".long {header}, {flags}, -({header} + {flags})",
    ".long 7b, _stext, _eload, _ebss, solo5_multiboot",
    ".popsection",

    ".pushsection .note.solo5.xen, \"a\", @note",
    ".balign 4",
    ".long 4, 4, {phys32_entry}",
    ".asciz \"Xen\"",
    ".long solo5_pvh",
    ".popsection",

    ".pushsection .rodata.solo5_boot, \"a\", @progbits",
    ".balign 8",
    "solo5_boot_segments: .quad {null}, {code}, {data}",
    "solo5_boot_segments_end:",
    "solo5_boot_segments_pointer:",
    ".short solo5_boot_segments_end - solo5_boot_segments - 1",
    ".long solo5_boot_segments, 0",
    // The state of FPU and SSE as C expects it. One instruction loads both, and a KVM that interprets
    // guests knows this one.
    ".balign 16",
    "solo5_boot_fpu: .short 0x37f",
    ".skip 22",
    ".long 0x1f80",
    ".skip 484",
    ".popsection",

    // Six tables: one of the fourth level, one of the third, four of the second.
    ".pushsection .bss.solo5_boot, \"aw\", @nobits",
    ".balign 4096",
    ".globl solo5_boot_tables",
    ".hidden solo5_boot_tables",
    "solo5_boot_tables: .skip 6 * 4096",
    ".skip {stack_size}",
    ".globl solo5_boot_stack",
    ".hidden solo5_boot_stack",
    "solo5_boot_stack:",
    ".popsection",

    ".pushsection .text.solo5_boot, \"ax\", @progbits",
    ".code32",
    "solo5_multiboot:",
    "cli",
    "cld",
    "cmpl ${loader}, %eax",
    "jne 6f",
    "movl $solo5_boot_stack, %esp",
    "movl ${multiboot}, %esi",
    "jmp 2f",

    // PVH says nothing about the memory that the file does not fill.
    "solo5_pvh:",
    "cli",
    "cld",
    "movl $_eload, %edi",
    "movl $_ebss, %ecx",
    "subl %edi, %ecx",
    "xorl %eax, %eax",
    "rep stosb",
    "movl $solo5_boot_stack, %esp",
    "movl ${pvh}, %esi",

    "2:",
    "pushl %esi",
    "pushl %ebx",
    "movl $solo5_boot_tables + 2 * 4096, %edi",
    "movl ${large}, %eax",
    "3:",
    "movl %eax, (%edi)",
    "movl $0, 4(%edi)",
    "addl $8, %edi",
    "addl $0x200000, %eax",
    "jnc 3b",
    "movl $solo5_boot_tables + 1 * 4096 + {table}, %eax",
    "movl %eax, solo5_boot_tables",
    "movl $solo5_boot_tables + 2 * 4096 + {table}, %eax",
    "movl $solo5_boot_tables + 1 * 4096, %edi",
    "movl $4, %ecx",
    "4:",
    "movl %eax, (%edi)",
    "addl $8, %edi",
    "addl $4096, %eax",
    "loop 4b",

    // EFER.NXE only if the CPU knows it.
    "movl $0x80000001, %eax",
    "cpuid",
    "movl ${efer_long}, %esi",
    "testl $(1 << 20), %edx",
    "jz 5f",
    "orl ${efer_nxe}, %esi",
    "5:",
    "movl %cr4, %eax",
    "orl ${cr4}, %eax",
    "movl %eax, %cr4",
    "movl $solo5_boot_tables, %eax",
    "movl %eax, %cr3",
    "movl ${efer}, %ecx",
    "rdmsr",
    "orl %esi, %eax",
    "wrmsr",
    "movl ${cr0}, %eax",
    "movl %eax, %cr0",
    "popl %edi",
    "popl %esi",
    "lgdt solo5_boot_segments_pointer",
    "ljmp ${code_selector}, $solo5_boot_long",
    "6:",
    "hlt",
    "jmp 6b",

    ".code64",
    "solo5_boot_long:",
    "movl ${data_selector}, %eax",
    "movl %eax, %ds",
    "movl %eax, %es",
    "movl %eax, %ss",
    "xorl %eax, %eax",
    "movl %eax, %fs",
    "movl %eax, %gs",
    "movl %edi, %edi",
    "movl %esi, %esi",
    "fxrstor solo5_boot_fpu",
    "xorl %ebp, %ebp",
    "movl $solo5_boot_stack, %esp",
    "call _start",
    "ud2",
    ".popsection",
    header = const MULTIBOOT_HEADER,
    flags = const MULTIBOOT_FLAGS,
    loader = const MULTIBOOT_LOADER,
    phys32_entry = const note::TYPE_XEN_PHYS32_ENTRY,
    null = const GDT[0],
    code = const GDT[1],
    data = const GDT[2],
    code_selector = const SELECTOR_CODE,
    data_selector = const SELECTOR_DATA,
    stack_size = const STACK_SIZE,
    multiboot = const MULTIBOOT,
    pvh = const PVH,
    table = const TABLE,
    large = const LARGE,
    efer = const EFER,
    efer_long = const EFER_LONG,
    efer_nxe = const EFER_NXE,
    cr4 = const CR4_PAE | CR4_SSE,
    cr0 = const CR0,
    options(att_syntax),
);

/// The address of the tables that map the first 4 GiB to themselves.
pub(crate) fn tables() -> u64 {
    symbol!("solo5_boot_tables")
}

/// The end of the stack that was in use before the memory was known.
pub(crate) fn stack() -> u64 {
    symbol!("solo5_boot_stack")
}
