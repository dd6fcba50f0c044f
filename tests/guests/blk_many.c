/*
 * blk_many: several blocks in one call, up to more than a tender transfers at once, and the edges. The
 * same image runs under tenders that know it, that offer nothing, and that are older.
 */
//@ run spt hvt virtio: mem=8 block.storage=4MiB expect=success
//@ run spt hvt no-offer: mem=8 block.storage=4MiB options=--offer=none expect=success peer=no
//@ run spt hvt virtio sector-size-4096: mem=8 block.storage=4MiB sector-size.storage=4096 expect=success peer=0.7.4
//@ run spt hvt largest-sector: mem=8 block.storage=4MiB sector-size.storage=32768 expect=success peer=0.7.4
//@ run spt hvt virtio read-only: mem=8 block.storage=4MiB options="--block-access:storage=read-only" args=read-only expect=success unchanged=storage peer=no
//@ run spt hvt read-only-no-offer: mem=8 block.storage=4MiB options="--block-access:storage=read-only --offer=none" args=read-only expect=success unchanged=storage peer=no
#include "kit.h"

/* More than a tender transfers at once, which is 1 MiB. */
#define MOST ((size_t)5 << 18)
/* One stamp in each sector tells where its data belongs: some hosts take long to compute more. */
#define SECTOR 512
static uint64_t out[MOST / 8], in[MOST / 8];

static void stamp(uint64_t seed, size_t size)
{
    for (size_t at = 0; at < size; at += SECTOR) {
        out[at / 8] = seed << 32 | at;
        in[at / 8] = 0;
    }
}

static bool same(size_t size)
{
    for (size_t at = 0; at < size; at += SECTOR) {
        if (in[at / 8] != out[at / 8])
            return false;
    }
    return true;
}

static solo5_handle_t disk;

static void both_refuse(solo5_off_t offset, size_t size)
{
    CHECK(solo5_block_write_many(disk, offset, (const uint8_t *)out, size) == SOLO5_R_EINVAL);
    CHECK(solo5_block_read_many(disk, offset, (uint8_t *)in, size) == SOLO5_R_EINVAL);
}

int solo5_app_main(const struct solo5_start_info *info)
{
    struct solo5_block_info disk_info;

    title("test_blk_many");
    CHECK(solo5_block_acquire("storage", &disk, &disk_info) == SOLO5_R_OK);
    const solo5_off_t block = disk_info.block_size, capacity = disk_info.capacity;

    if (strcmp(info->cmdline, "read-only") == 0) {
        CHECK(solo5_block_read_many(disk, 0, (uint8_t *)in, 4 * block) == SOLO5_R_OK);
        CHECK(solo5_block_write_many(disk, 0, (const uint8_t *)out, 4 * block) == SOLO5_R_EUNSPEC);
        CHECK(solo5_block_write_many(disk, 0, (const uint8_t *)out, block) == SOLO5_R_EUNSPEC);
        return succeed();
    }

    const size_t sizes[] = {block, 2 * block, 3 * block, MOST - block, MOST};
    for (size_t round = 0; round < sizeof sizes / sizeof sizes[0]; round++) {
        const size_t size = sizes[round];
        const solo5_off_t places[] = {0, block, capacity - size};
        for (size_t place = 0; place < sizeof places / sizeof places[0]; place++) {
            const solo5_off_t at = places[place];
            stamp(round * 3 + place + 1, MOST);
            CHECK(solo5_block_write_many(disk, at, (const uint8_t *)out, size) == SOLO5_R_OK);
            CHECK(solo5_block_read_many(disk, at, (uint8_t *)in, size) == SOLO5_R_OK);
            CHECK(same(size) && (size == MOST || in[size / 8] == 0));
            /* the old call sees what the new one has written */
            uint8_t *last = (uint8_t *)in + size - block;
            in[(size - block) / 8] = 0;
            CHECK(solo5_block_read(disk, at + size - block, last, block) == SOLO5_R_OK);
            CHECK(same(size));
        }
    }

    both_refuse(0, 0);
    both_refuse(0, 2 * block - 1);
    both_refuse(0, 2 * block + 1);
    both_refuse(1, 2 * block);
    both_refuse(block / 2, 2 * block);
    both_refuse(capacity, block);
    both_refuse(capacity - block, 2 * block);
    both_refuse(0, (size_t)capacity + block);
    /* neither sum nor halves may wrap round */
    both_refuse((solo5_off_t)0 - block, block);
    both_refuse((solo5_off_t)0 - block, 2 * block);
    both_refuse(block, (size_t)0 - block);
    both_refuse((solo5_off_t)1 << 32, block);
    both_refuse((solo5_off_t)1 << 63, block);
    both_refuse(0, (size_t)1 << 32);
    disk += 1;
    both_refuse(0, block);
    return succeed();
}
