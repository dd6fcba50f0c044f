/* low_memory: the guest cannot change memory below the image, nor behind its own memory. */
//@ run spt boot-info: args=69632 expect=exit:139 absent=FAILURE peer=no
//@ run spt first-page: args=65536 expect=exit:139 absent=FAILURE peer=no
//@ run spt above-boot-info: args=983040 expect=exit:139 absent=FAILURE peer=no
//@ run spt behind-the-end: args=2097152 expect=exit:139 absent=FAILURE
#include "kit.h"

int solo5_app_main(const struct solo5_start_info *info)
{
    title("test_low_memory");
    *(volatile uint64_t *)(uintptr_t)to_number(info->cmdline) = 0;
    say("FAILURE\n");
    return SOLO5_EXIT_FAILURE;
}
