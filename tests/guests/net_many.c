/* net_many: reads and writes several frames in one call. It answers pings with them. */
//@ run spt hvt virtio: tap.service0=10.0.0.1/24 ping=10.0.0.2*1000 ping-pattern=deadbeef expect=success output="Answered 1000 pings\n" peer=no
#include "kit.h"

#include "pong.h"

#define PINGS 1000
#define MANY 16

static struct interface nic = {.name = "service0", .address = {10, 0, 0, 2}};
static uint8_t buffers[MANY][2048];
static struct solo5_net_frame frames[MANY];

static void reset(void)
{
    for (int i = 0; i < MANY; i++)
        frames[i] = (struct solo5_net_frame){.buf = buffers[i], .size = sizeof buffers[i]};
}

/* How far a call gets that stops at an invalid frame, and calls without frames. */
static void check_results(void)
{
    size_t longest = nic.info.mtu + SOLO5_NET_HLEN;
    size_t done = 99;

    CHECK(solo5_net_write_many(nic.handle, NULL, 0, &done) == SOLO5_R_OK && done == 0);
    done = 99;
    CHECK(solo5_net_read_many(nic.handle, NULL, 0, &done) == SOLO5_R_OK && done == 0);

    reset();
    for (int i = 0; i < MANY; i++) {
        memset(frames[i].buf, 0xff, SOLO5_NET_ALEN);
        memcpy(frames[i].buf + 6, nic.info.mac_address, SOLO5_NET_ALEN);
        put_arp(&nic, frames[i].buf, 1, frames[i].buf, nic.address);
        frames[i].size = i == 3 ? longest + 1 : ARP + ARP_SIZE;
    }
    CHECK(solo5_net_write_many(nic.handle, frames, MANY, &done) == SOLO5_R_EINVAL && done == 3);
    CHECK(solo5_net_write_many(nic.handle, frames, 3, &done) == SOLO5_R_OK && done == 3);
    CHECK(solo5_net_write_many(nic.handle, frames + 3, 1, &done) == SOLO5_R_EINVAL && done == 0);
    CHECK(solo5_net_write_many(nic.handle, frames + 4, 12, &done) == SOLO5_R_OK && done == 12);
    CHECK(solo5_net_write_many(nic.handle + 1, frames, 1, &done) == SOLO5_R_EINVAL && done == 0);

    reset();
    frames[0].size = longest - 1;
    CHECK(solo5_net_read_many(nic.handle, frames, MANY, &done) == SOLO5_R_EINVAL && done == 0);
    CHECK(frames[0].size == longest - 1);
    CHECK(solo5_net_read_many(nic.handle + 1, frames, MANY, &done) == SOLO5_R_EINVAL);
}

int solo5_app_main(const struct solo5_start_info *info __attribute__((unused)))
{
    unsigned pings = 0;

    title("test_net_many");
    CHECK(solo5_net_acquire(nic.name, &nic.handle, &nic.info) == SOLO5_R_OK);
    check_results();
    say("Serving ping\n");
    while (pings < PINGS) {
        solo5_handle_set_t ready;
        size_t count, answers = 0, done;

        solo5_yield(solo5_clock_monotonic() + 1000000000, &ready);
        if (ready == 0)
            continue;
        do {
            reset();
            solo5_result_t result = solo5_net_read_many(nic.handle, frames, MANY, &count);
            CHECK(count > 0 ? result == SOLO5_R_OK : result == SOLO5_R_AGAIN);
            if (count < MANY)
                CHECK(frames[count].size == sizeof buffers[0]);
            answers = 0;
            for (size_t i = 0; i < count; i++) {
                enum pong pong = answer(&nic, frames[i].buf, frames[i].size);
                if (pong == PONG_ECHO)
                    pings++;
                if (pong == PONG_ECHO || pong == PONG_ARP)
                    frames[answers++] = frames[i];
            }
            CHECK(solo5_net_write_many(nic.handle, frames, answers, &done) == SOLO5_R_OK);
            CHECK(done == answers);
        } while (count == MANY);
    }
    say("Answered ");
    say_decimal(pings);
    say(" pings\n");
    return succeed();
}
