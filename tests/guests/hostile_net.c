/*
 * hostile_net: frames and ring contents that no unikernel makes; kit/hostile.h has the other commands.
 * The device has the handle 1; the ring lies at 0x200000, behind guest memory.
 *
 *   ring OFFSET VALUE     stores 32 bits in the ring, then kicks and yields
 *   read-ring OFFSET VALUE  the same, with one read queued
 *   entry OPERATION HANDLE DATA LENGTH  queues this, kicks and yields
 *   twist OFFSET VALUE    twice: stores 32 bits in the ring, queues a good frame and yields
 *   race                  receives frames into the argument of calls that are under way
 */

/* call 6|7 HANDLE DATA LENGTH */
//@ run hvt write-argument-behind: tap.service0=10.0.0.1/24 args="at 6 200000" expect="fault:Invalid guest access: gpa=0x200000, sz=32" absent=answered peer=no
//@ run hvt read-argument-over-the-end: tap.service0=10.0.0.1/24 args="at 7 1fffe1" expect="fault:Invalid guest access: gpa=0x1fffe1, sz=32" absent=answered peer=no
//@ run hvt read-argument-in-code: tap.service0=10.0.0.1/24 args="at 7 100000" expect="fault:Invalid guest access: gpa=0x100000, sz=32" absent=answered peer=no
//@ run hvt argument-in-ring: tap.service0=10.0.0.1/24 args="at 6 200080" expect="fault:Invalid guest access: gpa=0x200080, sz=32" absent=answered peer=no
//@ run hvt odd: tap.service0=10.0.0.1/24 args="odd 6 1 180000 40" expect=exit:0 output="ret 0, answered"
//@ run hvt handle-0: tap.service0=10.0.0.1/24 args="call 6 0 180000 40" expect=exit:0 output="ret 2, answered"
//@ run hvt handle-behind: tap.service0=10.0.0.1/24 args="call 7 2 180000 40" expect=exit:0 output="ret 2, answered"
//@ run hvt handle-64: tap.service0=10.0.0.1/24 args="call 6 40 180000 40" expect=exit:0 output="ret 2, answered"
//@ run hvt handle-high-half: tap.service0=10.0.0.1/24 args="call 6 100000001 180000 40" expect=exit:0 output="ret 2, answered" peer=no
//@ run hvt handle-highest: tap.service0=10.0.0.1/24 args="call 7 ffffffffffffffff 180000 40" expect=exit:0 output="ret 2, answered" peer=no
//@ run hvt write-data-behind: tap.service0=10.0.0.1/24 args="call 6 1 200000 40" expect="fault:Invalid guest access: gpa=0x200000, sz=64" absent=answered peer=no
//@ run hvt write-data-over-the-end: tap.service0=10.0.0.1/24 args="call 6 1 1fffc1 40" expect="fault:Invalid guest access: gpa=0x1fffc1, sz=64" absent=answered peer=no
//@ run hvt write-data-highest: tap.service0=10.0.0.1/24 args="call 6 1 ffffffffffffffff 40" expect="fault:Invalid guest access: gpa=0xffffffffffffffff, sz=64" absent=answered peer=no
//@ run hvt read-data-behind: tap.service0=10.0.0.1/24 args="call 7 1 200000 40" expect="fault:Invalid guest access: gpa=0x200000, sz=64" absent=answered peer=no
//@ run hvt read-data-over-the-end: tap.service0=10.0.0.1/24 args="call 7 1 1fffff 5ea" expect="fault:Invalid guest access: gpa=0x1fffff, sz=1514" absent=answered peer=no
//@ run hvt read-over-page-tables: tap.service0=10.0.0.1/24 args="call 7 1 2000 5ea" expect="fault:Invalid guest access: gpa=0x2000, sz=1514" absent=answered peer=no
//@ run hvt read-over-code: tap.service0=10.0.0.1/24 args="call 7 1 100000 5ea" expect="fault:Invalid guest access: gpa=0x100000, sz=1514" absent=answered peer=no
//@ run hvt write-length-highest: tap.service0=10.0.0.1/24 args="call 6 1 180000 ffffffffffffffff" expect="fault:Invalid guest access: gpa=0x180000, sz=18446744073709551615" absent=answered peer=no
//@ run hvt write-length-wraps: tap.service0=10.0.0.1/24 args="call 6 1 180000 ffffffffffe80040" expect="fault:Invalid guest access: gpa=0x180000, sz=18446744073707978816" absent=answered peer=no
//@ run hvt read-length-signed: tap.service0=10.0.0.1/24 args="call 7 1 180000 8000000000000000" expect="fault:Invalid guest access: gpa=0x180000, sz=9223372036854775808" absent=answered peer=no
//@ run hvt write-length-0: tap.service0=10.0.0.1/24 args="call 6 1 180000 0" expect=exit:0 output="ret 2, answered" peer=no
//@ run hvt write-length-13: tap.service0=10.0.0.1/24 args="call 6 1 180000 d" expect=exit:0 output="ret 2, answered" peer=no
//@ run hvt write-length-over-the-mtu: tap.service0=10.0.0.1/24 args="call 6 1 180000 5eb" expect=exit:0 output="ret 2, answered" peer=no
//@ run hvt block-call: tap.service0=10.0.0.1/24 args="call 4 1 0 180000 200" expect="fault:Invalid guest hypercall: num=4" absent=answered peer=no

