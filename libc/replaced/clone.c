/* A new thread or process. */
#include "glue.h"

HIDDEN int __clone(int (*function)(void *), void *stack, int flags, void *argument, ...);

int __clone(int (*function)(void *), void *stack, int flags, void *argument, ...)
{
    (void)function;
    (void)stack;
    (void)flags;
    (void)argument;
    return -ENOSYS;
}
