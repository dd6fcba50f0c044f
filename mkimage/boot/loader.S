/*
 * The loader. The boot sector (sector.S) loads it to LOADER_AT and enters it with the drive's number in
 * %dl. It checks the parameters below, reads the payload, checks its CRC-32, and enters it as a Multiboot 1
 * loader does, with the command line and the map of memory. The program that wrote the disk has done
 * everything else: the payload is what belongs in memory, and the parameters say where. (Multiboot Specification
 * 0.6.96; ACPI 6.5, 15.1, INT 15h E820h; Intel SDM volume 3, 9.9, mode switching.)
 *
 * Memory: 0x4000 table of the CRC, 0x5000 Multiboot information, 0x6000 map of memory, below 0x7c00 the
 * stack, LOADER_AT this, BUFFER what the BIOS reads. Nothing is below 0x1000, which a unikernel does not
 * map, and nothing reaches 0x90000, behind which a BIOS may keep its own data.
 */

#include "serial.h"

#define CRC_TABLE 0x4000
#define INFO 0x5000
#define INFO_SIZE 120
#define MAP 0x6000
#define MAP_RECORD 24
#define MAP_MAX 128
#define BUFFER 0x10000
#define BUFFER_SECTORS 64       /* some BIOSes read at most 127, and none across 64 KiB */
#define SMAP 0x534d4150
#define LOWEST 0x100000         /* where a payload may begin */

#define CODE32 0x08
#define DATA32 0x10
#define CODE16 0x18
#define DATA16 0x20

        .code16
        .globl  _start
_start:
        jmp     begin
        .org    4
        .long   LOADER_MAGIC
checksum:
        .long   0               /* makes the sum of all words of the loader 0 */
/* The parameters. layout.rs has the same list. */
payload_lba:
        .quad   0
payload_sectors:
        .long   0
payload_crc:
        .long   0
load_address:
        .long   0
load_end:
        .long   0
bss_end:
        .long   0
entry:
        .long   0
/* A unikernel that finds this name knows which disk it was booted from. */
loader_name:
        .asciz  LOADER_NAME

begin:
        movb    %dl, drive
        movw    $0x2401, %ax    /* opens the gate of address line 20 */
        int     $0x15
        inb     $0x92, %al
        testb   $2, %al
        jnz     map
        orb     $2, %al
        andb    $0xfe, %al      /* bit 0 resets the machine */
        outb    %al, $0x92

map:
        int     $0x12
        movw    %ax, memory_lower
        xorl    %ebx, %ebx
        movw    $(MAP + 4), %di
map_next:
        movl    $0xe820, %eax
        movl    $SMAP, %edx
        movl    $20, %ecx
        int     $0x15
        jc      map_end
        cmpl    $SMAP, %eax
        jne     map_end
        movl    8(%di), %eax
        orl     12(%di), %eax
        jz      map_skip        /* an empty range */
        movl    $20, -4(%di)
        addw    $MAP_RECORD, %di
        cmpw    $(MAP + 4 + MAP_RECORD * MAP_MAX), %di
        jae     map_end
map_skip:
        testl   %ebx, %ebx
        jnz     map_next
map_end:
        subw    $(MAP + 4), %di
        movw    $no_map, %si
        jz      fail
        movw    %di, map_length

        call    protected
        .code32
        call    check_machine
        call    real
        .code16
        testw   %si, %si
        jnz     fail

load:
        movl    payload_sectors, %ecx
        jecxz   loaded
        cmpl    $BUFFER_SECTORS, %ecx
        jbe     1f
        movl    $BUFFER_SECTORS, %ecx
1:
        movw    %cx, count
        movw    $3, %bp         /* attempts */
read:
        movw    count, %ax
        movw    %ax, packet_count
        movl    payload_lba, %eax
        movl    %eax, packet_lba
        movl    payload_lba + 4, %eax
        movl    %eax, packet_lba + 4
        movw    $packet, %si
        movb    drive, %dl
        movb    $0x42, %ah
        int     $0x13
        jnc     copy
        xorw    %ax, %ax        /* resets the drive */
        movb    drive, %dl
        int     $0x13
        movw    $unreadable, %si
        decw    %bp
        jnz     read
        jmp     fail
