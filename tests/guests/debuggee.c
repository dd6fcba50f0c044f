/* debuggee: nested calls and a number that changes, for debugger tests. */
//@ run spt hvt: expect=success output="counter 42\n"
#include "kit.h"

static volatile unsigned counter;

__attribute__((noinline)) static void inner(unsigned by)
{
    counter += by;
}

__attribute__((noinline)) static void outer(unsigned by)
{
    inner(by + 1);
    say("counter ");
    say_decimal(counter);
    say("\n");
}

int solo5_app_main(const struct solo5_start_info *info __attribute__((unused)))
{
    title("test_debuggee");
    outer((unsigned)opaque(41));
    return succeed();
}
