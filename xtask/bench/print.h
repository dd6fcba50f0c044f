/* Prints a measurement for `cargo xtask bench`: a line with a name and a number. */

#ifndef PRINT_H
#define PRINT_H

#include "solo5.h"

static inline void print(const char *name, uint64_t value)
{
    char line[64];
    size_t end = sizeof line, start;
    line[--end] = '\n';
    start = end;
    do {
        line[--start] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    size_t length = 0;
    while (name[length] != '\0')
        length++;
    solo5_console_write(name, length);
    solo5_console_write(line + start, sizeof line - start);
}

#endif
