/* A new thread or process. */
#include "glue.h"

int clone(int (*function)(void *), void *stack, int flags, void *argument, ...);
HIDDEN int __clone(int (*function)(void *), void *stack, int flags, void *argument, ...);

int __clone(int (*function)(void *), void *stack, int flags, void *argument, ...)
{
    (void)function;
    (void)stack;
    (void)flags;
    (void)argument;
    return -ENOSYS;
}

/* Members of both names go with the one in assembly. */
int clone(int (*function)(void *), void *stack, int flags, void *argument, ...)
{
    (void)function;
    (void)stack;
    (void)flags;
    (void)argument;
    errno = ENOSYS;
    return -1;
}
