/*
 * blk_flush: flushes a device that the manifest declares for it, and one that it does not. With the
 * argument `none` the tender offers no flush, with `any` it may or may not; with `read-only` the device is; with `fails` the host
 * cannot flush, and the device fails from then on.
 */
//@ run spt hvt virtio: block.storage=64KiB block.scratch=64KiB expect=success peer=no
//@ run spt hvt no-offer: block.storage=64KiB block.scratch=64KiB options=--offer=none args=none expect=success peer=no
//@ run spt hvt only-transfers: block.storage=64KiB block.scratch=64KiB options=--offer=transfers args=none expect=success peer=no
//@ run spt hvt only-flush: block.storage=64KiB block.scratch=64KiB options=--offer=flush expect=success peer=no
//@ run spt hvt any-tender: block.storage=64KiB block.scratch=64KiB args=any expect=success
//@ run spt hvt virtio read-only: block.storage=64KiB block.scratch=64KiB options="--block-access:storage=read-only" args=read-only expect=success unchanged=storage peer=no
//@ run spt hvt fails: block.storage=64KiB block.scratch=64KiB host-flush=fails args=fails expect=success peer=no
#include "kit.h"

static uint8_t data[4096];

static void works(solo5_handle_t disk)
{
    CHECK(solo5_block_write(disk, 0, data, 512) == SOLO5_R_OK);
    CHECK(solo5_block_write_many(disk, 512, data, 1024) == SOLO5_R_OK);
    CHECK(solo5_block_read_many(disk, 0, data, 1024) == SOLO5_R_OK);
}

int solo5_app_main(const struct solo5_start_info *info)
{
    struct solo5_block_info about;
    solo5_handle_t storage, scratch;
    const char *mode = info->cmdline;

    title("test_blk_flush");
    CHECK(solo5_block_acquire("storage", &storage, &about) == SOLO5_R_OK);
    CHECK(solo5_block_acquire("scratch", &scratch, &about) == SOLO5_R_OK);

    CHECK(solo5_block_flush(0) == SOLO5_R_EINVAL);
    CHECK(solo5_block_flush(3) == SOLO5_R_EINVAL);
    CHECK(solo5_block_flush(storage + ((solo5_handle_t)1 << 32)) == SOLO5_R_EINVAL);
    CHECK(solo5_block_flush(UINT64_MAX) == SOLO5_R_EINVAL);

    /* what cannot be flushed goes on working */
    works(scratch);
    CHECK(solo5_block_flush(scratch) == SOLO5_R_EUNSPEC);
    works(scratch);

    if (strcmp(mode, "any") == 0) {
        const solo5_result_t flushed = solo5_block_flush(storage);
        CHECK(flushed == SOLO5_R_OK || flushed == SOLO5_R_EUNSPEC);
        works(storage);
        CHECK(solo5_block_flush(storage) == flushed);
    } else if (strcmp(mode, "none") == 0) {
        CHECK(solo5_block_flush(storage) == SOLO5_R_EUNSPEC);
        works(storage);
    } else if (strcmp(mode, "read-only") == 0) {
        CHECK(solo5_block_flush(storage) == SOLO5_R_OK);
        CHECK(solo5_block_write(storage, 0, data, 512) == SOLO5_R_EUNSPEC);
        CHECK(solo5_block_flush(storage) == SOLO5_R_OK);
    } else if (strcmp(mode, "fails") == 0) {
        works(storage);
        CHECK(solo5_block_flush(storage) == SOLO5_R_EUNSPEC);
        CHECK(solo5_block_write(storage, 0, data, 512) == SOLO5_R_EUNSPEC);
        CHECK(solo5_block_read(storage, 0, data, 512) == SOLO5_R_EUNSPEC);
        CHECK(solo5_block_write_many(storage, 0, data, 1024) == SOLO5_R_EUNSPEC);
        CHECK(solo5_block_read_many(storage, 0, data, 1024) == SOLO5_R_EUNSPEC);
        CHECK(solo5_block_flush(storage) == SOLO5_R_EUNSPEC);
        /* a mistake is still told apart */
        CHECK(solo5_block_read(storage, 1, data, 512) == SOLO5_R_EINVAL);
        works(scratch);
    } else {
        CHECK(solo5_block_flush(storage) == SOLO5_R_OK);
        works(storage);
        CHECK(solo5_block_flush(storage) == SOLO5_R_OK);
        CHECK(solo5_block_flush(storage) == SOLO5_R_OK);
        works(storage);
    }
    return succeed();
}
