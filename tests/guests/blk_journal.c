/*
 * blk_journal: pages that change in transactions, by a journal and flushes. `run N` recovers, then
 * makes transactions up to number N and says `is durable` as soon as one is. `check` recovers,
 * checks every page, and prints the last transaction. `probe` only says whether the device can be
 * flushed. The power-cut test knows this layout:
 *
 *   block 0             magic, transaction, number of pages, sum, then the pages' numbers
 *   blocks 1 to 8       the journal's pages
 *   blocks 16 to 47     the pages: transaction, number, two words that depend on both, zeros
 */
//@ run spt hvt: block.storage=32KiB args="run 20" expect=success output="is durable" peer=no
//@ run spt hvt new: block.storage=32KiB args=check expect=success output="state 0\n" peer=no
#include "kit.h"

#define MAGIC 0x6c616e72756f4a21ULL
#define BLOCK 512
#define WORDS (BLOCK / 8)
#define PAGES 32
#define MOST 8
#define HOME 16

static solo5_handle_t disk;
static uint64_t journal[1 + MOST][WORDS];
static uint64_t page[WORDS];

static uint64_t count_of(uint64_t transaction)
{
    return 1 + transaction % MOST;
}

static uint64_t number_of(uint64_t transaction, uint64_t which)
{
    return (transaction * 7 + which * 5) % PAGES;
}

static void fill(uint64_t *words, uint64_t transaction, uint64_t number)
{
    memset(words, 0, BLOCK);
    if (transaction == 0)
        return;
    words[0] = transaction;
    words[1] = number;
    words[2] = (transaction << 32 | number) * 0x9e3779b97f4a7c15ULL;
    words[3] = ~words[2];
}

/* The sum of the journal's blocks but the word that holds it. */
static uint64_t sum(uint64_t count)
{
    uint64_t all = 0;
    for (uint64_t block = 0; block <= count; block++) {
        for (uint64_t word = 0; word < WORDS; word++) {
            if (block != 0 || word != 3)
                all = all * 3 + journal[block][word];
        }
    }
    return all;
}

static void home(uint64_t count)
{
    for (uint64_t which = 0; which < count; which++) {
        const solo5_off_t at = (HOME + journal[0][4 + which]) * BLOCK;
        const uint8_t *from = (const uint8_t *)journal[1 + which];
        CHECK(solo5_block_write_many(disk, at, from, BLOCK) == SOLO5_R_OK);
    }
    CHECK(solo5_block_flush(disk) == SOLO5_R_OK);
}

/* Completes the transaction in the journal, if it is whole. */
static void recover(void)
{
    CHECK(solo5_block_read_many(disk, 0, (uint8_t *)journal, sizeof journal) == SOLO5_R_OK);
    const uint64_t count = journal[0][2];
    if (journal[0][0] != MAGIC || count == 0 || count > MOST || journal[0][3] != sum(count))
        return;
    for (uint64_t which = 0; which < count; which++)
        CHECK(journal[0][4 + which] < PAGES);
    home(count);
}

/* Checks every page, and returns the last transaction. */
static uint64_t check(void)
{
    static uint64_t all[PAGES][WORDS];
    uint64_t state = 0;
    CHECK(solo5_block_read_many(disk, HOME * BLOCK, (uint8_t *)all, sizeof all) == SOLO5_R_OK);
    for (uint64_t number = 0; number < PAGES; number++) {
        if (all[number][0] > state)
            state = all[number][0];
    }
    for (uint64_t number = 0; number < PAGES; number++) {
        uint64_t last = 0;
        for (uint64_t transaction = 1; transaction <= state; transaction++) {
            for (uint64_t which = 0; which < count_of(transaction); which++) {
                if (number_of(transaction, which) == number)
                    last = transaction;
            }
        }
        fill(page, last, number);
        CHECK(memcmp(page, all[number], BLOCK) == 0);
    }
    return state;
}

static void commit(uint64_t transaction)
{
    const uint64_t count = count_of(transaction);
    memset(journal, 0, sizeof journal);
    journal[0][0] = MAGIC;
    journal[0][1] = transaction;
    journal[0][2] = count;
    for (uint64_t which = 0; which < count; which++) {
        const uint64_t number = number_of(transaction, which);
        journal[0][4 + which] = number;
        fill(journal[1 + which], transaction, number);
    }
    journal[0][3] = sum(count);
    const size_t size = (1 + count) * BLOCK;
    CHECK(solo5_block_write_many(disk, 0, (const uint8_t *)journal, size) == SOLO5_R_OK);
    CHECK(solo5_block_flush(disk) == SOLO5_R_OK);
    say("is durable\n");
    home(count);
}

int solo5_app_main(const struct solo5_start_info *info)
{
    struct solo5_block_info about;

    title("test_blk_journal");
    CHECK(solo5_block_acquire("storage", &disk, &about) == SOLO5_R_OK);
    CHECK(about.block_size == BLOCK && about.capacity >= (HOME + PAGES) * BLOCK);
    if (strcmp(info->cmdline, "probe") == 0) {
        say(solo5_block_flush(disk) == SOLO5_R_OK ? "Durable\n" : "Not durable\n");
        return succeed();
    }
    CHECK(solo5_block_flush(disk) == SOLO5_R_OK);
    recover();
    uint64_t state = check();
    if (strcmp(info->cmdline, "check") != 0) {
        const uint64_t wanted = to_number(info->cmdline + strlen("run "));
        while (state < wanted)
            commit(++state);
        CHECK(check() == wanted);
    }
    say("state ");
    say_decimal(state);
    say("\n");
    return succeed();
}
