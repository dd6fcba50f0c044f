/* Measures one kind of call at a time: prints operations and microseconds, for `cargo xtask bench`. The
 * argument says which: `read` or `write` a sector, write a line to the `console`, or `ping` the host
 * with 1,472 bytes and wait for the answer. */

#include <stdbool.h>

#include "print.h"
#include "solo5.h"

enum { ROUNDS = 4000, PINGS = 1500, LINE = 64, HEADERS = 14 + 20 + 8, DATA = 1472 };
enum { ICMP = 1, ECHO_REPLY = 0 };

static uint8_t sector[32768];
static char line[LINE];
static solo5_handle_t disk;
static struct solo5_block_info about;

/* From the guest's 02:00:00:00:00:02 at 10.0.0.2 to the host's 02:00:00:00:00:01 at 10.0.0.1. */
static uint8_t request[HEADERS + DATA] = {
    2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0,
    0x45, 0, (20 + 8 + DATA) >> 8, (20 + 8 + DATA) & 255, 0, 0, 0, 0, 64, ICMP, 0, 0,
    10, 0, 0, 2, 10, 0, 0, 1,
    8, 0, 0, 0, 0, 1, 0, 1,
};
static uint8_t answer[65536];

static void checksum(uint8_t *bytes, size_t size, uint8_t *to)
{
    uint32_t sum = 0;
    for (size_t at = 0; at < size; at += 2)
        sum += (uint32_t)bytes[at] << 8 | bytes[at + 1];
    sum = (sum >> 16) + (sum & 0xffff);
    sum += sum >> 16;
    to[0] = (uint8_t)(~sum >> 8);
    to[1] = (uint8_t)~sum;
}

static bool ping(solo5_handle_t net)
{
    size_t size;
    if (solo5_net_write(net, request, sizeof request) != SOLO5_R_OK)
        return false;
    for (;;) {
        solo5_handle_set_t ready;
        solo5_yield(solo5_clock_monotonic() + 1000000000, &ready);
        /* No answer within a second: it would count as one. */
        if (ready == 0)
            return false;
        if (solo5_net_read(net, answer, sizeof answer, &size) != SOLO5_R_OK)
            return false;
        /* The host may send other frames too. */
        if (size == sizeof request && answer[23] == ICMP && answer[34] == ECHO_REPLY)
            return true;
    }
}

static bool block(bool writes, uint64_t round)
{
    const solo5_off_t at = round * 7919 % (about.capacity / about.block_size) * about.block_size;
    return (writes ? solo5_block_write(disk, at, sector, about.block_size)
                   : solo5_block_read(disk, at, sector, about.block_size)) == SOLO5_R_OK;
}

int solo5_app_main(const struct solo5_start_info *info)
{
    solo5_handle_t net = 0;
    struct solo5_net_info interface;
    const char kind = info->cmdline[0];
    const uint64_t rounds = kind == 'p' ? PINGS : ROUNDS;

    if (kind == 'p' && solo5_net_acquire("service", &net, &interface) != SOLO5_R_OK)
        return 1;
    if ((kind == 'r' || kind == 'w') && solo5_block_acquire("storage", &disk, &about) != SOLO5_R_OK)
        return 1;
    for (size_t at = 0; at < LINE; at++)
        line[at] = '.';
    line[LINE - 1] = '\n';
    checksum(request + 14, 20, request + 24);
    checksum(request + 34, 8 + DATA, request + 36);
    const solo5_time_t start = solo5_clock_monotonic();
    for (uint64_t round = 0; round < rounds; round++) {
        bool done = true;
        if (kind == 'c')
            solo5_console_write(line, LINE);
        else if (kind == 'p')
            done = ping(net);
        else
            done = block(kind == 'w', round);
        if (!done)
            return 2;
    }
    const solo5_time_t taken = solo5_clock_monotonic() - start;
    print("operations:", rounds);
    print("microseconds:", taken / 1000);
    return SOLO5_EXIT_SUCCESS;
}