copy:
        movzwl  count, %ecx
        subl    %ecx, payload_sectors
        addl    %ecx, payload_lba
        adcl    $0, payload_lba + 4
        call    protected
        .code32
        shll    $7, %ecx        /* sectors as words of 4 bytes */
        movl    $BUFFER, %esi
        movl    destination, %edi
        rep movsl
        movl    %edi, destination
        call    real
        .code16
        jmp     load

loaded:
        call    protected
        .code32
        call    check_payload
        testw   %si, %si
        jz      enter
        call    real
        .code16

/* Prints the message at %si and stops. */
fail:
        pushw   %si
        SERIAL_INIT
        movw    $prefix, %si
        call    print
        popw    %si
        call    print
        movw    $line_end, %si
        call    print
stop:
        cli
        hlt
        jmp     stop

print:
        lodsb
        testb   %al, %al
        jz      1f
        pushw   %ax
        movw    $7, %bx
        movb    $0x0e, %ah
        int     $0x10
        popw    %ax
        call    serial_byte
        jmp     print
1:
        ret

SERIAL_BYTE

/* Goes on behind its call in 32-bit protected mode. Keeps %ecx, %si and %di. */
protected:
        cli
        popw    %bx
        movzwl  %bx, %ebx
        movzwl  %sp, %esp
        lgdtl   gdt_pointer
        movl    %cr0, %eax
        orb     $1, %al
        movl    %eax, %cr0
        ljmpl   $CODE32, $1f
        .code32
1:
        movw    $DATA32, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        cld
        jmp     *%ebx

/* Goes on behind its call in real mode. Keeps %ecx, %esi and %edi. */
real:
        popl    %ebx
        ljmpl   $CODE16, $1f
        .code16
1:
        movw    $DATA16, %ax    /* segments of 64 KiB, which real mode keeps */
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movl    %cr0, %eax
        andb    $0xfe, %al
        movl    %eax, %cr0
        ljmp    $0, $2f
2:
        xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        sti
        jmp     *%bx

        .code32
/*
 * Whether the parameters agree with each other, and the processor and the memory are as the payload needs
 * them: %si is 0 or a message. uefi.c checks the same of the parameters.
 */
check_machine:
        movl    $bad_parameters, %esi
        movl    load_address, %eax
        movl    load_end, %ecx
        movl    entry, %edx
        cmpl    $LOWEST, %eax
        jb      9f
        cmpl    %ecx, %eax
        jae     9f
        cmpl    bss_end, %ecx
        ja      9f
        cmpl    %eax, %edx
        jb      9f
        cmpl    %ecx, %edx
        jae     9f
        subl    %eax, %ecx      /* bytes of the payload, which its sectors must hold */
        decl    %ecx
        shrl    $9, %ecx
        cmpl    payload_sectors, %ecx
        jae     9f
        movl    $no_memory, %esi
        cmpl    $(1 << 23), payload_sectors
        jae     9f              /* 4 GiB or more */

        movl    $no_long_mode, %esi
        movl    $0x80000000, %eax
        cpuid
        cmpl    $0x80000001, %eax
        jb      9f
        movl    $0x80000001, %eax
        cpuid
        btl     $29, %edx
        jnc     9f

        movl    $no_a20, %esi
        movl    0x7000, %eax
        notl    %eax
        movl    %eax, 0x107000  /* 0x7000, if the gate is closed */
        cmpl    %eax, 0x7000
        je      9f

        movl    load_address, %eax
        movl    %eax, destination
        movl    bss_end, %edx
        movl    payload_sectors, %ecx
        movl    $no_memory, %esi
        shll    $9, %ecx
        addl    %eax, %ecx
        jc      9f              /* it would end above 4 GiB */
        cmpl    %ecx, %edx
        jae     1f
        movl    %ecx, %edx      /* %edx is the end of what is written */
1:
        movl    $MAP, %edi
        movzwl  map_length, %ecx
        addl    %edi, %ecx
