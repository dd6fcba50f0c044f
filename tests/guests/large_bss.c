/* large_bss: 8 MiB of zeroes; with less memory the guest never starts. */
//@ run spt hvt: mem=16 expect=success
//@ run spt too-little-memory: mem=2 expect=exit:1 output="program memory segment falls outside of valid range" peer=no
#include "kit.h"

static volatile uint8_t room[8 * 1024 * 1024];

int solo5_app_main(const struct solo5_start_info *info)
{
    title("test_large_bss");
    for (size_t at = 0; at < sizeof room; at += 4096) {
        CHECK(room[at] == 0);
        room[at] = 1;
    }
    CHECK(info->heap_start >= (uintptr_t)room + sizeof room);
    return succeed();
}
