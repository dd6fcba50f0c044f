/*
 * A system call that is a cancellation point. No signal comes while it runs, so only a cancellation
 * from before matters. musl compares program counters with the three labels; none lies between.
 */
#include "glue.h"

HIDDEN long __cancel(void);
HIDDEN long __solo5_system_call(long number, long a, long b, long c, long d, long e, long f);
HIDDEN long __syscall_cp_asm(volatile int *cancelled, long number, long a, long b, long c, long d,
        long e, long f);
HIDDEN extern const char __cp_begin[], __cp_end[], __cp_cancel[];

const char __cp_begin[1] = "", __cp_end[1] = "", __cp_cancel[1] = "";

long __syscall_cp_asm(volatile int *cancelled, long number, long a, long b, long c, long d, long e,
        long f)
{
    return *cancelled ? __cancel() : __solo5_system_call(number, a, b, c, d, e, f);
}
