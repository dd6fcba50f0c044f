/*
 * output: one console write of 72 lines, 4086 bytes; more than a pipe of virtio or Xen takes at
 * once, and the bytes must arrive unchanged.
 */
//@ run spt hvt: args="--solo5:quiet" expect=exit:0 only-file=output.expected
//@ run spt hvt banner: args="Hello_Solo5" expect=exit:0 output="Solo5: Bindings version"
//@ run virtio xen: args="Hello_Solo5" expect=exit:0
#include "kit.h"

#define LINES 72
#define SIZE 4086

/* Line i is its number and then letters from the i-th of the alphabet on; see output.expected. */
int solo5_app_main(const struct solo5_start_info *info __attribute__((unused)))
{
    static char text[SIZE];
    size_t used = 0;
    for (unsigned i = 0; i < LINES; i++) {
        size_t length = SIZE / LINES + (i < SIZE % LINES ? 1 : 0);
        char *line = text + used;
        line[0] = (char)('0' + i / 10);
        line[1] = (char)('0' + i % 10);
        line[2] = ' ';
        for (size_t at = 3; at < length - 1; at++)
            line[at] = (char)('a' + (i + at - 3) % 26);
        line[length - 1] = '\n';
        used += length;
    }
    solo5_console_write(text, used);
    return SOLO5_EXIT_SUCCESS;
}
