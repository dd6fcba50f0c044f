/*
 * The first sector of a disk. The BIOS loads it to 0x7c00, with the drive's number in %dl. It loads
 * the loader (loader.S), checks it, and enters it. (Phoenix, BIOS Enhanced Disk Drive Specification.)
 *
 * build.rs assembles this file and defines the names in capitals that are not defined here; they are
 * the constants of src/layout.rs. An error is one digit, on the screen and on the first serial port
 * (docs/reference/disk-image.md#errors).
 */

#include "serial.h"

        .code16
        .globl  _start
_start:
        cli
        ljmp    $0, $here       /* some BIOSes enter with another segment */
here:
        xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movw    $_start, %sp
        sti
        cld

        movw    $0x55aa, %bx
        movb    $0x41, %ah      /* are there extensions? */
        pushw   %dx
        int     $0x13
        popw    %dx
        movb    $'1', %al
        jc      fail
        cmpw    $0xaa55, %bx
        jne     fail
        testb   $1, %cl         /* packets */
        jz      fail

        movw    $3, %bp         /* attempts */
read:
        movw    $packet, %si
        movb    $0x42, %ah
        pushw   %dx
        int     $0x13
        popw    %dx
        jnc     check
        xorw    %ax, %ax        /* resets the drive */
        pushw   %dx
        int     $0x13
        popw    %dx
        movw    $LOADER_SECTORS, packet + 2     /* the BIOS may have changed the count */
        decw    %bp
        jnz     read
        movb    $'2', %al
        jmp     fail

check:
        movw    $LOADER_AT, %si
        movw    $(LOADER_SIZE / 4), %cx
        xorl    %ebx, %ebx
sum:
        lodsl
        addl    %eax, %ebx
        loop    sum
        movb    $'3', %al
        testl   %ebx, %ebx
        jnz     fail
        cmpl    $LOADER_MAGIC, LOADER_AT + 4
        jne     fail
        ljmp    $0, $LOADER_AT

/* Prints the digit in %al and stops. */
fail:
        movb    %al, digit
        SERIAL_INIT
        movw    $message, %si
next:
        lodsb
        testb   %al, %al
        jz      stop
        movw    $7, %bx
        movb    $0x0e, %ah      /* keeps %al on the BIOSes that follow the interface */
        pushw   %ax
        int     $0x10
        popw    %ax
        call    serial_byte
        jmp     next
stop:
        cli
        hlt
        jmp     stop

SERIAL_BYTE

packet:
        .word   16, LOADER_SECTORS, LOADER_AT, 0
        .quad   LOADER_LBA
message:
        .ascii  "Solo5: boot error "
digit:
        .asciz  "0\r\n"

        .org    DISK_ID_AT
