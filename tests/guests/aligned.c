/*
 * aligned: code and data aligned above a page, in every section at once.
 */
//@ run spt hvt: mem=8 expect=success peer=no
#include "kit.h"

static const volatile char constants[100] __attribute__((aligned(8192), section(".rodata.table"))) = {1};
static volatile char initialised[100] __attribute__((aligned(65536))) = {2};
static volatile char zero[100] __attribute__((aligned(16384)));
static int __attribute__((aligned(8192), noinline)) code(void)
{
    return 3;
}

int solo5_app_main(const struct solo5_start_info *info __attribute__((unused)))
{
    title("test_aligned");
    CHECK((uintptr_t)constants % 8192 == 0 && constants[0] == 1 && constants[99] == 0);
    CHECK((uintptr_t)initialised % 65536 == 0 && initialised[0] == 2 && initialised[99] == 0);
    CHECK((uintptr_t)zero % 16384 == 0 && zero[0] == 0 && zero[99] == 0);
    CHECK((uintptr_t)code % 8192 == 0 && code() == 3);
    return succeed();
}
