#include "solo5.h"
int solo5_app_main(const struct solo5_start_info *start)
{
    (void)start;
    solo5_console_write("SUCCESS\n", 8);
    return SOLO5_EXIT_SUCCESS;
}
