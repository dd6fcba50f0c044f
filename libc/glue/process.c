/* The process, its one thread and its limits. */

#include <sched.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <time.h>

#include "glue.h"

long __solo5_call_exit(const long *a)
{
    solo5_exit((int)a[0] & 0xff);
}

long __solo5_sched_getaffinity(const long *a)
{
    size_t size = (size_t)a[1];
    if (size < sizeof(long))
        return -EINVAL;
    memset((void *)a[2], 0, size);
    *(long *)a[2] = 1;
    return sizeof(long);
}

long __solo5_prlimit(const long *a)
{
    /* What musl passes to the kernel: two numbers of 64 bits. */
    uint64_t *old = (uint64_t *)a[3];
    if (a[2] != 0)
        return -EPERM;
    if (a[1] < 0 || a[1] >= RLIM_NLIMITS)
        return -EINVAL;
    if (old != NULL)
        old[0] = old[1] = a[1] == RLIMIT_STACK ? __solo5_stack_size : UINT64_MAX;
    return 0;
}

long __solo5_uname(const long *a)
{
    struct utsname *name = (struct utsname *)a[0];
    memset(name, 0, sizeof *name);
    strcpy(name->sysname, "Solo5");
    strcpy(name->nodename, "unikernel");
    strcpy(name->release, "0");
    strcpy(name->version, "0");
#if defined(__x86_64__)
    strcpy(name->machine, "x86_64");
#elif defined(__aarch64__)
    strcpy(name->machine, "aarch64");
#else
    strcpy(name->machine, "ppc64le");
#endif
    return 0;
}

long __solo5_sysinfo(const long *a)
{
    struct sysinfo *info = (struct sysinfo *)a[0];
    const long clock[6] = { CLOCK_PROCESS_CPUTIME_ID, 0 };
    struct timespec since;
    const long arguments[6] = { clock[0], (long)&since };
    __solo5_clock_gettime(arguments);
    memset(info, 0, sizeof *info);
    info->uptime = (unsigned long)since.tv_sec;
    info->totalram = __solo5_memory_pages();
    info->freeram = __solo5_memory_free_pages();
    info->procs = 1;
    info->mem_unit = PAGE;
    return 0;
}

#define FUTEX_WAIT        0
#define FUTEX_WAKE        1
#define FUTEX_REQUEUE     3
#define FUTEX_WAIT_BITSET 9
#define FUTEX_COMMAND     0x7f
#define FUTEX_CLOCK_WALL  0x100

long __solo5_futex(const long *a)
{
    const struct timespec *limit = (const struct timespec *)a[3];
    switch (a[1] & FUTEX_COMMAND) {
    case FUTEX_WAKE:
    case FUTEX_REQUEUE:
        return 0;
    case FUTEX_WAIT:
    case FUTEX_WAIT_BITSET:
        break;
    default:
        return -ENOSYS;
    }
    if (*(volatile int *)a[0] != (int)a[2])
        return -EAGAIN;
    if (limit == NULL) {
        static const char text[] = "libc: deadlock: the only thread waits for another\n";
        solo5_console_write(text, sizeof text - 1);
        solo5_abort();
    }
    /* A bit set comes with a point in time, a plain wait with a span. */
    bool absolute = (a[1] & FUTEX_COMMAND) == FUTEX_WAIT_BITSET;
    long clock = a[1] & FUTEX_CLOCK_WALL ? CLOCK_REALTIME : CLOCK_MONOTONIC;
    const long sleep[6] = { clock, absolute ? TIMER_ABSTIME : 0, (long)limit, 0 };
    long error = __solo5_clock_nanosleep(sleep);
    return error != 0 ? error : -ETIMEDOUT;
}
