/*
 * A guest of a few instructions: it checks what it was booted with, prints it on the first serial
 * port, and ends QEMU through its debug port. mod.rs assembles it, and links it with the linker script of
 * virtio, between notes that it makes.
 */

#define COM1 0x3f8
#define DEBUG_EXIT 0x501
#define MAGIC 0x1badb002
#define FLAGS 0x10003

        .section .interp, "a"
        .asciz  "/nonexistent/solo5/"
        .section .note.solo5.not_openbsd, "a", @note
        .balign 4
        .long   8, 4, 1
        .asciz  "OpenBSD"
        .long   0
        .section .note.solo5.abi, "a", @note
        .balign 4
        .incbin "abi.bin"
        .section .note.solo5.manifest, "a", @note
        .balign 4
        .incbin "manifest.bin"

        .section .note.solo5.xen, "a", @note
        .balign 4
        .long   4, 4, 0x12
        .asciz  "Xen"
        .long   entry

        .section .multiboot, "a"
        .balign 4
header:
        .long   MAGIC, FLAGS, -(MAGIC + FLAGS)
        .long   header, _stext, _eload, _ebss, entry

        .data
pattern:
        .fill   PATTERN / 4, 4, 0x534f4c35
pattern_end:
wrong:
        .asciz  "WRONG: "
magic_text:
        .asciz  "magic\n"
bss_text:
        .asciz  "bss\n"
data_text:
        .asciz  "data\n"
memory_text:
        .asciz  "memory\n"
line:
        .asciz  "\n"
good:
        .asciz  "SUCCESS\n"

        .bss
        .balign 16
        .skip   0x20000
stack:

        .text
        .code32
        .globl  _start
_start:
entry:
        cld
        movl    %eax, %ebp
        xorl    %eax, %eax      /* the whole bss, which is the stack too */
        movl    $_eload, %edi
        movl    $_ebss, %ecx
        subl    %edi, %ecx
        repe scasb
        movl    $stack, %esp
        movl    $bss_text, %esi
        jne     fail
        movl    $magic_text, %esi
        cmpl    $0x2badb002, %ebp
        jne     fail
        movl    $data_text, %esi
        movl    $pattern, %edi
        movl    $((pattern_end - pattern) / 4), %ecx
        movl    $0x534f4c35, %eax
        repe scasl
        jne     fail

        movl    16(%ebx), %esi
        call    print
        movl    $line, %esi
        call    print
        movl    64(%ebx), %esi
        call    print
        movl    $line, %esi
        call    print

        /* RAM from 1 MiB on, which ends above this program. */
        movl    48(%ebx), %edi
        movl    44(%ebx), %ecx
        addl    %edi, %ecx
1:
        movl    $memory_text, %esi
        cmpl    %ecx, %edi
        jae     fail
        cmpl    $1, 20(%edi)
        jne     2f
        cmpl    $0x100000, 4(%edi)
        jne     2f
        movl    12(%edi), %eax
        addl    $0x100000, %eax
        cmpl    $_end, %eax
        jae     3f
2:
        addl    (%edi), %edi
        addl    $4, %edi
        jmp     1b
3:
        movl    $good, %esi
        call    print
        jmp     exit

fail:
        pushl   %esi
        movl    $wrong, %esi
        call    print
        popl    %esi
        call    print
exit:
        movw    $DEBUG_EXIT, %dx
        movw    $41, %ax
        outw    %ax, %dx
stop:
        cli
        hlt
        jmp     stop

print:
        movw    $(COM1 + 5), %dx
1:
        inb     %dx, %al
        testb   $0x20, %al
        jz      1b
        lodsb
        testb   %al, %al
        jz      2f
        movw    $COM1, %dx
        outb    %al, %dx
        jmp     print
2:
        ret
