/*
 * blk: writes and reads a block device, and probes its edges; the status tells the step. Upstream
 * has sector sizes since 0.7.4.
 */
//@ run spt hvt: block.storage=4MiB expect=success
//@ run spt hvt virtio sector-size-4096: block.storage=4MiB sector-size.storage=4096 expect=success peer=0.7.4
//@ run spt hvt virtio misaligned: block.storage=6144 sector-size.storage=4096 expect=exit:1 output="Backing storage size must be block aligned" peer=0.7.4
//@ run spt hvt odd: block.storage=1563 sector-size.storage=521 expect=exit:1 output="Block size must be a multiple of 2" peer=0.7.4
//@ run spt hvt virtio too-small: block.storage=256 sector-size.storage=256 expect=exit:1 output="Block size must be a multiple of 2 greater than or equal 512" peer=0.7.4
//@ run spt hvt virtio one-block: block.storage=512 expect=success
//@ run spt hvt largest-sector: mem=4 block.storage=4MiB sector-size.storage=32768 expect=success peer=0.7.4
//@ run spt hvt sector-size-wraps: block.storage=4MiB sector-size.storage=66048 expect=exit:1 output="Block size must be a multiple of 2" peer=no
//@ run spt hvt empty: block.storage=0 expect=exit:1 output="Backing storage must be at least 1 block (512 bytes) in size"
//@ run spt hvt virtio not-attached: expect=exit:1 output="Device 'storage' of type BLOCK_BASIC declared but not attached." output="All declared devices must be attached. See --help for syntax."
//@ run spt hvt no-such-file: options="--block:storage=/nonexistent/image" expect=exit:1 output="Could not open block device: /nonexistent/image: No such file or directory"
//@ run spt hvt virtio undeclared: block.nope=4MiB expect=exit:1 output="Resource not declared in manifest: 'nope'"
//@ run spt hvt attached-twice: block.storage=4MiB block.storage=4MiB expect=exit:1 peer=no
//@ run spt closed-standard-descriptors: block.storage=4MiB closed=0,1,2 expect=exit:0 peer=no
//@ run spt hvt container: block.storage=4MiB container=yes expect=success
//@ run virtio: block.storage=4MiB expect=success
#include "kit.h"

#define LARGEST_BLOCK 32768
static uint8_t out[LARGEST_BLOCK + 512], in[LARGEST_BLOCK + 512];

int solo5_app_main(const struct solo5_start_info *info __attribute__((unused)))
{
    solo5_handle_t disk;
    struct solo5_block_info disk_info;

    title("test_blk");
    if (solo5_block_acquire("storage", &disk, &disk_info) != SOLO5_R_OK)
        return 99;
    const solo5_off_t size = disk_info.block_size, capacity = disk_info.capacity;
    CHECK(size >= 512 && size <= LARGEST_BLOCK && capacity % size == 0);

    for (solo5_off_t at = 0; at < capacity; at += 10 * size) {
        for (solo5_off_t i = 0; i < size; i++) {
            out[i] = (uint8_t)('0' + i % 10);
            in[i] = 0;
        }
        if (solo5_block_write(disk, at, out, size) != SOLO5_R_OK ||
            solo5_block_read(disk, at, in, size) != SOLO5_R_OK || memcmp(out, in, size) != 0)
            return 1;
    }

    const solo5_off_t last = capacity - size;
    if (solo5_block_write(disk, last, out, size) != SOLO5_R_OK)
        return 2;
    if (solo5_block_read(disk, last, in, size) != SOLO5_R_OK)
        return 3;
    if (solo5_block_write(disk, capacity, out, size) == SOLO5_R_OK)
        return 4;
    if (solo5_block_read(disk, capacity, in, size) == SOLO5_R_OK)
        return 5;
    if (solo5_block_write(disk, 0, out, size - 1) == SOLO5_R_OK)
        return 6;
    if (solo5_block_read(disk, 0, in, size - 1) == SOLO5_R_OK)
        return 7;
    if (solo5_block_write(disk, 0, out, size + 1) == SOLO5_R_OK)
        return 8;
    if (solo5_block_read(disk, 0, in, size + 1) == SOLO5_R_OK)
        return 9;
    if (solo5_block_write(disk, size - 1, out, size) == SOLO5_R_OK)
        return 10;
    if (solo5_block_read(disk, size - 1, in, size) == SOLO5_R_OK)
        return 11;
    /* the sum of offset and size must not wrap round to something small */
    if (solo5_block_read(disk, (solo5_off_t)0 - size, in, size) == SOLO5_R_OK)
        return 12;
    return succeed();
}
