/* A new process. */
#include "glue.h"

int vfork(void);

int vfork(void)
{
    errno = ENOSYS;
    return -1;
}
