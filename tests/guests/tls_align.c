/*
 * tls_align: TLS variables of many sizes and alignments lie inside the block, at their alignment,
 * apart from each other, and start with their values; .tbss is zeroed even in a dirty block.
 */
//@ run spt hvt: expect=success peer=no needs=processor
#include "kit.h"

static __thread volatile uint8_t byte = 0x5a;
static __thread volatile uint16_t half = 0x1234;
static __thread volatile uint64_t lined __attribute__((aligned(64))) = 0xfeedface;
static __thread volatile char text[37] = "thirty-seven bytes of text";
static __thread volatile uint32_t wide_zero[25] __attribute__((aligned(128)));
static __thread volatile uint8_t byte_zero;
static __thread volatile double real = 2.5;

#define BLOCK (64 * 1024)
static uint8_t room[2][BLOCK] __attribute__((aligned(4096)));

struct range {
    uintptr_t start, size, align;
};

/* Compilers assume that a function keeps its thread pointer, so these are functions of their own. */
static __attribute__((noinline)) void change(void)
{
    lined = 7;
    wide_zero[24] = 7;
}

static __attribute__((noinline)) void examine(uintptr_t block)
{
    const struct range ranges[] = {
        {(uintptr_t)&byte, sizeof byte, 1},
        {(uintptr_t)&half, sizeof half, 2},
        {(uintptr_t)&lined, sizeof lined, 64},
        {(uintptr_t)text, sizeof text, 1},
        {(uintptr_t)wide_zero, sizeof wide_zero, 128},
        {(uintptr_t)&byte_zero, sizeof byte_zero, 1},
        {(uintptr_t)&real, sizeof real, 8},
    };
    const size_t count = sizeof ranges / sizeof ranges[0];
    for (size_t i = 0; i < count; i++) {
        CHECK(ranges[i].start % ranges[i].align == 0);
        CHECK(ranges[i].start >= block);
        CHECK(ranges[i].start + ranges[i].size <= block + solo5_tls_size());
        for (size_t j = 0; j < i; j++)
            CHECK(ranges[i].start + ranges[i].size <= ranges[j].start ||
                  ranges[j].start + ranges[j].size <= ranges[i].start);
    }
    CHECK(byte == 0x5a);
    CHECK(half == 0x1234);
    CHECK(lined == 0xfeedface);
    for (size_t i = 0; i < sizeof text; i++)
        CHECK(text[i] == (i < 26 ? "thirty-seven bytes of text"[i] : '\0'));
    for (size_t i = 0; i < 25; i++)
        CHECK(wide_zero[i] == 0);
    CHECK(byte_zero == 0);
    CHECK(real == 2.5);
}

int solo5_app_main(const struct solo5_start_info *info __attribute__((unused)))
{
    title("test_tls_align");
    CHECK(solo5_tls_size() <= BLOCK);
    CHECK(solo5_tls_init((uintptr_t)room[0] + 1) != SOLO5_R_OK);
    memset(room, 0xff, sizeof room);
    for (int i = 0; i < 2; i++) {
        CHECK(solo5_tls_init((uintptr_t)room[i]) == SOLO5_R_OK);
        for (size_t at = solo5_tls_size(); at < BLOCK; at++)
            CHECK(room[i][at] == 0xff);
        CHECK(solo5_set_tls_base(solo5_tls_tp_offset((uintptr_t)room[i])) == SOLO5_R_OK);
        examine((uintptr_t)room[i]);
        change();
    }
    return succeed();
}
