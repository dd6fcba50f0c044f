/*
 * A disk's first sector. It loads the rest of the disk to LOAD, and enters the Linux kernel there by
 * Xen's PVH boot protocol. The initramfs, which follows the kernel, is the protocol's module. (Xen,
 * docs/misc/pvh.pandoc and xen/include/public/arch-x86/hvm/start_info.h; ATA-6, READ SECTORS.)
 *
 * vmx.rs assembles this file and defines LOAD, CHUNKS, ENTRY, INITRAMFS, INITRAMFS_SIZE, MEMORY and
 * COMMAND_LINE.
 */

#define CHUNK 256               /* sectors: the most one command reads, as count 0 */

#define ATA_DATA 0x1f0
#define ATA_COUNT 0x1f2
#define ATA_STATUS 0x1f7
#define ATA_LBA 0xe0
#define ATA_READ_SECTORS 0x20
#define ATA_BUSY 0x80
#define ATA_DATA_REQUEST 0x08

        .code16
        .globl  _start
_start:
        cli
        xorw    %ax, %ax
        movw    %ax, %ds
        inb     $0x92, %al      /* opens the gate of address line 20 */
        orb     $2, %al
        outb    %al, $0x92
        lgdtl   gdt_pointer
        movl    %cr0, %eax
        orb     $1, %al
        movl    %eax, %cr0
        ljmpl   $8, $protected

        .code32
protected:
        movw    $16, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        cld
        movl    $LOAD, %edi
        movl    $1, %ebx        /* the next sector */
        movl    $CHUNKS, %esi
next_chunk:
        movw    $ATA_COUNT, %dx
        xorl    %eax, %eax
        outb    %al, %dx
        movl    %ebx, %eax
        incl    %edx
        outb    %al, %dx
        shrl    $8, %eax
        incl    %edx
        outb    %al, %dx
        shrl    $8, %eax
        incl    %edx
        outb    %al, %dx
        incl    %edx
        movb    $ATA_LBA, %al
        outb    %al, %dx
        incl    %edx
        movb    $ATA_READ_SECTORS, %al
        outb    %al, %dx
        movl    $CHUNK, %ebp
next_sector:
        movw    $ATA_STATUS, %dx
not_yet:
        inb     %dx, %al
        andb    $(ATA_BUSY | ATA_DATA_REQUEST), %al
        cmpb    $ATA_DATA_REQUEST, %al
        jne     not_yet
        movw    $ATA_DATA, %dx
        movl    $256, %ecx
        rep insw
        decl    %ebp
        jnz     next_sector
        addl    $CHUNK, %ebx
        decl    %esi
        jnz     next_chunk

        movl    $start_info, %ebx
        movl    $ENTRY, %eax
        jmp     *%eax

        .balign 8
gdt:
        .quad   0
        .quad   0x00cf9a000000ffff      /* 8: code, all 4 GiB */
        .quad   0x00cf92000000ffff      /* 16: data, all 4 GiB */
gdt_pointer:
        .word   gdt_pointer - gdt - 1
        .long   gdt

        .balign 8
start_info:
        .long   0x336ec578, 1           /* magic, version */
        .long   0, 1                    /* flags, modules */
        .quad   modules, command_line
        .quad   0                       /* ACPI's root: the kernel searches for it */
        .quad   memory
        .long   (memory_end - memory) / 24, 0
modules:
        .quad   INITRAMFS, INITRAMFS_SIZE, 0, 0
memory:                                 /* start, size; type: RAM */
        .quad   0, 0x9f000
        .long   1, 0
        .quad   0x100000, MEMORY - 0x200000     /* the BIOS keeps its tables at the end */
        .long   1, 0
memory_end:
command_line:
        .asciz  COMMAND_LINE

        .org    510
        .word   0xaa55
