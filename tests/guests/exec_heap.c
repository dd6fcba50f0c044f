/* exec_heap: the heap is executable only if the operator asks for it. */
//@ run spt: expect=exit:139 absent=SUCCESS
//@ run spt executable-heap: options="--x-exec-heap" expect=success output="WARNING: The use of --x-exec-heap is dangerous and not recommended as it makes the heap and stack executable."
#include "kit.h"

#include "code.h"

int solo5_app_main(const struct solo5_start_info *info)
{
    static const uint8_t code[4] = RETURN_INSTRUCTION;
    title("test_exec_heap");
    memcpy((void *)info->heap_start, code, sizeof code);
    call((void *)info->heap_start);
    return succeed();
}
