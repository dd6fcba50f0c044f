/*
 * handles: all 64 bits of a handle count, a handle works only for its device's type, and a frame is at
 * least an Ethernet header and at most the header and the MTU.
 */
//@ run spt hvt: tap.service0=10.0.0.1/24 block.storage=64KiB expect=success peer=no
//@ run spt hvt container: tap.service0=10.0.0.1/24 block.storage=64KiB container=yes expect=success peer=no
#include "kit.h"

static uint8_t buffer[65536];

int solo5_app_main(const struct solo5_start_info *info __attribute__((unused)))
{
    solo5_handle_t net, disk;
    struct solo5_net_info net_info;
    struct solo5_block_info disk_info;
    size_t size;

    title("test_handles");
    CHECK(solo5_net_acquire("service0", &net, &net_info) == SOLO5_R_OK);
    CHECK(solo5_block_acquire("storage", &disk, &disk_info) == SOLO5_R_OK);
    const size_t block = disk_info.block_size, frame = net_info.mtu + SOLO5_NET_HLEN;
    CHECK(frame < sizeof buffer && block <= sizeof buffer);

    const solo5_handle_t wrong[] = {0, 3, 62, 63, 64, (solo5_handle_t)1 << 32,
                                    (solo5_handle_t)1 << 63, ~(solo5_handle_t)0};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        CHECK(solo5_net_write(wrong[i], buffer, 64) != SOLO5_R_OK);
        CHECK(solo5_net_read(wrong[i], buffer, frame, &size) != SOLO5_R_OK);
        CHECK(solo5_block_read(wrong[i], 0, buffer, block) != SOLO5_R_OK);
        CHECK(solo5_block_write(wrong[i], 0, buffer, block) != SOLO5_R_OK);
    }
    const solo5_handle_t high = (solo5_handle_t)1 << 32;
    CHECK(solo5_net_write(net + high, buffer, 64) != SOLO5_R_OK);
    CHECK(solo5_block_read(disk + high, 0, buffer, block) != SOLO5_R_OK);
    CHECK(solo5_net_write(disk, buffer, 64) != SOLO5_R_OK);
    CHECK(solo5_block_read(net, 0, buffer, block) != SOLO5_R_OK);

    /* a broadcast frame of an experimental EtherType, from ourselves */
    memset(buffer, 0xff, 6);
    memcpy(buffer + 6, net_info.mac_address, SOLO5_NET_ALEN);
    buffer[12] = 0x88;
    buffer[13] = 0xb5;
    CHECK(solo5_net_write(net, buffer, frame) == SOLO5_R_OK);
    CHECK(solo5_net_write(net, buffer, frame + 1) != SOLO5_R_OK);
    CHECK(solo5_net_write(net, buffer, SOLO5_NET_HLEN - 1) != SOLO5_R_OK);
    CHECK(solo5_net_write(net, buffer, 0) != SOLO5_R_OK);
    return succeed();
}
