/* dumpcore: aborts, for a core file of solo5-hvt-debug. */
//@ run spt hvt virtio: expect=exit:255 output="Solo5: solo5_abort() called"
#include "kit.h"

int solo5_app_main(const struct solo5_start_info *info __attribute__((unused)))
{
    title("test_dumpcore");
    solo5_abort();
}
