/* optional_device: acquiring a declined device is an error; other devices keep their handles. */
//@ run spt hvt virtio declined: block.storage=64KiB options="--without-net:debug --without-block:scratch" expect=success peer=no
//@ run spt hvt silence: block.storage=64KiB expect=exit:1 output="Device 'debug' of type NET_BASIC declared but not attached." output="not started: add --net:debug=TAP or --without-net:debug" peer=no
//@ run spt hvt required: options="--without-net:debug --without-block:scratch --without-block:storage" expect=exit:1 absent=SUCCESS peer=no
#include "kit.h"

static uint8_t buffer[32768];

int solo5_app_main(const struct solo5_start_info *info __attribute__((unused)))
{
    solo5_handle_t handle;
    struct solo5_net_info net_info;
    struct solo5_block_info block_info;
    size_t size;

    title("test_optional_device");
    CHECK(solo5_net_acquire("debug", &handle, &net_info) != SOLO5_R_OK);
    CHECK(solo5_block_acquire("scratch", &handle, &block_info) != SOLO5_R_OK);
    CHECK(solo5_net_read(1, buffer, sizeof buffer, &size) != SOLO5_R_OK);
    CHECK(solo5_net_write(1, buffer, 64) != SOLO5_R_OK);
    CHECK(solo5_block_read(2, 0, buffer, 512) != SOLO5_R_OK);
    CHECK(solo5_block_write(2, 0, buffer, 512) != SOLO5_R_OK);
    CHECK(solo5_block_acquire("storage", &handle, &block_info) == SOLO5_R_OK);
    CHECK(handle == 3);
    CHECK(solo5_block_read(handle, 0, buffer, block_info.block_size) == SOLO5_R_OK);
    solo5_yield(solo5_clock_monotonic() + 1000000, NULL);
    return succeed();
}
