/* wnox: data is not executable, even if the heap is. */
//@ run spt: expect=exit:139 absent=FAILURE
//@ run spt executable-heap: options="--x-exec-heap" expect=exit:139 absent=FAILURE
//@ run xen: expect=abort
#include "kit.h"

#include "code.h"

static volatile uint8_t code[4] __attribute__((aligned(4))) = RETURN_INSTRUCTION;

int solo5_app_main(const struct solo5_start_info *info __attribute__((unused)))
{
    title("test_wnox");
    call(code);
    say("FAILURE\n");
    return SOLO5_EXIT_FAILURE;
}
