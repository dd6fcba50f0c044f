/* rnox: read-only data is not executable. */
//@ run spt: expect=exit:139 absent=FAILURE peer=no
#include "kit.h"

#include "code.h"

static const uint8_t code[4] __attribute__((aligned(4))) = RETURN_INSTRUCTION;

int solo5_app_main(const struct solo5_start_info *info __attribute__((unused)))
{
    title("test_rnox");
    call(code);
    say("FAILURE\n");
    return SOLO5_EXIT_FAILURE;
}
