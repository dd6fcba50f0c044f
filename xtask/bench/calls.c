/* Measures calls of the guest API: prints picoseconds per call, for `cargo xtask bench`. */

#include "print.h"
#include "solo5.h"

enum { ROUNDS = 20000 };

/* CLOCK_MONOTONIC by the system call itself, which every spt tender allows. */
static void plain_clock(void)
{
    int64_t time[2];
    register long number __asm__("rax") = 228;
    __asm__ volatile("syscall" : "+r"(number) : "D"(1L), "S"(time) : "rcx", "r11", "memory");
}

/* A deadline that has passed. It is not 0: with 0, upstream's bindings of 0.7.2 wait forever. */
static void passed_yield(void)
{
    solo5_yield(1, NULL);
}

static void clock(void)
{
    (void)solo5_clock_monotonic();
}

static uint64_t cost(void (*call)(void))
{
    uint64_t best = UINT64_MAX;
    for (int run = 0; run < 10; run++) {
        solo5_time_t start = solo5_clock_monotonic();
        for (int round = 0; round < ROUNDS / 10; round++)
            call();
        uint64_t taken = solo5_clock_monotonic() - start;
        if (taken < best)
            best = taken;
    }
    return best * 1000 / (ROUNDS / 10);
}

int solo5_app_main(const struct solo5_start_info *info)
{
    (void)info;
    print("yield-ps:", cost(passed_yield));
    print("clock-ps:", cost(clock));
    print("syscall-ps:", cost(plain_clock));
    return SOLO5_EXIT_SUCCESS;
}
