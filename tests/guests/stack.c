/*
 * stack: a stack of its own, with a guard below it. Frames of random size fill it to random depths;
 * the heap below keeps its pattern. With `overflow` nothing stops them: the guest ends in the guard.
 */
//@ run spt hvt depths: args="depths 10000" expect=success needs=processor output="guard 65536" peer=no
//@ run spt hvt no-offer: options="--offer=none" args="depths 20" expect=success output="guard 0" peer=no
//@ run spt overflow: args="overflow 1" expect=exit:139 absent=FAILURE peer=no
//@ run spt large-frame: args="large 1" expect=exit:139 absent=FAILURE peer=no
//@ run hvt overflow-trap: args="overflow 1" expect=abort output="Stack overflow" output="solo5-hvt: stack overflow: access to 0x1d" absent=FAILURE peer=no
//@ run hvt large-frame-trap: args="--solo5:quiet large 1" expect=abort output="Stack overflow" absent=FAILURE peer=no
//@ run hvt overrun-trap: args=overrun expect=abort output="Fatal trap" absent="tack overflow" peer=no
//@ run hvt bad-buffer-fault: args=buffer expect="fault:Invalid guest access: gpa=0x1cffff, sz=2" peer=no
//@ run spt overrun: args=overrun expect=exit:139 peer=no
//@ run spt bad-buffer: args=buffer expect=success peer=no
//@ run spt hvt memory-map: args=layout expect=exit:0 output=", stack >= 0x1e0000 < 0x200000\n"
//@ run spt hvt quiet: args="--solo5:quiet depths 20" expect=success absent="Solo5:"
#include "kit.h"

/* The manifest's key. */
#define STACK 0x20000
/* Space that `dive` needs beside its array, and that a call of `fill` needs. */
#define SLACK 512
#define PATTERN 0x5afe0b7ec7ed0001

static uintptr_t bottom;
static uint64_t seed;

/* xorshift64 */
static uint64_t next(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    return seed ^= seed << 17;
}

static __attribute__((noinline)) void fill(volatile unsigned char *at, size_t size)
{
    for (size_t i = 0; i < size; i += 64)
        at[i] = (unsigned char)i;
    at[size - 1] = 1;
}

/* Takes frames of up to `most` bytes as long as the stack pointer stays above `floor`. */
static __attribute__((noinline)) uint64_t dive(uintptr_t floor, size_t most)
{
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    size_t size = 1 + next() % most;
    if (here < floor + SLACK)
        return 1;
    if (size > here - floor - SLACK)
        size = here - floor - SLACK + 1;
    volatile unsigned char frame[size];
    fill(frame, size);
    return dive(floor, most) + frame[size - 1];
}

static __attribute__((noinline)) uint64_t large(void)
{
    volatile unsigned char frame[0x40000];
    frame[opaque(0)] = 1;
    return frame[opaque(0)] + 1;
}

int solo5_app_main(const struct solo5_start_info *info)
{
    title("test_stack");
    uintptr_t start = info->heap_start, end = start + info->heap_size;
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    bottom = ((here + STACK - 1) & ~(uintptr_t)(STACK - 1)) - STACK;
    const char *mode = info->cmdline;
    if (strcmp(mode, "layout") == 0)
        return SOLO5_EXIT_SUCCESS;

    CHECK(here < bottom + STACK && here > bottom + STACK - 4096);
    CHECK(end <= bottom && start < end && end % 65536 == 0);
    say("guard ");
    say_decimal(bottom - end);
    say("\n");
    for (uintptr_t at = start; at < end; at += 8)
        *(volatile uint64_t *)at = PATTERN ^ at;

    seed = 0x9e3779b97f4a7c15;
    if (memcmp(mode, "overflow ", 9) == 0) {
        seed += to_number(mode + 9);
        say("Overflowing\n");
        return (int)dive(0, 40000) & 1; /* never gets that far */
    }
    if (memcmp(mode, "large", 5) == 0)
        return (int)large();
    if (strcmp(mode, "overrun") == 0) {
        *(volatile char *)opaque(end) = 1;
        return SOLO5_EXIT_FAILURE;
    }
    if (strcmp(mode, "buffer") == 0) {
        /* A host that writes nothing there has not read there. */
        solo5_console_write((const char *)end - 1, 2);
        return succeed();
    }

    CHECK(memcmp(mode, "depths ", 7) == 0);
    uint64_t depths = to_number(mode + 7);
    uintptr_t deepest = here;
    for (uint64_t i = 0; i < depths; i++) {
        uintptr_t floor = bottom + next() % (here - bottom);
        if (i % 4 == 0)
            floor = bottom + next() % 64;
        if (floor < deepest)
            deepest = floor;
        CHECK(dive(floor, i % 2 ? 256 : 40000) > 0);
    }
    CHECK(depths > 0 && deepest < bottom + 64);
    for (uintptr_t at = start; at < end; at += 8)
        CHECK(*(volatile uint64_t *)at == (PATTERN ^ at));
    return succeed();
}
