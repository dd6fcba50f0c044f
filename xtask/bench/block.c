/* Measures writes and reads of a block device's sectors: prints operations and microseconds, for
 * `cargo xtask bench`. */

#include "print.h"
#include "solo5.h"

enum { ROUNDS = 20000 };

static uint8_t sector[32768];

int solo5_app_main(const struct solo5_start_info *info)
{
    solo5_handle_t disk;
    struct solo5_block_info about;

    (void)info;
    if (solo5_block_acquire("storage", &disk, &about) != SOLO5_R_OK)
        return 1;
    solo5_time_t start = solo5_clock_monotonic();
    for (uint64_t round = 0; round < ROUNDS; round++) {
        solo5_off_t at = round * 7919 % (about.capacity / about.block_size) * about.block_size;
        sector[0] = (uint8_t)round;
        if (solo5_block_write(disk, at, sector, about.block_size) != SOLO5_R_OK ||
            solo5_block_read(disk, at, sector, about.block_size) != SOLO5_R_OK ||
            sector[0] != (uint8_t)round)
            return 2;
    }
    print("operations:", 2 * ROUNDS);
    print("microseconds:", (solo5_clock_monotonic() - start) / 1000);
    return SOLO5_EXIT_SUCCESS;
}
