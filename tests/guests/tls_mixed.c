/*
 * tls_mixed: a TLS image whose size is no multiple of its alignment. The linker puts the thread
 * pointer behind the *rounded* size, so an unrounded sum moves every variable.
 */
//@ run spt hvt: expect=success peer=no
#include "kit.h"

static __thread volatile long eight = 0x1122334455667788;
static __thread volatile int four;

static uint8_t room[64 * 1024] __attribute__((aligned(4096)));

/* Compilers assume that a function keeps its thread pointer, so this is a function of its own. */
static __attribute__((noinline)) void examine(void)
{
    uintptr_t block = (uintptr_t)room, end = block + solo5_tls_size();
    CHECK((uintptr_t)&eight >= block && (uintptr_t)&eight + sizeof eight <= end);
    CHECK((uintptr_t)&four >= block && (uintptr_t)&four + sizeof four <= end);
    CHECK(eight == 0x1122334455667788);
    CHECK(four == 0);
}

int solo5_app_main(const struct solo5_start_info *info __attribute__((unused)))
{
    title("test_tls_mixed");
    CHECK(solo5_tls_size() <= sizeof room);
    CHECK(solo5_tls_init((uintptr_t)room) == SOLO5_R_OK);
    CHECK(solo5_set_tls_base(solo5_tls_tp_offset((uintptr_t)room)) == SOLO5_R_OK);
    examine();
    return succeed();
}
