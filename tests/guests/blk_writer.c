/*
 * blk_writer: fills its device with numbered, checksummed blocks, over and over, until it is
 * killed. Each pass has the next generation number. Run by the robustness tests, which know the
 * layout of a block: u64 magic, generation, index, then a sequence grown from them, and last the
 * sum of all words before it.
 */
#include "kit.h"

#define MAGIC 0x6b636f6c42796d4dULL
#define LARGEST_BLOCK 32768

static uint64_t words[LARGEST_BLOCK / 8];

static void fill(size_t count, uint64_t generation, uint64_t index)
{
    uint64_t sum = 0, state = generation * 0x9e3779b97f4a7c15ULL + index;
    words[0] = MAGIC;
    words[1] = generation;
    words[2] = index;
    for (size_t i = 3; i < count - 1; i++) {
        state = state * 6364136223846793005ULL + 1442695040888963407ULL;
        words[i] = state;
    }
    for (size_t i = 0; i < count - 1; i++)
        sum += words[i];
    words[count - 1] = sum;
}

int solo5_app_main(const struct solo5_start_info *info __attribute__((unused)))
{
    solo5_handle_t disk, net;
    struct solo5_block_info disk_info;
    struct solo5_net_info net_info;

    title("test_blk_writer");
    CHECK(solo5_net_acquire("service0", &net, &net_info) == SOLO5_R_OK);
    CHECK(solo5_block_acquire("storage", &disk, &disk_info) == SOLO5_R_OK);
    const size_t size = disk_info.block_size;
    CHECK(size <= sizeof words);

    /* continue where an earlier life was cut off; a fresh device is all zeroes */
    CHECK(solo5_block_read(disk, 0, (uint8_t *)words, size) == SOLO5_R_OK);
    uint64_t generation = words[0] == MAGIC ? words[1] : 0;
    for (;;) {
        generation++;
        for (solo5_off_t at = 0; at < disk_info.capacity; at += size) {
            fill(size / 8, generation, at / size);
            CHECK(solo5_block_write(disk, at, (const uint8_t *)words, size) == SOLO5_R_OK);
        }
    }
}
