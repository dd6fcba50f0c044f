/*
 * bad_pointers: allowed system calls with pointers to memory that the guest does not have. The kernel
 * refuses them with EFAULT and does no harm, so the guest goes on.
 */
//@ run spt: block.storage=4KiB tap.service0=10.0.0.1/24 expect=exit:0 output="SUCCESS\n" unchanged=storage peer=no
#include "kit.h"

#include "syscall.h"

#if defined(__x86_64__)
#define NR_WRITE 1
#define NR_CLOCK_GETTIME 228
#elif defined(__aarch64__)
#define NR_WRITE 64
#define NR_CLOCK_GETTIME 113
#elif defined(__powerpc64__)
#define NR_WRITE 4
#define NR_CLOCK_GETTIME 246
#endif
#define MINUS_EFAULT (-14)

static solo5_handle_t disk, net;

/* Nothing can be read from there. */
static void refuses_reading(uintptr_t address)
{
    uint8_t *data = (uint8_t *)opaque(address);
    CHECK(system_call(NR_WRITE, 1, (long)address, 16, 0) == MINUS_EFAULT);
    CHECK(solo5_block_write(disk, 0, data, 512) == SOLO5_R_EUNSPEC);
    CHECK(solo5_net_write(net, data, 60) == SOLO5_R_EUNSPEC);
}

/* Nothing can be put there. */
static void refuses_writing(uintptr_t address)
{
    uint8_t *data = (uint8_t *)opaque(address);
    CHECK(system_call(NR_CLOCK_GETTIME, 1, (long)address, 0, 0) == MINUS_EFAULT);
    CHECK(solo5_block_read(disk, 0, data, 512) == SOLO5_R_EUNSPEC);
}

int solo5_app_main(const struct solo5_start_info *info)
{
    struct solo5_block_info disk_info;
    struct solo5_net_info net_info;
    const uintptr_t end = info->heap_start + info->heap_size;
    const uintptr_t nowhere[] = {
        0, 1, 0xfff, end, end + 0x100000, (uintptr_t)1 << 46, (uintptr_t)1 << 63,
        ~(uintptr_t)0 << 47, ~(uintptr_t)0 - 7,
    };

    title("test_bad_pointers");
    CHECK(solo5_block_acquire("storage", &disk, &disk_info) == SOLO5_R_OK);
    CHECK(solo5_net_acquire("service0", &net, &net_info) == SOLO5_R_OK);
    for (size_t i = 0; i < sizeof nowhere / sizeof nowhere[0]; i++) {
        refuses_reading(nowhere[i]);
        refuses_writing(nowhere[i]);
    }
    /* The guest's own code. */
    refuses_writing((uintptr_t)solo5_app_main);
    return succeed();
}
