/* exception: a write far outside guest memory ends the guest. */
//@ run spt: expect=exit:139 absent=FAILURE
//@ run hvt virtio xen: expect=abort
#include "kit.h"

int solo5_app_main(const struct solo5_start_info *info __attribute__((unused)))
{
    title("test_exception");
    *(volatile uint64_t *)opaque((uintptr_t)2 << 33) = 1;
    say("FAILURE\n");
    return SOLO5_EXIT_FAILURE;
}