2:
        cmpl    %ecx, %edi
        jae     9f
        cmpl    $1, 20(%edi)    /* RAM */
        jne     4f
        cmpl    $0, 8(%edi)     /* below 4 GiB */
        jne     4f
        movl    4(%edi), %ebx
        cmpl    %eax, %ebx
        ja      4f
        movl    16(%edi), %ebp
        addl    12(%edi), %ebx
        adcl    $0, %ebp
        jz      3f
        movl    $-1, %ebx       /* it ends above 4 GiB */
3:
        cmpl    %edx, %ebx
        jb      4f
        subl    $0x100000, %ebx
        shrl    $10, %ebx
        movl    %ebx, memory_upper
        xorl    %esi, %esi
        jmp     9f
4:
        addl    $MAP_RECORD, %edi
        jmp     2b
9:
        ret

/* Whether the payload is what the disk was written with: %si is 0 or a message. */
check_payload:
        xorl    %ecx, %ecx
1:
        movl    %ecx, %eax
        movl    $8, %edx
2:
        shrl    $1, %eax
        jnc     3f
        xorl    $0xedb88320, %eax
3:
        decl    %edx
        jnz     2b
        movl    %eax, CRC_TABLE(, %ecx, 4)
        incl    %ecx
        cmpl    $256, %ecx
        jb      1b

        movl    load_address, %esi
        movl    load_end, %ecx
        subl    %esi, %ecx
        movl    $-1, %eax
4:
        movzbl  %al, %ebx
        xorb    (%esi), %bl
        incl    %esi
        shrl    $8, %eax
        xorl    CRC_TABLE(, %ebx, 4), %eax
        decl    %ecx
        jnz     4b
        notl    %eax
        movl    $damaged, %esi
        cmpl    payload_crc, %eax
        jne     5f
        xorl    %esi, %esi
5:
        ret

enter:
        xorl    %eax, %eax
        movl    load_end, %edi
        movl    bss_end, %ecx
        subl    %edi, %ecx
        rep stosb

        movl    $INFO, %edi
        movl    $INFO_SIZE, %ecx
        rep stosb
        movl    $0x247, INFO    /* memory, drive, command line, map, name of the loader */
        movzwl  memory_lower, %eax
        movl    %eax, INFO + 4
        movl    memory_upper, %eax
        movl    %eax, INFO + 8
        movl    $0x00ffffff, INFO + 12  /* no partition */
        movb    drive, %al
        movb    %al, INFO + 15
        movl    $COMMAND_LINE_AT, INFO + 16
        movzwl  map_length, %eax
        movl    %eax, INFO + 44
        movl    $MAP, INFO + 48
        movl    $loader_name, INFO + 64

        movl    $0x2badb002, %eax
        movl    $INFO, %ebx
        jmp     *entry

        .balign 8
gdt:
        .quad   0
        .quad   0x00cf9a000000ffff
        .quad   0x00cf92000000ffff
        .quad   0x00009a000000ffff
        .quad   0x000092000000ffff
gdt_pointer:
        .word   gdt_pointer - gdt - 1
        .long   gdt

        .balign 4
packet:
        .word   16
packet_count:
        .word   0
        .word   0, BUFFER >> 4
packet_lba:
        .quad   0

destination:
        .long   0
memory_upper:
        .long   0
memory_lower:
        .word   0
map_length:
        .word   0
count:
        .word   0
drive:
        .byte   0

prefix:
        .asciz  "Solo5: boot error "
bad_parameters:
        .asciz  "3"
unreadable:
        .asciz  "4: the disk cannot be read"
damaged:
        .asciz  "5: the unikernel on the disk is damaged"
no_map:
        .asciz  "6: the BIOS gives no map of memory"
no_memory:
        .asciz  "7: there is too little memory for the unikernel"
no_a20:
        .asciz  "8: address line 20 is closed"
no_long_mode:
        .asciz  "9: the processor has no 64-bit mode"
line_end:
        .asciz  "\r\n"

        .org    LOADER_CODE_SIZE
/* The command line follows. */
