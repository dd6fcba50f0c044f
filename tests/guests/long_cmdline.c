/* long_cmdline: every byte of a command line arrives, up to 8191 of them. */
//@ run spt hvt longest: letters=8191 expect=success output="8191 letters"
//@ run spt hvt too-long: letters=8192 expect=exit:1 output="Guest command line too long (max=8191 characters)"
#include "kit.h"

int solo5_app_main(const struct solo5_start_info *info)
{
    title("test_long_cmdline");
    size_t length = strlen(info->cmdline);
    for (size_t i = 0; i < length; i++)
        CHECK(info->cmdline[i] == (char)('a' + i % 26));
    say_decimal(length);
    say(" letters\n");
    return succeed();
}
