/*
 * forbidden: system calls just beside the allowed ones. The argument names one; each must end the
 * guest, whatever the kernel would have answered.
 */
//@ run spt write-to-stderr: args=write-to-stderr expect=exit:159 absent=FAILURE
//@ run spt write-high-half: args=write-high-half expect=exit:159 absent=FAILURE
//@ run spt x32-write: needs=x86_64 args=x32-write expect=exit:159 absent=FAILURE
//@ run spt int80: needs=x86_64 args=int80 expect=exit:159 absent=FAILURE
//@ run spt exit: args=exit expect=exit:159 absent=FAILURE
//@ run spt read-stdin: args=read-stdin expect=exit:159 absent=FAILURE
//@ run spt boot-clock: args=boot-clock expect=exit:159 absent=FAILURE
//@ run spt clock-high-half: args=clock-high-half expect=exit:159 absent=FAILURE
//@ run spt set-gs: needs=x86_64 args=set-gs expect=exit:159 absent=FAILURE
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

#if defined(__x86_64__)
#define NR_READ 0
#define NR_WRITE 1
#define NR_OPEN 2
#define NR_MMAP 9
#define NR_MPROTECT 10
#define NR_SIGRETURN 15
#define NR_IOCTL 16
#define NR_PREAD 17
#define NR_SOCKET 41
#define NR_EXECVE 59
#define NR_EXIT 60
#define NR_KILL 62
#define NR_PRCTL 157
#define NR_CLOCK_GETTIME 228
#elif defined(__aarch64__)
#define NR_IOCTL 29
#define NR_OPEN 56 /* openat */
#define NR_READ 63
#define NR_WRITE 64
#define NR_PREAD 67
#define NR_EXIT 93
#define NR_CLOCK_GETTIME 113
#define NR_KILL 129
#define NR_SIGRETURN 139
#define NR_PRCTL 167
#define NR_SOCKET 198
#define NR_EXECVE 221
#define NR_MMAP 222
#define NR_MPROTECT 226
#elif defined(__powerpc64__)
#define NR_EXIT 1
#define NR_READ 3
#define NR_WRITE 4
#define NR_OPEN 5
#define NR_EXECVE 11
#define NR_KILL 37
#define NR_IOCTL 54
#define NR_MMAP 90
#define NR_MPROTECT 125
#define NR_PRCTL 171
#define NR_SIGRETURN 172
#define NR_PREAD 179
#define NR_CLOCK_GETTIME 246
#define NR_SOCKET 326
#endif

struct attempt {
    const char *name;
    long number, a, b, c, d;
};

static char text[] = "FAILURE\n";

int solo5_app_main(const struct solo5_start_info *info)
{
    const long size = sizeof text - 1;
    const struct attempt attempts[] = {
        {"write-to-stderr", NR_WRITE, 2, (long)text, size, 0},
        {"write-high-half", NR_WRITE, 0x100000001, (long)text, size, 0},
        {"exit", NR_EXIT, 0, 0, 0, 0},
        {"read-stdin", NR_READ, 0, (long)text, size, 0},
        {"boot-clock", NR_CLOCK_GETTIME, 7, (long)text, 0, 0},
        {"clock-high-half", NR_CLOCK_GETTIME, 0x100000001, (long)text, 0, 0},
        {"mmap", NR_MMAP, 0, 4096, 7, 0x22},
        {"mprotect", NR_MPROTECT, 0x100000, 4096, 7, 0},
        {"open", NR_OPEN, (long)"/etc/passwd", 0, 0, 0},
        {"socket", NR_SOCKET, 2, 1, 0, 0},
        {"execve", NR_EXECVE, (long)"/bin/sh", 0, 0, 0},
        {"ioctl", NR_IOCTL, 1, 0x5401, (long)text, 0},
        {"prctl", NR_PRCTL, 4, 1, 0, 0},
        {"kill", NR_KILL, 0, 0, 0, 0},
        {"pread", NR_PREAD, 0, (long)text, 512, 0},
        {"sigreturn", NR_SIGRETURN, 0, 0, 0, 0},
#if defined(__x86_64__)
        {"x32-write", 0x40000001, 1, (long)text, size, 0},
        {"set-gs", 158, 0x1001, 0, 0, 0},
#endif
        {"all-ones", -1, 0, 0, 0, 0},
    };
    title("test_forbidden");
    for (size_t i = 0; i < sizeof attempts / sizeof attempts[0]; i++) {
        const struct attempt *attempt = &attempts[i];
        if (strcmp(info->cmdline, attempt->name) == 0)
            system_call(attempt->number, attempt->a, attempt->b, attempt->c, attempt->d);
    }
#if defined(__x86_64__)
    if (strcmp(info->cmdline, "int80") == 0) {
        /* write(1, …) of the 32-bit table */
        long result = 4;
        __asm__ volatile("int $0x80"
                         : "+a"(result)
                         : "b"(1L), "c"((long)text), "d"(size)
                         : "r8", "r9", "r10", "r11", "memory");
    }
#endif
    say("FAILURE\n");
    return SOLO5_EXIT_FAILURE;
}
