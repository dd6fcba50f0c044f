/* acquire_twice: a device is acquired once, by its name and its type. */
//@ run spt hvt: tap.service0=10.0.0.1/24 block.storage=64KiB expect=success peer=no
#include "kit.h"

int solo5_app_main(const struct solo5_start_info *info __attribute__((unused)))
{
    solo5_handle_t net = 99, disk = 99, again;
    struct solo5_net_info net_info;
    struct solo5_block_info disk_info;

    title("test_acquire_twice");
    CHECK(solo5_net_acquire("nosuchdevice", &again, &net_info) != SOLO5_R_OK);
    CHECK(solo5_block_acquire("service0", &again, &disk_info) != SOLO5_R_OK);
    CHECK(solo5_net_acquire("storage", &again, &net_info) != SOLO5_R_OK);
    CHECK(solo5_net_acquire("service", &again, &net_info) != SOLO5_R_OK);

    CHECK(solo5_net_acquire("service0", &net, &net_info) == SOLO5_R_OK && net == 1);
    CHECK(solo5_block_acquire("storage", &disk, &disk_info) == SOLO5_R_OK && disk == 2);
    CHECK(solo5_net_acquire("service0", &again, &net_info) != SOLO5_R_OK);
    CHECK(solo5_block_acquire("storage", &again, &disk_info) != SOLO5_R_OK);
    return succeed();
}
