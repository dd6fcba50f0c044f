/*
 * getrandom(): ChaCha20 (RFC 8439) with Solo5's seed as its first key.
 *
 * Each call takes the first half of a block as the next key and gives out what follows it, so that
 * what was given out cannot be computed from the memory afterwards.
 */

#include <stdbool.h>

#include "glue.h"

#define KEY   32
#define BLOCK 64

static uint8_t key[KEY];
static bool seeded;

static uint32_t rotate(uint32_t word, int by)
{
    return word << by | word >> (32 - by);
}

static void quarter(uint32_t *x, int a, int b, int c, int d)
{
    x[a] += x[b];
    x[d] = rotate(x[d] ^ x[a], 16);
    x[c] += x[d];
    x[b] = rotate(x[b] ^ x[c], 12);
    x[a] += x[b];
    x[d] = rotate(x[d] ^ x[a], 8);
    x[c] += x[d];
    x[b] = rotate(x[b] ^ x[c], 7);
}

/* Block `number` of the key, with a nonce of zeros. Words are little-endian, as all our machines are. */
HIDDEN void __solo5_chacha20(const uint8_t *with, uint64_t number, uint8_t *block);

void __solo5_chacha20(const uint8_t *with, uint64_t number, uint8_t *block)
{
    uint32_t start[16] = { 0x61707865, 0x3320646e, 0x79622d32, 0x6b206574 };
    memcpy(start + 4, with, KEY);
    start[12] = (uint32_t)number;
    start[13] = (uint32_t)(number >> 32);
    uint32_t x[16];
    memcpy(x, start, sizeof x);
    for (int round = 0; round < 10; round++) {
        quarter(x, 0, 4, 8, 12);
        quarter(x, 1, 5, 9, 13);
        quarter(x, 2, 6, 10, 14);
        quarter(x, 3, 7, 11, 15);
        quarter(x, 0, 5, 10, 15);
        quarter(x, 1, 6, 11, 12);
        quarter(x, 2, 7, 8, 13);
        quarter(x, 3, 4, 9, 14);
    }
    for (int i = 0; i < 16; i++)
        x[i] += start[i];
    memcpy(block, x, BLOCK);
}

static void wipe(void *memory, size_t size)
{
    memset(memory, 0, size);
    __asm__ volatile("" : : "r"(memory) : "memory");
}

long __solo5_getrandom(const long *a)
{
    uint8_t *out = (uint8_t *)a[0];
    size_t size = (size_t)a[1], left = size;
    if (!seeded) {
        if (solo5_seed(key, sizeof key) != SOLO5_R_OK)
            return -ENOSYS;
        seeded = true;
    }
    uint8_t block[BLOCK], next[KEY];
    uint64_t number = 0;
    __solo5_chacha20(key, number++, block);
    memcpy(next, block, sizeof next);
    size_t from = KEY;
    while (left > 0) {
        size_t part = left < BLOCK - from ? left : BLOCK - from;
        memcpy(out, block + from, part);
        out += part;
        left -= part;
        if (left > 0)
            __solo5_chacha20(key, number++, block);
        from = 0;
    }
    memcpy(key, next, sizeof key);
    wipe(block, sizeof block);
    wipe(next, sizeof next);
    return (long)size;
}
