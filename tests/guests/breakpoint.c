/* breakpoint: the guest's own breakpoint instruction, which traps. A debugger must leave it to the guest. */
//@ run hvt: needs=x86_64 needs=processor expect=abort output="trap: type=#BP" absent=FAILURE peer=no
//@ run hvt arm: needs=aarch64 expect=abort output="trap: type=#BRK esr=0xf2000007" absent=FAILURE peer=no
#include "kit.h"

int solo5_app_main(const struct solo5_start_info *info __attribute__((unused)))
{
    title("test_breakpoint");
#if defined(__x86_64__)
    __asm__ volatile(".globl own_breakpoint\nown_breakpoint: nop\nint3");
#elif defined(__aarch64__)
    __asm__ volatile(".globl own_breakpoint\nown_breakpoint: nop\nbrk #7");
#endif
    say("FAILURE\n");
    return SOLO5_EXIT_FAILURE;
}
