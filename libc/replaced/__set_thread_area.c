/* The thread pointer. */
#include "glue.h"

HIDDEN int __set_thread_area(void *pointer);

int __set_thread_area(void *pointer)
{
    return solo5_set_tls_base((uintptr_t)pointer) == SOLO5_R_OK ? 0 : -EINVAL;
}
