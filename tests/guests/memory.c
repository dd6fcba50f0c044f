/*
 * memory: all of the heap is zeroed and writable; the stack is at its top. On a machine without a
 * tender the firmware has used the memory before, so with `used` the first values do not count.
 */
//@ run spt hvt: mem=8 expect=success
//@ run spt hvt default-size: mem=default expect=success output="512 MB addressable"
#include "kit.h"

int solo5_app_main(const struct solo5_start_info *info)
{
    title("test_memory");
    int on_stack;
    uintptr_t end = info->heap_start + info->heap_size;
    CHECK(info->heap_start % 4096 == 0 && end % 4096 == 0);
    CHECK((uintptr_t)&on_stack < end && (uintptr_t)&on_stack > end - 65536);
    for (uintptr_t at = info->heap_start; at < end - 65536; at += 4096) {
        volatile uint64_t *word = (volatile uint64_t *)at;
        CHECK(*word == 0 || strcmp(info->cmdline, "used") == 0);
        *word = at;
    }
    for (uintptr_t at = info->heap_start; at < end - 65536; at += 4096)
        CHECK(*(volatile uint64_t *)at == at);
    return succeed();
}
