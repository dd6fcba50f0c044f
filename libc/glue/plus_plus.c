/* What libstdc++, as it is built for glibc, needs of the C library and musl does not have. */

#include <sys/random.h>

#include "glue.h"

/* There is one thread. */
char __libc_single_threaded = 1;

/* What destructors of static objects are registered with; compilers have it in a file of their own. */
HIDDEN void *__dso_handle;
void *__dso_handle = NULL;

uint32_t arc4random(void);

/* std::random_device. It cannot fail. */
uint32_t arc4random(void)
{
    uint32_t number;
    if (getrandom(&number, sizeof number, 0) != sizeof number) {
        static const char text[] = "libc: arc4random: no seed; the manifest needs `seed: true`\n";
        solo5_console_write(text, sizeof text - 1);
        solo5_abort();
    }
    return number;
}

typedef void destructor(void *object);

int __cxa_atexit(destructor *run, void *object, void *library);
int __cxa_thread_atexit_impl(destructor *run, void *object, void *library);

/* Destructors of thread-local objects: the thread ends with the program. */
int __cxa_thread_atexit_impl(destructor *run, void *object, void *library)
{
    return __cxa_atexit(run, object, library);
}
