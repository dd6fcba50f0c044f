/* Walks memory at random and prints picoseconds per access, for `cargo xtask bench`. */

#include "print.h"
#include "solo5.h"

/* A power of 2. */
enum { SIZE = 256 << 20, STEPS = 2000000 };

int solo5_app_main(const struct solo5_start_info *info)
{
    volatile uint64_t *words = (uint64_t *)((info->heap_start + 7) & ~(uintptr_t)7);
    const uint64_t count = SIZE / sizeof(uint64_t);
    if (info->heap_size < SIZE + 8)
        return SOLO5_EXIT_FAILURE;
    for (uint64_t at = 0; at < count; at += 4096 / sizeof(uint64_t))
        words[at] = at;
    /* Each address depends on the value read before, so that accesses do not overlap. */
    uint64_t at = 1;
    solo5_time_t start = solo5_clock_monotonic();
    for (int step = 0; step < STEPS; step++)
        at = at * 6364136223846793005 + 1442695040888963407 + words[(at >> 33) & (count - 1)];
    uint64_t taken = solo5_clock_monotonic() - start;
    print("access-ps:", taken * 1000 / STEPS);
    print("last:", at);
    return SOLO5_EXIT_SUCCESS;
}
