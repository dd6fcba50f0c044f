/*
 * seed: random bytes of the host, taken once. Without an offer there are none.
 *
 * The word on the command line names an access that must fault, or asks for a core file, or says that
 * no tender has put the seed where this suite's do.
 */
//@ run spt hvt taken: expect=success output="Seed: " peer=no
//@ run spt hvt switched-off: options=--offer=none expect=success output="No seed" absent="Seed: " peer=no
//@ run spt hvt others-only: options=--offer=flush,transfers expect=success output="No seed" peer=no
//@ run spt not-executable: args=jump expect=exit:139 output=JUMP absent=FAILURE peer=no
//@ run spt never-executable: options=--x-exec-heap args=jump expect=exit:139 output=JUMP absent=FAILURE peer=no
//@ run spt page-before: args=before expect=exit:139 output=WRITE absent=FAILURE peer=no
//@ run spt page-after: args=after expect=exit:139 output=WRITE absent=FAILURE peer=no
//@ run spt no-offer-no-page: options=--offer=none args=page expect=exit:139 output=WRITE absent=FAILURE peer=no
//@ run hvt not-executable-trap: args=jump expect=abort output=JUMP absent=FAILURE peer=no
//@ run hvt page-before-trap: args=before expect=abort output=WRITE absent=FAILURE peer=no
//@ run hvt page-after-trap: args=after expect=abort output=WRITE absent=FAILURE peer=no
//@ run hvt no-offer-no-page-trap: options=--offer=none args=page expect=abort output=WRITE absent=FAILURE peer=no
//@ run hvt core: args=core expect=exit:255 output="Seed: " absent=FAILURE peer=no
#include "kit.h"

#include "code.h"

#define PAGE 0x1000
/* Where this suite's tenders put the seed; applications do not depend on it. */
#define SEED_PAGE 0x1f000

static uint8_t seed[SOLO5_SEED_SIZE], again[SOLO5_SEED_SIZE + 1];

static bool is_zero(const volatile uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

static int store(uintptr_t address)
{
    say("WRITE\n");
    *(volatile uint8_t *)opaque(address) = 1;
    say("FAILURE\n");
    return SOLO5_EXIT_FAILURE;
}

int solo5_app_main(const struct solo5_start_info *info)
{
    uint8_t *const own = (uint8_t *)opaque(SEED_PAGE);
    volatile uint8_t *page = own;

    title("test_seed");
    if (strcmp(info->cmdline, "before") == 0)
        return store(SEED_PAGE - 1);
    if (strcmp(info->cmdline, "after") == 0)
        return store(SEED_PAGE + PAGE);
    if (strcmp(info->cmdline, "page") == 0)
        return store(SEED_PAGE);
    if (strcmp(info->cmdline, "jump") == 0) {
        static const uint8_t code[] = RETURN_INSTRUCTION;

        for (size_t i = 0; i < sizeof code; i++)
            page[i] = code[i];
        say("JUMP\n");
        call(page);
        say("FAILURE\n");
        return SOLO5_EXIT_FAILURE;
    }

    CHECK(solo5_seed(NULL, SOLO5_SEED_SIZE) == SOLO5_R_EINVAL);
    CHECK(solo5_seed(again, 0) == SOLO5_R_EINVAL);
    CHECK(solo5_seed(again, SOLO5_SEED_SIZE - 1) == SOLO5_R_EINVAL);
    CHECK(solo5_seed(again, SOLO5_SEED_SIZE + 1) == SOLO5_R_EINVAL);
    /* A seed in its own page would be wiped with it. */
    if (strcmp(info->cmdline, "elsewhere") != 0 &&
        solo5_seed(own, SOLO5_SEED_SIZE) != SOLO5_R_EUNSPEC) {
        CHECK(solo5_seed(own, SOLO5_SEED_SIZE) == SOLO5_R_EINVAL);
        CHECK(solo5_seed(own + 1, SOLO5_SEED_SIZE) == SOLO5_R_EINVAL);
        CHECK(solo5_seed(own - 1, SOLO5_SEED_SIZE) == SOLO5_R_EINVAL);
    }
    if (solo5_seed(seed, sizeof seed) == SOLO5_R_EUNSPEC) {
        CHECK(solo5_seed(seed, sizeof seed) == SOLO5_R_EUNSPEC);
        CHECK(is_zero(seed, sizeof seed));
        say("No seed\n");
        return succeed();
    }
    CHECK(!is_zero(seed, sizeof seed));
    CHECK(strcmp(info->cmdline, "elsewhere") == 0 || is_zero(page, PAGE));
    CHECK(solo5_seed(again, SOLO5_SEED_SIZE) == SOLO5_R_EINVAL);
    CHECK(is_zero(again, sizeof again));
    say("Seed: ");
    for (size_t i = 0; i < sizeof seed; i++)
        say_hex(seed[i], 2);
    say("\n");
    if (strcmp(info->cmdline, "core") == 0) {
        /* Now no copy is left, not even in a core file. */
        for (size_t i = 0; i < sizeof seed; i++)
            *(volatile uint8_t *)&seed[i] = 0;
        solo5_abort();
    }
    return succeed();
}
