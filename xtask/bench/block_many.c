/* Measures several blocks in one call against one call for each block, for `cargo xtask bench`. The
 * argument says what: `sectors` or `many` write and read the disk in pieces of 64 KiB; `mix-sectors`
 * or `mix-many` do what a database does: for each transaction it reads four pages of 4 KiB, writes
 * their journal, flushes, writes the pages, flushes. Prints bytes, or transactions, and microseconds. */

#include <stdbool.h>

#include "print.h"
#include "solo5.h"

enum { PIECE = 65536, ROUNDS = 3000, PAGE = 4096, PAGES = 4, TRANSACTIONS = 1500 };

static uint8_t data[PIECE];
static solo5_handle_t disk;
static struct solo5_block_info about;

static bool transfer(bool many, bool writes, solo5_off_t at, uint8_t *buf, size_t size)
{
    if (many && writes)
        return solo5_block_write_many(disk, at, buf, size) == SOLO5_R_OK;
    if (many)
        return solo5_block_read_many(disk, at, buf, size) == SOLO5_R_OK;
    for (size_t done = 0; done < size; done += about.block_size) {
        const solo5_result_t result =
            writes ? solo5_block_write(disk, at + done, buf + done, about.block_size)
                   : solo5_block_read(disk, at + done, buf + done, about.block_size);
        if (result != SOLO5_R_OK)
            return false;
    }
    return true;
}

static bool pieces(bool many)
{
    for (uint64_t round = 0; round < ROUNDS; round++) {
        const solo5_off_t at = round * 31 % (about.capacity / PIECE) * PIECE;
        data[0] = (uint8_t)round;
        if (!transfer(many, true, at, data, PIECE) || !transfer(many, false, at, data, PIECE) ||
            data[0] != (uint8_t)round)
            return false;
    }
    return true;
}

static bool transactions(bool many)
{
    const uint64_t all = about.capacity / PAGE - PAGES;
    for (uint64_t number = 0; number < TRANSACTIONS; number++) {
        solo5_off_t places[PAGES];
        for (uint64_t page = 0; page < PAGES; page++) {
            places[page] = (PAGES + (number * 7919 + page * 104729) % all) * PAGE;
            if (!transfer(many, false, places[page], data + page * PAGE, PAGE))
                return false;
        }
        if (!transfer(many, true, 0, data, PAGES * PAGE) || solo5_block_flush(disk) != SOLO5_R_OK)
            return false;
        for (uint64_t page = 0; page < PAGES; page++) {
            data[page * PAGE] = (uint8_t)number;
            if (!transfer(many, true, places[page], data + page * PAGE, PAGE))
                return false;
        }
        if (solo5_block_flush(disk) != SOLO5_R_OK)
            return false;
    }
    return true;
}

int solo5_app_main(const struct solo5_start_info *info)
{
    const char *what = info->cmdline;
    if (solo5_block_acquire("storage", &disk, &about) != SOLO5_R_OK)
        return 1;
    const bool mix = what[0] == 'm' && what[1] == 'i';
    const bool many = (mix ? what[4] : what[0]) == 'm';
    const solo5_time_t start = solo5_clock_monotonic();
    if (!(mix ? transactions(many) : pieces(many)))
        return 2;
    print("operations:", mix ? TRANSACTIONS : 2ULL * ROUNDS * PIECE);
    print("microseconds:", (solo5_clock_monotonic() - start) / 1000);
    return SOLO5_EXIT_SUCCESS;
}
