/* stack_large: a stack that needs more memory than the usual 2 MiB. */
//@ run spt enough: mem=3 expect=success
//@ run spt too-little: expect=exit:1 only="solo5-spt: error[T430]: 2 MiB of memory cannot hold the image, a heap, and a stack of 1 MiB with its guard; add --mem=3\nsolo5-spt: not started\n" peer=no
//@ run hvt granule: mem=4 expect=success
//@ run hvt too-little-memory: expect=exit:1 output="error[T430]" output="add --mem=4\n" absent="Solo5:" peer=no
//@ run spt hvt no-offer: options="--offer=none" expect=exit:255 output="Not enough memory" absent=SUCCESS peer=no
#include "kit.h"

int solo5_app_main(const struct solo5_start_info *info)
{
    title("test_stack_large");
    volatile char large[1000000];
    large[opaque(0)] = 1;
    uintptr_t end = info->heap_start + info->heap_size;
    CHECK((uintptr_t)large > end && large[opaque(0)] == 1);
    return succeed();
}
