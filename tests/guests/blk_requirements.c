/* blk_requirements: a guest starts only if its version 2 manifest's requirements are met. */
//@ run spt hvt: mem=4 block.storage=64KiB expect=success peer=no
//@ run spt hvt smallest: mem=4 block.storage=16KiB expect=success peer=no
//@ run spt hvt too-small: mem=4 block.storage=12KiB expect=exit:1 absent=SUCCESS peer=no
//@ run spt hvt other-sector-size: mem=4 block.storage=64KiB sector-size.storage=512 expect=exit:1 absent=SUCCESS peer=no
//@ run spt hvt too-little-memory: mem=2 block.storage=64KiB expect=exit:1 output="--mem" absent=SUCCESS peer=no
#include "kit.h"

int solo5_app_main(const struct solo5_start_info *info __attribute__((unused)))
{
    solo5_handle_t disk;
    struct solo5_block_info disk_info;

    title("test_blk_requirements");
    CHECK(solo5_block_acquire("storage", &disk, &disk_info) == SOLO5_R_OK);
    CHECK(disk_info.block_size == 4096);
    CHECK(disk_info.capacity >= 16384);
    return succeed();
}
