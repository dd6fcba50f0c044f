/*
 * xnow: code cannot be written. Where KVM interprets guests, it reports the attempt in a way that
 * upstream's tender does not know.
 */
//@ run spt: expect=exit:139 absent=FAILURE
//@ run hvt: expect=exit:1 output="host/guest translation fault" peer=no
//@ run hvt processor: expect=exit:1 output="host/guest translation fault" needs=processor
//@ run xen: expect=abort
#include "kit.h"

int solo5_app_main(const struct solo5_start_info *info __attribute__((unused)))
{
    title("test_xnow");
    *(volatile uint8_t *)opaque((uintptr_t)solo5_app_main) = 0;
    say("FAILURE\n");
    return SOLO5_EXIT_FAILURE;
}
