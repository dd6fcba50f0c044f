/* notls: until the guest sets a TLS base, any use of thread-local storage faults. */
//@ run spt: expect=exit:139 absent=FAILURE
//@ run hvt virtio xen: expect=abort
#include "kit.h"

int solo5_app_main(const struct solo5_start_info *info __attribute__((unused)))
{
    uint64_t value;
    title("test_notls");
#if defined(__x86_64__)
    __asm__ volatile("mov %%fs:0x28, %0" : "=r"(value));
#elif defined(__aarch64__)
    __asm__ volatile("mrs %0, tpidr_el0; ldr %0, [%0, #0x10]" : "=&r"(value));
#elif defined(__powerpc64__)
    __asm__ volatile("ld %0, -28672(13)" : "=r"(value));
#else
#error unknown architecture
#endif
    say_hex(value, 16);
    say("\nFAILURE\n");
    return SOLO5_EXIT_FAILURE;
}
