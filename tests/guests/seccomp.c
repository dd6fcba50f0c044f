/* seccomp: a system call outside the policy ends the guest. */
//@ run spt: expect=exit:159 absent=FAILURE
#include "kit.h"

#include "syscall.h"

#if defined(__x86_64__)
#define NR_DUP 32
#elif defined(__aarch64__)
#define NR_DUP 23
#elif defined(__powerpc64__)
#define NR_DUP 41
#endif

int solo5_app_main(const struct solo5_start_info *info __attribute__((unused)))
{
    title("test_seccomp");
    system_call(NR_DUP, 0, 0, 0, 0);
    say("FAILURE\n");
    return SOLO5_EXIT_FAILURE;
}
