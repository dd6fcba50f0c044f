/*
 * virtio_devices: every device is the one of its name. A disk has its name in its first sector, and the
 * guest writes it into the second. Interfaces 2N and 2N + 1 are on one network, so each gets the frame
 * of the other. Names with a 9 are too long for a serial.
 */
//@ run virtio: expect=success
#include "kit.h"

#ifndef BLOCKS
#define BLOCKS 30
#define NETS 16
#endif

static uint8_t sector[4096];
static uint8_t frame[2048];
static char name[64];
static solo5_handle_t nets[NETS];
static struct solo5_net_info net_infos[NETS];

/* `blk07`, or `aNameThatIsLongerThanASerial09`. */
static const char *name_of(const char *kind, unsigned number)
{
    const char *start = number % 10 == 9 ? "aNameThatIsLongerThanASerial" : kind;
    const size_t len = strlen(start);
    memcpy(name, start, len);
    name[len] = (char)('0' + number / 10);
    name[len + 1] = (char)('0' + number % 10);
    name[len + 2] = 0;
    return name;
}

static void check_disk(unsigned number)
{
    struct solo5_block_info info;
    solo5_handle_t disk;
    const char *own = name_of("blk", number);
    const size_t len = strlen(own) + 1;

    CHECK(solo5_block_acquire(own, &disk, &info) == SOLO5_R_OK);
    CHECK(info.block_size <= sizeof sector && info.capacity >= 2 * info.block_size);
    CHECK(solo5_block_read(disk, 0, sector, info.block_size) == SOLO5_R_OK);
    if (memcmp(sector, own, len) != 0) {
        say(own);
        say(" has the disk of ");
        say((const char *)sector);
        say("\n");
        CHECK(!"the right disk");
    }
    CHECK(solo5_block_write(disk, info.block_size, sector, info.block_size) == SOLO5_R_OK);
    CHECK(solo5_block_read(disk, 2 * info.capacity, sector, info.block_size) == SOLO5_R_EINVAL);
}

static void acquire_net(unsigned number)
{
    struct solo5_net_info *info = &net_infos[number];
    const char *own = name_of("net", number);
    CHECK(solo5_net_acquire(own, &nets[number], info) == SOLO5_R_OK);
    say(own);
    say(" is ");
    for (int i = 0; i < SOLO5_NET_ALEN; i++)
        say_hex(info->mac_address[i], 2);
    say("\n");
}

/* A frame of `from` reaches `to` and nobody else. */
static void check_net(unsigned from, unsigned to)
{
    solo5_handle_set_t ready = 0;
    size_t size = 0;
    uint8_t sent[60] = {0};

    memset(sent, 0xff, SOLO5_NET_ALEN);
    memcpy(sent + SOLO5_NET_ALEN, net_infos[from].mac_address, SOLO5_NET_ALEN);
    sent[SOLO5_NET_HLEN] = (uint8_t)from;
    CHECK(solo5_net_write(nets[from], sent, sizeof sent) == SOLO5_R_OK);
    solo5_yield(solo5_clock_monotonic() + 5000000000ULL, &ready);
    CHECK(ready == (solo5_handle_set_t)1 << nets[to]);
    CHECK(solo5_net_read(nets[to], frame, sizeof frame, &size) == SOLO5_R_OK);
    CHECK(size == sizeof sent && memcmp(frame, sent, sizeof sent) == 0);
    CHECK(solo5_net_read(nets[to], frame, sizeof frame, &size) == SOLO5_R_AGAIN);
}

int solo5_app_main(const struct solo5_start_info *info)
{
    title("test_virtio_devices");
    say("Command line is: '");
    say(info->cmdline);
    say("'\n");
    for (unsigned number = 0; number < BLOCKS; number++)
        check_disk(number);
    for (unsigned number = 0; number < NETS; number++)
        acquire_net(number);
    for (unsigned number = 0; number + 1 < NETS; number += 2) {
        check_net(number, number + 1);
        check_net(number + 1, number);
    }
    return succeed();
}
