/*
 * The loader for UEFI: the headers of its file, and the way from 64-bit mode with the firmware's tables
 * to the payload's entry in 32-bit mode without any. uefi.c does the rest. (Microsoft, PE Format;
 * Intel SDM volume 3, 10.8.5, leaving IA-32e mode, and 11.4, the local APIC.)
 */

#include "low.h"

        .section .header, "a"
        .ascii  "MZ"
        .org    0x3c
        .long   0x40
        .ascii  "PE\0\0"
        .word   0x8664, 2       /* x86-64; two sections */
        .long   0, 0, 0         /* no time, no symbols */
        .word   optional_end - optional
        .word   0x22            /* executable; anywhere in memory */
optional:
        .word   0x20b, 0        /* 64 bits */
        .long   TEXT_SIZE, RELOC_SIZE, 0
        .long   START_RVA, TEXT_RVA
        .quad   0
        .long   0x1000, 0x200   /* alignment in memory and in the file */
        .long   0, 0, 0, 0      /* versions */
        .long   IMAGE_SIZE, 0x200, 0
        .word   10              /* an application of UEFI */
        .word   0x140           /* it may be moved; nothing of it is both written and executed */
        .quad   0, 0, 0, 0      /* stack and heap are the firmware's */
        .long   0, 6            /* directories */
        .quad   0, 0, 0, 0, 0
        .long   RELOC_RVA, 12
optional_end:
        .ascii  ".text\0\0\0"
        .long   TEXT_SIZE, TEXT_RVA, TEXT_SIZE, 0x200
        .long   0, 0, 0
        .long   0x60000020      /* read and executed */
        .ascii  ".reloc\0\0"
        .long   RELOC_SIZE, RELOC_RVA, RELOC_SIZE, RELOC_AT
        .long   0, 0, 0
        .long   0x42000040      /* read, and not kept */
        .org    0x200

/* Some firmware wants relocations: one block, of two that do nothing. */
        .section .reloc, "a"
        .long   TEXT_RVA, 12
        .word   0, 0

#define CODE32 0x08
#define DATA32 0x10

#define APIC_BASE 0x1b
#define APIC_ENABLED (1 << 11)
#define APIC_X2 (1 << 10)
#define APIC_TIMER 0x320
#define APIC_X2_TIMER 0x832
#define APIC_MASKED 0x10000
#define EFER 0xc0000080

/*
 * enter(low): enters the payload. `low` is below 640 KiB; struct low in uefi.c has the offsets. The code
 * between trampoline and trampoline_end was copied there.
 */
        .text
        .globl  enter, trampoline, trampoline_end
enter:
        cli
        movl    %edi, %ebx
        /* The low memory is mapped to itself, so its stack serves both modes. */
        leal    LOW_STACK(%rbx), %esp
        leal    LOW_CODE + (gdt - trampoline)(%rbx), %eax
        subq    $16, %rsp
        movw    $(gdt_end - gdt - 1), (%rsp)
        movq    %rax, 2(%rsp)
        lgdt    (%rsp)
        addq    $16, %rsp
        movq    %cr4, %rax
        btrq    $17, %rax       /* process identifiers end before paging does */
        movq    %rax, %cr4
        leal    LOW_CODE(%rbx), %eax
        pushq   $CODE32
        pushq   %rax
        lretq

        .code32
trampoline:
        movl    $DATA32, %eax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %fs
        movw    %ax, %gs
        movw    %ax, %ss
        movl    $0x11, %eax     /* protection on, paging off; as a BIOS leaves it */
        movl    %eax, %cr0
        xorl    %eax, %eax
        movl    %eax, %cr4
        movl    %eax, %cr3
        movl    $EFER, %ecx
        xorl    %edx, %edx
        wrmsr
        pushl   $0
        pushl   $0
        lidt    (%esp)          /* no interrupt has a handler */
        addl    $8, %esp

        /* No interrupt of the firmware's is left: the two 8259s and the timer of the processor. */
        movb    $0xff, %al
        outb    %al, $0x21
        outb    %al, $0xa1
        movl    $APIC_BASE, %ecx
        rdmsr
        testl   $APIC_ENABLED, %eax
        jz      2f
        testl   $APIC_X2, %eax
        jnz     1f
        testl   %edx, %edx      /* its registers are above 4 GiB */
        jnz     2f
        andl    $0xfffff000, %eax
        movl    $APIC_MASKED, APIC_TIMER(%eax)
        jmp     2f
1:
        movl    $APIC_X2_TIMER, %ecx
        movl    $APIC_MASKED, %eax
        xorl    %edx, %edx
        wrmsr
2:
        /* A unikernel looks for ACPI's root pointer in the extended BIOS area, which this names. */
        movl    LOW_BIOS_AREA(%ebx), %eax
        testl   %eax, %eax
        jz      3f
        movw    %ax, 0x40e
3:
        /* The payload may overlap the place that it was read to. */
        movl    LOW_SOURCE(%ebx), %esi
        movl    LOW_LOAD(%ebx), %edi
        movl    LOW_END(%ebx), %ecx
        subl    %edi, %ecx
        cld
        cmpl    %edi, %esi
        jae     4f
        std
        leal    -1(%esi, %ecx), %esi
        leal    -1(%edi, %ecx), %edi
4:
        rep movsb
        cld
        movl    LOW_END(%ebx), %edi
        movl    LOW_BSS_END(%ebx), %ecx
        subl    %edi, %ecx
        xorl    %eax, %eax
        rep stosb

        movl    LOW_ENTRY(%ebx), %edx
        addl    $LOW_INFO, %ebx
        movl    $0x2badb002, %eax
        jmp     *%edx

        .balign 8
gdt:
        .quad   0
        .quad   0x00cf9a000000ffff
        .quad   0x00cf92000000ffff
gdt_end:
trampoline_end:
        .code64
        .section .note.GNU-stack, "", @progbits
