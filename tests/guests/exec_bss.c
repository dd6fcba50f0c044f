/* exec_bss: .bss is not executable, even if the heap is. */
//@ run spt executable-heap: options="--x-exec-heap" expect=exit:139 absent=FAILURE peer=no
#include "kit.h"

#include "code.h"

static uint8_t room[4] __attribute__((aligned(4)));

int solo5_app_main(const struct solo5_start_info *info __attribute__((unused)))
{
    static const uint8_t code[4] = RETURN_INSTRUCTION;
    title("test_exec_bss");
    memcpy(room, code, sizeof code);
    call(room);
    say("FAILURE\n");
    return SOLO5_EXIT_FAILURE;
}
