/* ssp: a stack overrun is noticed when the function returns. */
//@ run spt hvt virtio xen: expect=abort output="Solo5: ABORT: Stack corruption detected\n" absent=FAILURE
#include "kit.h"

static void __attribute__((noinline)) overrun(void)
{
    char room[16];
    strcpy((char *)opaque((uintptr_t)room), "forty-one bytes are more than sixteen are");
    say((const char *)opaque((uintptr_t)room));
    say("\n");
}

int solo5_app_main(const struct solo5_start_info *info __attribute__((unused)))
{
    title("test_ssp");
    overrun();
    say("FAILURE\n");
    return SOLO5_EXIT_FAILURE;
}
