/* rnow: read-only data cannot be written. */
//@ run spt: expect=exit:139 absent=FAILURE
#include "kit.h"

static const char constant[] = "constant";

int solo5_app_main(const struct solo5_start_info *info __attribute__((unused)))
{
    title("test_rnow");
    *(volatile char *)opaque((uintptr_t)constant) = 'C';
    say("FAILURE\n");
    return SOLO5_EXIT_FAILURE;
}
