/* The end of a thread that frees its own stack. There is one thread, so nobody comes here. */
#include "glue.h"

HIDDEN void __unmapself(void *stack, size_t size);

void __unmapself(void *stack, size_t size)
{
    (void)stack;
    (void)size;
    solo5_abort();
}
