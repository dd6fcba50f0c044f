/* globals: initialised data has its values and can be written. */
//@ run spt hvt virtio xen: expect=success
#include "kit.h"

static char message[] = "RUCCESS\n";

int solo5_app_main(const struct solo5_start_info *info __attribute__((unused)))
{
    title("test_globals");
    *(volatile char *)message += 1;
    say(message);
    return SOLO5_EXIT_SUCCESS;
}
