/*
 * The smallest unikernel that prints something: it greets, prints its command line, and returns 0.
 * There is no C library; solo5.h declares everything that a unikernel can call.
 */
#include "solo5.h"

static void print(const char *text)
{
    size_t length = 0;

    while (text[length] != '\0')
        length++;
    solo5_console_write(text, length);
}

int solo5_app_main(const struct solo5_start_info *info)
{
    print("Hello, World\nCommand line is: '");
    print(info->cmdline);
    print("'\nSUCCESS\n");
    return SOLO5_EXIT_SUCCESS;
}
