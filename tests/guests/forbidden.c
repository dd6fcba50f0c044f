/*
 * forbidden: system calls just beside the allowed ones. The argument names one; each must end the
 * guest, whatever the kernel would have answered.
 */
//@ run spt write-to-stderr: args=write-to-stderr expect=exit:159 absent=FAILURE
//@ run spt write-high-half: args=write-high-half expect=exit:159 absent=FAILURE
//@ run spt x32-write: args=x32-write expect=exit:159 absent=FAILURE
//@ run spt int80: args=int80 expect=exit:159 absent=FAILURE
//@ run spt exit: args=exit expect=exit:159 absent=FAILURE
//@ run spt read-stdin: args=read-stdin expect=exit:159 absent=FAILURE
//@ run spt boot-clock: args=boot-clock expect=exit:159 absent=FAILURE
//@ run spt clock-high-half: args=clock-high-half expect=exit:159 absent=FAILURE
//@ run spt set-gs: args=set-gs expect=exit:159 absent=FAILURE
//@ run spt mmap: args=mmap expect=exit:159 absent=FAILURE
//@ run spt mprotect: args=mprotect expect=exit:159 absent=FAILURE
//@ run spt open: args=open expect=exit:159 absent=FAILURE
//@ run spt socket: args=socket expect=exit:159 absent=FAILURE
//@ run spt execve: args=execve expect=exit:159 absent=FAILURE
//@ run spt ioctl: args=ioctl expect=exit:159 absent=FAILURE
//@ run spt prctl: args=prctl expect=exit:159 absent=FAILURE
//@ run spt kill: args=kill expect=exit:159 absent=FAILURE
//@ run spt pread: args=pread expect=exit:159 absent=FAILURE
//@ run spt sigreturn: args=sigreturn expect=exit:159 absent=FAILURE
//@ run spt all-ones: args=all-ones expect=exit:159 absent=FAILURE
#include "kit.h"

#include "syscall.h"

struct attempt {
    const char *name;
    long number, a, b, c, d;
};

static char text[] = "FAILURE\n";

int solo5_app_main(const struct solo5_start_info *info)
{
    const long size = sizeof text - 1;
    const struct attempt attempts[] = {
        {"write-to-stderr", 1, 2, (long)text, size, 0},
        {"write-high-half", 1, 0x100000001, (long)text, size, 0},
        {"x32-write", 0x40000001, 1, (long)text, size, 0},
        {"exit", 60, 0, 0, 0, 0},
        {"read-stdin", 0, 0, (long)text, size, 0},
        {"boot-clock", 228, 7, (long)text, 0, 0},
        {"clock-high-half", 228, 0x100000001, (long)text, 0, 0},
        {"set-gs", 158, 0x1001, 0, 0, 0},
        {"mmap", 9, 0, 4096, 7, 0x22},
        {"mprotect", 10, 0x100000, 4096, 7, 0},
        {"open", 2, (long)"/etc/passwd", 0, 0, 0},
        {"socket", 41, 2, 1, 0, 0},
        {"execve", 59, (long)"/bin/sh", 0, 0, 0},
        {"ioctl", 16, 1, 0x5401, (long)text, 0},
        {"prctl", 157, 4, 1, 0, 0},
        {"kill", 62, 0, 0, 0, 0},
        {"pread", 17, 0, (long)text, 512, 0},
        {"sigreturn", 15, 0, 0, 0, 0},
        {"all-ones", -1, 0, 0, 0, 0},
    };
    title("test_forbidden");
    for (size_t i = 0; i < sizeof attempts / sizeof attempts[0]; i++) {
        const struct attempt *attempt = &attempts[i];
        if (strcmp(info->cmdline, attempt->name) == 0)
            system_call(attempt->number, attempt->a, attempt->b, attempt->c, attempt->d);
    }
    if (strcmp(info->cmdline, "int80") == 0) {
        /* write(1, …) of the 32-bit table */
        long result = 4;
        __asm__ volatile("int $0x80"
                         : "+a"(result)
                         : "b"(1L), "c"((long)text), "d"(size)
                         : "r8", "r9", "r10", "r11", "memory");
    }
    say("FAILURE\n");
    return SOLO5_EXIT_FAILURE;
}
