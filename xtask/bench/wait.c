/* Prints a line and waits, so that `cargo xtask bench` can look at the tender's process. */

#include "solo5.h"
int solo5_app_main(const struct solo5_start_info *info)
{
    (void)info;
    solo5_console_write("waiting\n", 8);
    solo5_yield(solo5_clock_monotonic() + 60000000000, NULL);
    return SOLO5_EXIT_SUCCESS;
}
