/*
 * What the files of the glue share.
 *
 * The glue answers the system calls that musl makes. A handler gets the six arguments of a call and
 * returns its result, or an error number, negated. It must not use errno or any other thread-local
 * variable: the first calls come before there is a thread pointer.
 */

#ifndef GLUE_H
#define GLUE_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>

#include "solo5.h"

#define HIDDEN __attribute__((visibility("hidden")))

typedef long handler_fn(const long *a);

/* Every handler in calls.def is one of these. */
#define CALL(name, handler, answer) HIDDEN handler_fn handler;
#include "calls.def"
#undef CALL

/* Size of a page, as programs see it. Nothing protects pages; they are what mmap() counts in. */
#define PAGE 4096UL

/* memory.c: takes over the memory from `start` on. */
HIDDEN void __solo5_memory_init(uintptr_t start, size_t size);
/* Bytes for ever, of the size of whole pages; NULL if there are none. */
HIDDEN void *__solo5_memory_take(size_t size);
/* All pages, and those that are free. */
HIDDEN size_t __solo5_memory_pages(void);
HIDDEN size_t __solo5_memory_free_pages(void);

/* files.c: copies what a file has at a place; -EBADF, or -ENODEV if it is none. */
HIDDEN long __solo5_file_copy(long fd, size_t at, void *to, size_t size);

/* The stack of main(). */
HIDDEN extern size_t __solo5_stack_size;
HIDDEN extern uintptr_t __solo5_stack_start;

/* time.c: notes the time of the start. */
HIDDEN void __solo5_time_init(void);
/* Waits until the monotonic clock has reached this time. */
HIDDEN void __solo5_wait_until(solo5_time_t deadline);
/* The monotonic time that lies this far ahead, as far as it can be counted. */
struct timespec;
HIDDEN int __solo5_deadline(const struct timespec *span, solo5_time_t *deadline);

#endif
