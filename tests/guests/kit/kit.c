/* kit.c: strings and printing for the test unikernels. */
#include "kit.h"

/* Keeps a compiler from recognising a loop as the very function it implements. */
#define NOT_AN_IDIOM() __asm__ volatile("" ::: "memory")

void *memcpy(void *dest, const void *src, size_t size)
{
    uint8_t *to = dest;
    const uint8_t *from = src;
    for (size_t i = 0; i < size; i++) {
        to[i] = from[i];
        NOT_AN_IDIOM();
    }
    return dest;
}

void *memmove(void *dest, const void *src, size_t size)
{
    uint8_t *to = dest;
    const uint8_t *from = src;
    if (to <= from)
        return memcpy(dest, src, size);
    while (size-- > 0) {
        to[size] = from[size];
        NOT_AN_IDIOM();
    }
    return dest;
}

void *memset(void *dest, int byte, size_t size)
{
    uint8_t *to = dest;
    for (size_t i = 0; i < size; i++) {
        to[i] = (uint8_t)byte;
        NOT_AN_IDIOM();
    }
    return dest;
}

int memcmp(const void *a, const void *b, size_t size)
{
    const uint8_t *left = a, *right = b;
    for (size_t i = 0; i < size; i++) {
        if (left[i] != right[i])
            return left[i] < right[i] ? -1 : 1;
        NOT_AN_IDIOM();
    }
    return 0;
}

size_t strlen(const char *text)
{
    size_t length = 0;
    while (text[length] != '\0') {
        length++;
        NOT_AN_IDIOM();
    }
    return length;
}

int strcmp(const char *a, const char *b)
{
    while (*a != '\0' && *a == *b) {
        a++;
        b++;
        NOT_AN_IDIOM();
    }
    return (uint8_t)*a - (uint8_t)*b;
}

char *strcpy(char *dest, const char *src)
{
    size_t i = 0;
    do {
        dest[i] = src[i];
        NOT_AN_IDIOM();
    } while (src[i++] != '\0');
    return dest;
}

void say(const char *text)
{
    solo5_console_write(text, strlen(text));
}

void title(const char *name)
{
    say("\n**** Solo5 standalone ");
    say(name);
    say(" ****\n\n");
}

void say_decimal(uint64_t number)
{
    char digits[20];
    size_t start = sizeof digits;
    do {
        digits[--start] = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    solo5_console_write(digits + start, sizeof digits - start);
}

void say_hex(uint64_t number, unsigned digits)
{
    char text[16];
    if (digits > sizeof text)
        digits = sizeof text;
    for (unsigned i = 0; i < digits; i++)
        text[i] = "0123456789abcdef"[number >> (4 * (digits - 1 - i)) & 0xf];
    solo5_console_write(text, digits);
}

uint64_t to_number(const char *text)
{
    uint64_t number = 0;
    for (; *text >= '0' && *text <= '9'; text++)
        number = number * 10 + (uint64_t)(*text - '0');
    return number;
}

int succeed(void)
{
    say("SUCCESS\n");
    return SOLO5_EXIT_SUCCESS;
}

void fail(const char *file, unsigned line, const char *what, int status)
{
    say(file);
    say(":");
    say_decimal(line);
    say(": ");
    say(what);
    say("\nFAILURE\n");
    solo5_exit(status);
}
