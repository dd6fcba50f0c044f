/* The attributes of the one thread. musl looks for its stack where Linux has it. */
#include <pthread.h>

#include "glue.h"

int pthread_getattr_np(pthread_t thread, pthread_attr_t *attributes)
{
    (void)thread;
    int error = pthread_attr_init(attributes);
    if (error != 0)
        return error;
    return pthread_attr_setstack(attributes, (void *)__solo5_stack_start, __solo5_stack_size);
}
