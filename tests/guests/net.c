/*
 * net: answers pings on 10.0.0.2, and on 10.1.0.2 with INTERFACES 2. The argument is `limit`, to
 * end after PINGS_WANTED of them, or `verbose`. Since 0.7.3 upstream says why it cannot attach a tap.
 */
//@ run spt hvt virtio: tap.service0=10.0.0.1/24 args=limit ping=10.0.0.2*100000 expect=success output="[service0] Serving ping on 10.0.0.2, with MAC: " output="Limit reached, exiting\n" needs=processor
//@ run spt hvt usage: tap.service0=10.0.0.1/24 expect=exit:1 output="Usage: "
//@ run spt hvt not-attached: args=limit expect=exit:1 output="Device 'service0' of type NET_BASIC declared but not attached."
//@ run spt hvt no-such-interface: options="--net:service0=nosuchtap" expect=exit:1 output="Could not attach interface: nosuchtap: No such file or directory" peer=0.7.3
//@ run spt hvt interface-name-too-long: options="--net:service0=abcdefghijklmnop" expect=exit:1 output="Could not attach interface: abcdefghijklmnop: File" peer=0.7.3
//@ run spt hvt not-a-tap: options="--net:service0=lo" expect=exit:1 output="Could not attach interface: lo: " peer=0.7.3
//@ run spt hvt interface-down: tap.service0=down expect=exit:1 output=": Network is down" peer=0.7.3
#include "kit.h"

#include "pong.h"

#ifndef INTERFACES
#define INTERFACES 1
#endif
#ifndef PINGS_WANTED
#define PINGS_WANTED 100000
#endif
#ifndef TEST_NAME
#define TEST_NAME "test_net"
#endif

static struct interface interfaces[] = {
    {.name = "service0", .address = {10, 0, 0, 2}},
    {.name = "service1", .address = {10, 1, 0, 2}},
};

static uint8_t frame[65536];
static unsigned long pings;
static bool verbose;

/* Reads one frame and answers it; false if the device fails. */
static bool serve(const struct interface *nic)
{
    size_t size;
    if (solo5_net_read(nic->handle, frame, nic->info.mtu + SOLO5_NET_HLEN, &size) != SOLO5_R_OK) {
        say("Read error\n");
        return false;
    }
    enum pong pong = answer(nic, frame, size);
    switch (pong) {
    case PONG_NOTHING:
        return true;
    case PONG_UNSUPPORTED:
        if (verbose)
            say("Unknown or unsupported packet, dropped\n");
        return true;
    case PONG_ARP:
    case PONG_ECHO:
        break;
    }
    if (solo5_net_write(nic->handle, frame, size) != SOLO5_R_OK) {
        say("Write error\n");
        return false;
    }
    if (pong == PONG_ECHO)
        pings++;
    if (verbose)
        say(pong == PONG_ECHO ? "Answered a ping\n" : "Answered an ARP request\n");
    return true;
}

int solo5_app_main(const struct solo5_start_info *info)
{
    bool limited = info->cmdline[0] == 'l';
    verbose = info->cmdline[0] == 'v';

    title(TEST_NAME);
#ifdef HANDLE_WANTED
    limited = true;
#else
    if (!limited && !verbose) {
        say("Usage: test_net limit | verbose\n");
        return SOLO5_EXIT_FAILURE;
    }
#endif
    for (int i = 0; i < INTERFACES; i++)
        if (!start_interface(&interfaces[i]))
            return SOLO5_EXIT_FAILURE;
#ifdef HANDLE_WANTED
    CHECK(interfaces[0].handle == HANDLE_WANTED);
#endif

    while (!limited || pings < PINGS_WANTED) {
        solo5_handle_set_t ready;
        solo5_handle_set_t ours = 0;
        solo5_yield(solo5_clock_monotonic() + 1000000000, &ready);
        for (int i = 0; i < INTERFACES; i++) {
            solo5_handle_set_t bit = (solo5_handle_set_t)1 << interfaces[i].handle;
            ours |= bit;
            if ((ready & bit) != 0 && !serve(&interfaces[i])) {
                say("FAILURE\n");
                return SOLO5_EXIT_FAILURE;
            }
        }
        CHECK((ready & ~ours) == 0);
    }
    say("Limit reached, exiting\n");
    return succeed();
}
