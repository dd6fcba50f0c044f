/* xnor: reading code. spt maps text R+X, so there the read succeeds and the guest says so. */
//@ run spt: expect=exit:1 output="executable address read" output=FAILURE
#include "kit.h"

int solo5_app_main(const struct solo5_start_info *info __attribute__((unused)))
{
    title("test_xnor");
    uint8_t byte = *(volatile uint8_t *)opaque((uintptr_t)solo5_app_main);
    say("executable address read: ");
    say_hex(byte, 2);
    say("\nFAILURE\n");
    return SOLO5_EXIT_FAILURE;
}
