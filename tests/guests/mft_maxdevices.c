/* mft_maxdevices: the most devices a manifest can hold, all attached. */
//@ run spt hvt: block.storage{0..62}=4096 expect=success
#include "kit.h"

int solo5_app_main(const struct solo5_start_info *info __attribute__((unused)))
{
    solo5_handle_t handle;
    struct solo5_block_info block_info;

    title("test_mft_maxdevices");
    CHECK(solo5_block_acquire("storage0", &handle, &block_info) == SOLO5_R_OK && handle == 1);
    CHECK(solo5_block_acquire("storage62", &handle, &block_info) == SOLO5_R_OK && handle == 63);
    CHECK(block_info.capacity == 4096);
    return succeed();
}