/* The guest's counters of the ring. */
//@ run hvt ring-tail-1025: tap.service0=10.0.0.1/24 args="ring 0 401" expect="fault:Invalid guest ring: ent_tail claims 1025 submissions" absent=answered peer=no
//@ run hvt ring-tail-signed: tap.service0=10.0.0.1/24 args="ring 0 80000000" expect="fault:Invalid guest ring: ent_tail claims 2147483648 submissions" absent=answered peer=no
//@ run hvt ring-tail-backwards: tap.service0=10.0.0.1/24 args="ring 0 ffffffff" expect="fault:Invalid guest ring: ent_tail claims 4294967295 submissions" absent=answered peer=no
//@ run hvt ring-tail-full: tap.service0=10.0.0.1/24 args="ring 0 400" expect=exit:0 output=answered peer=no
//@ run hvt ring-head-1024-behind: tap.service0=10.0.0.1/24 args="read-ring 4 fffffc00" expect="fault:Invalid guest ring: com_head leaves no room for a commit" absent=answered peer=no
//@ run hvt ring-head-ahead: tap.service0=10.0.0.1/24 args="read-ring 4 1" expect="fault:Invalid guest ring: com_head leaves no room for a commit" absent=answered peer=no
//@ run hvt ring-head-signed: tap.service0=10.0.0.1/24 args="read-ring 4 80000000" expect="fault:Invalid guest ring: com_head leaves no room for a commit" absent=answered peer=no
//@ run hvt ring-head-1023-behind: tap.service0=10.0.0.1/24 args="read-ring 4 fffffc01" expect=exit:0 output=answered peer=no
/* The tender's counters: it does not read what the guest stores there. */
//@ run hvt ring-own-head: tap.service0=10.0.0.1/24 args="twist 40 7fffffff" expect=exit:0 output="2 taken, answered" peer=no
//@ run hvt ring-own-head-ahead: tap.service0=10.0.0.1/24 args="twist 40 400" expect=exit:0 output="2 taken, answered" peer=no
//@ run hvt ring-own-tail: tap.service0=10.0.0.1/24 args="twist 44 80000000" expect=exit:0 output="2 taken, answered" peer=no
//@ run hvt ring-no-kick: tap.service0=10.0.0.1/24 args="twist 48 0" expect=exit:0 output="2 taken, answered" peer=no
//@ run hvt ring-kick-always: tap.service0=10.0.0.1/24 args="twist 48 ffffffff" expect=exit:0 output="2 taken, answered" peer=no
//@ run hvt ring-behind: tap.service0=10.0.0.1/24 args="twist c080 ffffffff" expect=exit:0 output="2 taken, answered" peer=no

