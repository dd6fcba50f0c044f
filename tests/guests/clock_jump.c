/*
 * clock_jump: both clocks of a guest that the host stops and continues. Its argument is `compute`,
 * `wait`, or the seconds that the monotonic clock has to be beyond. The end-to-end tests stop it.
 */
//@ run spt hvt not-stopped: args=wait expect=success peer=no
#include "kit.h"

#define SECOND 1000000000ULL
/* No scheduler takes a guest away for so long. */
#define JUMP SECOND

struct clocks {
    solo5_time_t monotonic;
    solo5_time_t wall;
};

/* Both clocks at one time, as well as they can be read. */
static struct clocks both(void)
{
    for (;;) {
        solo5_time_t before = solo5_clock_monotonic();
        solo5_time_t wall = solo5_clock_wall();
        solo5_time_t after = solo5_clock_monotonic();

        CHECK(after >= before);
        if (after - before < SECOND / 50)
            return (struct clocks){.monotonic = after, .wall = wall};
    }
}

/* Reads the clock without a pause until it jumps, as it does for a guest that was stopped. */
static void compute(void)
{
    struct clocks start = both(), end;
    solo5_time_t last = start.monotonic, now;

    say("Computing\n");
    for (;; last = now) {
        now = solo5_clock_monotonic();
        CHECK(now >= last);
        if (now - last >= JUMP)
            break;
    }
    end = both();
    uint64_t monotonic = end.monotonic - start.monotonic, wall = end.wall - start.wall;
    say("Jumped ");
    say_decimal(now - last);
    say(" ns\n");
    /* The wall clock may be slewed meanwhile, but not much. */
    uint64_t difference = monotonic > wall ? monotonic - wall : wall - monotonic;
    CHECK(difference < SECOND / 10);
}

/* Waits once for a deadline: it never ends early, whatever interrupts it. */
static void wait(void)
{
    solo5_time_t deadline = solo5_clock_monotonic() + SECOND;
    solo5_handle_set_t ready = 1;

    say("Waiting\n");
    solo5_yield(deadline, &ready);
    CHECK(solo5_clock_monotonic() >= deadline);
    CHECK(ready == 0);
    /* The timer that is up does not end the next wait. */
    deadline = solo5_clock_monotonic() + SECOND / 10;
    solo5_yield(deadline, NULL);
    CHECK(solo5_clock_monotonic() >= deadline);
}

int solo5_app_main(const struct solo5_start_info *info)
{
    title("test_clock_jump");
    if (strcmp(info->cmdline, "compute") == 0)
        compute();
    else if (strcmp(info->cmdline, "wait") == 0)
        wait();
    else {
        CHECK(solo5_clock_monotonic() / SECOND >= to_number(info->cmdline));
        wait();
    }
    return succeed();
}
