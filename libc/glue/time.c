/* Clocks and waiting. */

#include <sys/time.h>
#include <time.h>

#include "glue.h"

#define SECOND UINT64_C(1000000000)

static solo5_time_t started;

void __solo5_time_init(void)
{
    started = solo5_clock_monotonic();
}

void __solo5_wait_until(solo5_time_t deadline)
{
    /* A frame that nobody reads lets it return early. */
    while (solo5_clock_monotonic() < deadline)
        solo5_yield(deadline, NULL);
}

static struct timespec spec(solo5_time_t time)
{
    return (struct timespec){ .tv_sec = (time_t)(time / SECOND), .tv_nsec = (long)(time % SECOND) };
}

/* Nanoseconds, at most UINT64_MAX; -EINVAL if it is no time. */
static int count(const struct timespec *spec, solo5_time_t *time)
{
    if (spec->tv_sec < 0 || spec->tv_nsec < 0 || spec->tv_nsec >= (long)SECOND)
        return -EINVAL;
    if (__builtin_mul_overflow((solo5_time_t)spec->tv_sec, SECOND, time)
            || __builtin_add_overflow(*time, (solo5_time_t)spec->tv_nsec, time))
        *time = UINT64_MAX;
    return 0;
}

int __solo5_deadline(const struct timespec *span, solo5_time_t *deadline)
{
    int error = count(span, deadline);
    if (error == 0 && __builtin_add_overflow(*deadline, solo5_clock_monotonic(), deadline))
        *deadline = UINT64_MAX;
    return error;
}

static int read_clock(long clock, solo5_time_t *time)
{
    switch (clock) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
    case CLOCK_TAI:
        *time = solo5_clock_wall();
        return 0;
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_BOOTTIME:
        *time = solo5_clock_monotonic();
        return 0;
    case CLOCK_PROCESS_CPUTIME_ID:
    case CLOCK_THREAD_CPUTIME_ID:
        *time = solo5_clock_monotonic() - started;
        return 0;
    default:
        return -EINVAL;
    }
}

long __solo5_clock_gettime(const long *a)
{
    solo5_time_t time;
    int error = read_clock(a[0], &time);
    if (error == 0)
        *(struct timespec *)a[1] = spec(time);
    return error;
}

long __solo5_clock_getres(const long *a)
{
    solo5_time_t time;
    int error = read_clock(a[0], &time);
    if (error == 0 && a[1] != 0)
        *(struct timespec *)a[1] = spec(1);
    return error;
}

long __solo5_gettimeofday(const long *a)
{
    struct timeval *time = (struct timeval *)a[0];
    if (time != NULL) {
        struct timespec now = spec(solo5_clock_wall());
        *time = (struct timeval){ .tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000 };
    }
    return 0;
}

long __solo5_clock_nanosleep(const long *a)
{
    const struct timespec *wanted = (const struct timespec *)a[2];
    solo5_time_t now, until;
    int error = read_clock(a[0], &now);
    if (error == 0)
        error = count(wanted, &until);
    if (error != 0)
        return error;
    struct timespec span = *wanted;
    if (a[1] & TIMER_ABSTIME)
        span = spec(until > now ? until - now : 0);
    solo5_time_t deadline;
    __solo5_deadline(&span, &deadline);
    __solo5_wait_until(deadline);
    return 0;
}

long __solo5_nanosleep(const long *a)
{
    const long arguments[6] = { CLOCK_MONOTONIC, 0, a[0], a[1] };
    return __solo5_clock_nanosleep(arguments);
}
