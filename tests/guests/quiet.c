/* quiet: with --solo5:quiet the bindings print nothing at all. */
//@ run spt hvt: args="--solo5:quiet" expect=success absent="Solo5:" only="\n**** Solo5 standalone test_verbose ****\n\nSUCCESS\n"
//@ run virtio: args="--solo5:quiet" expect=success
#include "kit.h"

int solo5_app_main(const struct solo5_start_info *info __attribute__((unused)))
{
    title("test_verbose");
    return succeed();
}
