/* Measures a network device: sends frames ("send") or receives them ("receive"), and prints frames
 * and microseconds, for `cargo xtask bench`. */

#include "print.h"
#include "solo5.h"

enum { FRAMES = 100000, SIZE = 1514 };

static uint8_t frame[2048];

/* The frames have Ethernet's experimental type, which no host answers. */
static int send(solo5_handle_t net)
{
    for (int i = 0; i < 6; i++)
        frame[i] = 0xff;
    frame[12] = 0x88;
    frame[13] = 0xb5;
    for (uint64_t sent = 0; sent < FRAMES;) {
        solo5_result_t result = solo5_net_write(net, frame, SIZE);
        if (result == SOLO5_R_OK)
            sent++;
        else if (result != SOLO5_R_AGAIN)
            return 2;
    }
    return 0;
}

static int receive(solo5_handle_t net)
{
    for (uint64_t got = 0; got < FRAMES;) {
        size_t size;
        solo5_result_t result = solo5_net_read(net, frame, sizeof frame, &size);
        if (result == SOLO5_R_OK)
            got += size > 1000;
        else if (result == SOLO5_R_AGAIN)
            solo5_yield(solo5_clock_monotonic() + 1000000000, NULL);
        else
            return 3;
    }
    return 0;
}

int solo5_app_main(const struct solo5_start_info *info)
{
    solo5_handle_t net;
    struct solo5_net_info about;

    if (solo5_net_acquire("service", &net, &about) != SOLO5_R_OK)
        return 1;
    solo5_time_t start = solo5_clock_monotonic();
    int status = info->cmdline[0] == 's' ? send(net) : receive(net);
    if (status != 0)
        return status;
    print("operations:", FRAMES);
    print("microseconds:", (solo5_clock_monotonic() - start) / 1000);
    return SOLO5_EXIT_SUCCESS;
}
