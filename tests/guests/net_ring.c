/*
 * net_ring: answers pings filled with de ad be ef and checks every byte of them, beyond the 16 a
 * ping may use for a time stamp.
 */
//@ run spt hvt: tap.service0=10.0.0.1/24 ping=10.0.0.2*10000 ping-pattern=deadbeef expect=success output="Verified 10000 packets, 0 corrupted\n"
#include "kit.h"

#include "pong.h"

#define PACKETS 10000
#define STAMP 16

static struct interface nic = {.name = "service0", .address = {10, 0, 0, 2}};
static uint8_t frame[65536];

static bool intact(size_t size)
{
    static const uint8_t pattern[4] = {0xde, 0xad, 0xbe, 0xef};
    const uint8_t *payload = frame + ICMP + ICMP_SIZE;
    size_t length = get16(frame + IP + 2) - IP_SIZE - ICMP_SIZE;
    if (ICMP + ICMP_SIZE + length > size || length <= STAMP)
        return false;
    for (size_t i = STAMP; i < length; i++)
        if (payload[i] != pattern[i % 4])
            return false;
    return true;
}

int solo5_app_main(const struct solo5_start_info *info __attribute__((unused)))
{
    title("test_net_ring: ioeventfd data integrity");
    CHECK(start_interface(&nic));
    for (unsigned verified = 0; verified < PACKETS;) {
        size_t size;
        solo5_handle_set_t ready;
        solo5_yield(solo5_clock_monotonic() + 1000000000, &ready);
        if (ready == 0)
            continue;
        solo5_result_t result =
            solo5_net_read(nic.handle, frame, nic.info.mtu + SOLO5_NET_HLEN, &size);
        if (result == SOLO5_R_AGAIN)
            continue;
        CHECK(result == SOLO5_R_OK);
        enum pong pong = answer(&nic, frame, size);
        if (pong != PONG_ARP && pong != PONG_ECHO)
            continue;
        if (pong == PONG_ECHO) {
            CHECK(intact(size));
            verified++;
        }
        CHECK(solo5_net_write(nic.handle, frame, size) == SOLO5_R_OK);
    }
    say("Verified ");
    say_decimal(PACKETS);
    say(" packets, 0 corrupted\n");
    return succeed();
}
