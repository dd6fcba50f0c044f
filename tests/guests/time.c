/* time: both clocks and five sleeps of a second. */
//@ run spt hvt virtio xen: expect=success
#include "kit.h"

#define SECOND 1000000000ULL
/* 2017-01-01T00:00:00Z; a wall clock before it is not set. */
#define PLAUSIBLE_WALL_CLOCK (1483228800ULL * SECOND)

int solo5_app_main(const struct solo5_start_info *info __attribute__((unused)))
{
    title("test_time");

    solo5_time_t start = solo5_clock_monotonic(), now = start;
    for (int i = 0; i < 5 && now == start; i++)
        now = solo5_clock_monotonic();
    CHECK(now > start);

    solo5_yield(start, NULL);

    for (int i = 0; i < 5; i++) {
        solo5_time_t before = solo5_clock_monotonic();
        solo5_yield(before + SECOND, NULL);
        solo5_time_t slept = solo5_clock_monotonic() - before;
        say("slept ");
        say_decimal(slept);
        say(" ns\n");
        if (slept < SECOND - SECOND / 5) {
            say("slept too little\nFAILURE\n");
            return SOLO5_EXIT_FAILURE;
        }
        if (slept > SECOND + SECOND / 5) {
            say("slept too much\nFAILURE\n");
            return SOLO5_EXIT_FAILURE;
        }
    }

    CHECK(solo5_clock_wall() >= PLAUSIBLE_WALL_CLOCK);
    return succeed();
}
