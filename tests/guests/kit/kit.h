/*
 * kit.h: functions that all test unikernels share.
 *
 * They use only the public API of solo5.h, so a guest compiles against any Solo5's headers. The
 * bindings do not export their string functions, so the kit has its own. Compilers, too, call some of
 * them, such as memcpy.
 */
#ifndef KIT_H
#define KIT_H

#include "solo5.h"

void *memcpy(void *dest, const void *src, size_t size);
void *memmove(void *dest, const void *src, size_t size);
void *memset(void *dest, int byte, size_t size);
int memcmp(const void *a, const void *b, size_t size);
size_t strlen(const char *text);
int strcmp(const char *a, const char *b);
char *strcpy(char *dest, const char *src);

/* Prints `\n**** Solo5 standalone NAME ****\n\n`. */
void title(const char *name);
/* One console write each. */
void say(const char *text);
void say_decimal(uint64_t number);
/* `digits` lower-case hexadecimal digits, at most 16. */
void say_hex(uint64_t number, unsigned digits);

/* Decimal digits up to the end of `text` or a blank; 0 if there are none. */
uint64_t to_number(const char *text);

/* Prints SUCCESS and returns 0: `return succeed();`. */
int succeed(void);
/* Prints where and what, then FAILURE, and exits with `status`. */
void fail(const char *file, unsigned line, const char *what, int status)
    __attribute__((noreturn));

/* The guest ends with status 1 and says so unless `condition` holds. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail(__FILE__, __LINE__, #condition, SOLO5_EXIT_FAILURE);                              \
    } while (0)

/* A value the optimiser knows nothing about. */
static inline uintptr_t opaque(uintptr_t value)
{
    __asm__ volatile("" : "+r"(value));
    return value;
}

#endif
