/* fpu: floating point and vector arithmetic work. */
//@ run spt hvt virtio xen: expect=success needs=processor
#include "kit.h"

typedef float four_floats __attribute__((vector_size(16)));

int solo5_app_main(const struct solo5_start_info *info __attribute__((unused)))
{
    title("test_fpu");
    volatile four_floats input = {2.0f, 5.0f, 3.0f, 8.0f};
    four_floats square = input * input;
    CHECK(square[0] == 4.0f && square[1] == 25.0f && square[2] == 9.0f && square[3] == 64.0f);

    volatile double a = 1.5, b = 5.0;
    CHECK(a * b == 7.5);
    return succeed();
}
