/* tls: two threads' worth of TLS, switched between; the status tells the step that failed. */
//@ run spt hvt virtio xen: expect=success
#include "kit.h"

static __thread volatile uint64_t zeroed;
static __thread volatile uint64_t initialised = 0xc0ffee;

#define ROOM (64 * 1024)
static uint8_t room[ROOM] __attribute__((aligned(4096)));
static size_t taken;

/* Zeroed, aligned to 64; 0 when there is no more. */
static uintptr_t take(size_t size)
{
    uintptr_t block = (uintptr_t)room + taken;
    size = (size + 63) & ~(size_t)63;
    if (size > ROOM - taken)
        return 0;
    taken += size;
    return block;
}

/* Compilers assume that a function keeps its thread pointer, so these are functions of their own. */
static __attribute__((noinline)) int are(uint64_t zeroed_wanted, uint64_t initialised_wanted)
{
    return zeroed == zeroed_wanted && initialised == initialised_wanted;
}

static __attribute__((noinline)) void set(uint64_t zeroed_new, uint64_t initialised_new)
{
    zeroed = zeroed_new;
    initialised = initialised_new;
}

static solo5_result_t enter(uintptr_t block)
{
    return solo5_set_tls_base(solo5_tls_tp_offset(block));
}

int solo5_app_main(const struct solo5_start_info *info __attribute__((unused)))
{
    title("test_tls");
    uintptr_t first = take(solo5_tls_size());
    uintptr_t second = take(solo5_tls_size());
    if (first == 0 || second == 0)
        return 1;
    if (solo5_tls_init(0) == SOLO5_R_OK)
        return 2;
    if (solo5_tls_init(first) != SOLO5_R_OK || solo5_tls_init(second) != SOLO5_R_OK)
        return 3;

    if (enter(first) != SOLO5_R_OK)
        return 4;
    if (!are(0, 0xc0ffee))
        return 10;
    set(1, 0xc0ffee);

    if (enter(second) != SOLO5_R_OK)
        return 5;
    if (!are(0, 0xc0ffee))
        return 11;
    set(2, 2);

    if (enter(first) != SOLO5_R_OK || !are(1, 0xc0ffee))
        return 6;
    if (enter(second) != SOLO5_R_OK || !are(2, 2))
        return 7;
    return succeed();
}
