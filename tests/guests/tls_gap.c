/*
 * tls_gap: .tbss is aligned to far more than a page, so a block has a gap after .tdata. The image has
 * no bytes for the gap, and need not be mapped there, so the bindings must not copy it.
 */
//@ run spt hvt: mem=8 expect=success peer=no
#include "kit.h"

#define ALIGN (512 * 1024)

static __thread volatile long initialised = 0x1122334455667788;
static __thread volatile char zero[100] __attribute__((aligned(ALIGN)));

static uint8_t room[2 * ALIGN + 4096] __attribute__((aligned(ALIGN)));

/* Compilers assume that a function keeps its thread pointer, so this is a function of its own. */
static __attribute__((noinline)) void examine(void)
{
    CHECK((uintptr_t)zero % ALIGN == 0);
    CHECK((uintptr_t)&initialised >= (uintptr_t)room);
    CHECK((uintptr_t)zero + sizeof zero <= (uintptr_t)room + solo5_tls_size());
    CHECK(initialised == 0x1122334455667788);
    for (size_t i = 0; i < sizeof zero; i++)
        CHECK(zero[i] == 0);
}

int solo5_app_main(const struct solo5_start_info *info __attribute__((unused)))
{
    title("test_tls_gap");
    CHECK(solo5_tls_size() <= sizeof room);
    CHECK(solo5_tls_init((uintptr_t)room + ALIGN / 2) == SOLO5_R_EINVAL);
    memset(room, 0xff, sizeof room);
    CHECK(solo5_tls_init((uintptr_t)room) == SOLO5_R_OK);
    CHECK(solo5_set_tls_base(solo5_tls_tp_offset((uintptr_t)room)) == SOLO5_R_OK);
    examine();
    return succeed();
}
