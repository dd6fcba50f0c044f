/* blk_readonly: a device declared read-only can be read; a write fails and changes nothing. */
//@ run spt hvt virtio: block.storage=64KiB unchanged=storage expect=success peer=no
//@ run spt hvt virtio read-only-file: block.storage=64KiB permissions.storage=0444 unchanged=storage expect=success peer=no
//@ run spt hvt virtio operator-cannot-widen: block.storage=64KiB options="--block-access:storage=read-write" unchanged=storage expect=success peer=no
#include "kit.h"

static uint8_t buffer[32768];

int solo5_app_main(const struct solo5_start_info *info __attribute__((unused)))
{
    solo5_handle_t disk;
    struct solo5_block_info disk_info;

    title("test_blk_readonly");
    CHECK(solo5_block_acquire("storage", &disk, &disk_info) == SOLO5_R_OK);
    CHECK(disk_info.block_size <= sizeof buffer);
    CHECK(solo5_block_read(disk, 0, buffer, disk_info.block_size) == SOLO5_R_OK);
    memset(buffer, 0xaa, sizeof buffer);
    CHECK(solo5_block_write(disk, 0, buffer, disk_info.block_size) == SOLO5_R_EUNSPEC);
    CHECK(solo5_block_read(disk, 0, buffer, disk_info.block_size) == SOLO5_R_OK);
    CHECK(buffer[0] == 0);
    return succeed();
}
