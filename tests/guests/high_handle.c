/* high_handle: a ready set has 64 bits; this network device is bit 40. */
//@ run spt hvt: tap.service0=10.0.0.1/24 block.storage{0..38}=4KiB ping=10.0.0.2*10 expect=success
#define PINGS_WANTED 10
#define HANDLE_WANTED 40
#define TEST_NAME "test_high_handle"
#include "net.c"
