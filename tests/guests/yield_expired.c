/*
 * yield_expired: a deadline that has passed returns at once with an empty set, also without any
 * network device, and costs about a system call.
 */
//@ run spt hvt: expect=success peer=no needs=processor
#include "kit.h"

#define ROUNDS 20
#define CALLS 1000
/* The best of ROUNDS, so that a busy host does not decide; a timer and a wait take 17 µs. */
#define LIMIT_NS 5000

static solo5_time_t batch(bool far_past)
{
    solo5_time_t start = solo5_clock_monotonic();
    for (int i = 0; i < CALLS; i++) {
        solo5_handle_set_t ready = ~(solo5_handle_set_t)0;
        solo5_yield(far_past ? 0 : start, &ready);
        CHECK(ready == 0);
    }
    return (solo5_clock_monotonic() - start) / CALLS;
}

int solo5_app_main(const struct solo5_start_info *info __attribute__((unused)))
{
    title("test_yield_expired");
    solo5_time_t best = ~(solo5_time_t)0;
    for (int i = 0; i < ROUNDS; i++) {
        solo5_time_t cost = batch(i % 2 == 0);
        if (cost < best)
            best = cost;
    }
    solo5_yield(0, NULL);
    say("expired yield: ");
    say_decimal(best);
    say(" ns\n");
    CHECK(best <= LIMIT_NS);
    return succeed();
}
