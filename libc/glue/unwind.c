/*
 * Where the unwind tables are, as libgcc asks glibc for it. GCC's library on Debian was built for
 * glibc and calls this function; on musl of its own it would use dl_iterate_phdr(), which needs
 * nothing of us.
 */

#include <pthread.h>

#include "glue.h"

/*
 * libgcc calls these by weak references, all of them if one is there, and a weak reference takes nothing
 * from an archive. So whoever links this file links them all.
 */
typedef void any_function(void);
int __pthread_key_create(pthread_key_t *key, void (*destructor)(void *));
__attribute__((used)) static any_function *const called_by_libgcc[] = {
    (any_function *)pthread_once,
    (any_function *)pthread_mutex_lock,
    (any_function *)pthread_mutex_unlock,
    (any_function *)pthread_key_create,
    (any_function *)__pthread_key_create,
    (any_function *)pthread_getspecific,
    (any_function *)pthread_setspecific,
};

extern const char _stext[], _end[];
extern const char __eh_frame_hdr_start[] __attribute__((weak));
extern const char __eh_frame_hdr_end[] __attribute__((weak));

/* glibc's <dlfcn.h>. */
struct dl_find_object {
    unsigned long long flags;
    void *start;
    void *end;
    void *link_map;
    void *eh_frame;
    unsigned long long reserved[7];
};

int _dl_find_object(void *code, struct dl_find_object *found);

int _dl_find_object(void *code, struct dl_find_object *found)
{
    uintptr_t at = (uintptr_t)code;
    if (at < (uintptr_t)_stext || at >= (uintptr_t)_end
            || (uintptr_t)__eh_frame_hdr_start == (uintptr_t)__eh_frame_hdr_end)
        return -1;
    *found = (struct dl_find_object){
        .start = (void *)(uintptr_t)_stext,
        .end = (void *)(uintptr_t)_end,
        .eh_frame = (void *)(uintptr_t)__eh_frame_hdr_start,
    };
    return 0;
}