/* entry OPERATION HANDLE DATA LENGTH */
//@ run hvt entry-unknown: tap.service0=10.0.0.1/24 args="entry 0 1 ffffffffffffffff ffffffff" expect=exit:0 output=answered peer=no
//@ run hvt entry-operation-highest: tap.service0=10.0.0.1/24 args="entry ffffffff 1 ffffffffffffffff ffffffff" expect=exit:0 output=answered peer=no
//@ run hvt entry-handle-0: tap.service0=10.0.0.1/24 args="entry 1 0 180000 40" expect=exit:0 output=answered peer=no
//@ run hvt entry-handle-highest: tap.service0=10.0.0.1/24 args="entry 2 ffffffff 180000 40" expect=exit:0 output=answered peer=no
//@ run hvt entry-write-behind: tap.service0=10.0.0.1/24 args="entry 1 1 200000 40" expect="fault:Invalid guest access: gpa=0x200000, sz=64" absent=answered peer=no
//@ run hvt entry-write-over-the-end: tap.service0=10.0.0.1/24 args="entry 1 1 1fffc1 40" expect="fault:Invalid guest access: gpa=0x1fffc1, sz=64" absent=answered peer=no
//@ run hvt entry-write-highest: tap.service0=10.0.0.1/24 args="entry 1 1 ffffffffffffffff 40" expect="fault:Invalid guest access: gpa=0xffffffffffffffff, sz=64" absent=answered peer=no
//@ run hvt entry-write-wraps: tap.service0=10.0.0.1/24 args="entry 1 1 ffffffffffffffc0 40" expect="fault:Invalid guest access: gpa=0xffffffffffffffc0, sz=64" absent=answered peer=no
//@ run hvt entry-write-length-highest: tap.service0=10.0.0.1/24 args="entry 1 1 180000 ffffffff" expect="fault:Invalid guest access: gpa=0x180000, sz=4294967295" absent=answered peer=no
//@ run hvt entry-write-length-0: tap.service0=10.0.0.1/24 args="entry 1 1 180000 0" expect=exit:0 output=answered peer=no
//@ run hvt entry-read-behind: tap.service0=10.0.0.1/24 args="entry 2 1 200000 40" expect="fault:Invalid guest access: gpa=0x200000, sz=64" absent=answered peer=no
//@ run hvt entry-read-into-ring: tap.service0=10.0.0.1/24 args="entry 2 1 1fffff 40" expect="fault:Invalid guest access: gpa=0x1fffff, sz=64" absent=answered peer=no
//@ run hvt entry-read-over-page-tables: tap.service0=10.0.0.1/24 args="entry 2 1 2000 5ea" expect="fault:Invalid guest access: gpa=0x2000, sz=1514" absent=answered peer=no
//@ run hvt entry-read-over-code: tap.service0=10.0.0.1/24 args="entry 2 1 100000 5ea" expect="fault:Invalid guest access: gpa=0x100000, sz=1514" absent=answered peer=no

/* Sooner or later a frame replaces the argument of PUTS between two calls, or during one. */
//@ run hvt race: tap.service0=10.0.0.1/24 args=race expect="fault:Invalid guest access: gpa=0x*" absent=answered peer=no
#include "hostile.h"

#include "pong.h"

static struct interface nic = {.name = "service0", .address = {10, 0, 0, 2}};
static uint8_t frame[128];

/* Where the tender offers its ring. */
static struct hvt_ring *ring(void)
{
    const struct hvt_boot_info *boot =
        (const struct hvt_boot_info *)opaque((uintptr_t)HVT_BOOT_INFO_BASE);
    CHECK((boot->host_features & HVT_FEATURE_RING_IO) != 0 && boot->net_ring == boot->mem_size);
    return (struct hvt_ring *)opaque((uintptr_t)boot->net_ring);
}

static void store(volatile void *at, uint32_t value)
{
    __atomic_store_n((volatile uint32_t *)at, value, __ATOMIC_SEQ_CST);
}

static uint32_t load(volatile void *at)
{
    return __atomic_load_n((volatile uint32_t *)at, __ATOMIC_SEQ_CST);
}

static void queue(uint32_t operation, uint32_t handle, uint64_t data, uint32_t length)
{
    struct hvt_ring *to = ring();
    const uint32_t tail = load(&to->submitted);
    volatile struct hvt_ring_submission *entry = &to->submissions[tail % HVT_RING_ENTRIES];
    entry->operation = operation;
    entry->handle = handle;
    entry->data = data;
    entry->len = length;
    entry->id = tail;
    store(&to->submitted, tail + 1);
}

/* Gives both threads of the tender time to look at the ring. */
static void let_it_be_seen(void)
{
    solo5_handle_set_t ready;
    hostile_kick();
    solo5_yield(solo5_clock_monotonic() + 20000000, &ready);
}

/* Two frames are sent, whatever the guest stores in the tender's part of the ring. */
static void twist(uint64_t offset, uint32_t value)
{
    struct hvt_ring *to = ring();
    const uint64_t data = (uint64_t)(uintptr_t)frame;
    store((uint8_t *)to + offset, value);
    queue(HVT_RING_NET_WRITE, 1, data, sizeof frame);
    let_it_be_seen();
    store((uint8_t *)to + offset, value);
    queue(HVT_RING_NET_WRITE, 1, data, sizeof frame);
    let_it_be_seen();
    say_decimal(load(&to->submissions_taken));
    say(" taken, ");
}

/* The host answers each request for its address with a frame that is received over `hostile_area`. */
static void race(void)
{
    static const uint8_t host[4] = {10, 0, 0, 1}, nobody[SOLO5_NET_ALEN];
    const uint64_t argument = (uint64_t)(uintptr_t)hostile_area;
    memset(frame, 0xff, SOLO5_NET_ALEN);
    memcpy(frame + 6, nic.info.mac_address, SOLO5_NET_ALEN);
    put_arp(&nic, frame, 1, nobody, host);
    for (uint32_t taken = 0;; taken++) {
        queue(HVT_RING_NET_WRITE, 1, (uint64_t)(uintptr_t)frame, ARP + ARP_SIZE);
        queue(HVT_RING_NET_READ, 1, argument, 64);
        hostile_kick();
        for (int i = 0; i < 100; i++) {
            hostile_area[0] = (uint64_t)(uintptr_t)frame;
            hostile_area[1] = 0;
            hostile_hypercall(HVT_HYPERCALL_PUTS, (uint32_t)argument);
        }
        let_it_be_seen();
        hostile_hypercall(HVT_HYPERCALL_PUTS, (uint32_t)argument);
        store(&ring()->completions_taken, taken + 1);
    }
}

int solo5_app_main(const struct solo5_start_info *info)
{
    CHECK(solo5_net_acquire(nic.name, &nic.handle, &nic.info) == SOLO5_R_OK && nic.handle == 1);
    hostile_read(info->cmdline);
    const uint64_t *words = command.words;
    if (hostile_is(command.name, "ring") || hostile_is(command.name, "read-ring")) {
        store((uint8_t *)ring() + words[0], (uint32_t)words[1]);
        if (hostile_is(command.name, "read-ring"))
            queue(HVT_RING_NET_READ, 1, (uint64_t)(uintptr_t)frame, sizeof frame);
        let_it_be_seen();
    } else if (hostile_is(command.name, "entry")) {
        queue((uint32_t)words[0], (uint32_t)words[1], words[2], (uint32_t)words[3]);
        let_it_be_seen();
    } else if (hostile_is(command.name, "twist")) {
        twist(words[0], (uint32_t)words[1]);
    } else if (hostile_is(command.name, "race")) {
        race();
    } else {
        return hostile_do();
    }
    say("answered\n");
    return SOLO5_EXIT_SUCCESS;
}
