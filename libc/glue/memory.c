/*
 * Memory: the heap of Solo5 as brk() and mmap() give it out.
 *
 * The heap is counted in pages. A map at its start has a bit for each page that is in use. brk()
 * extends a region that begins behind the map; mmap() takes the highest free pages, so that the two
 * meet only when memory is short. Pages of mmap() are zeroed when they are given out, since what
 * they held before is unknown on some targets.
 */

#include <stdbool.h>
#include <sys/mman.h>

#include "glue.h"

static uint64_t *map;
static uintptr_t base;
static size_t pages;
/* The region of brk(), in pages from the base; and its end, in bytes. */
static size_t brk_first;
static uintptr_t brk_end;
/* Every page above this one is in use. */
static size_t highest;
static size_t used;

#define BITS 64

static bool is_used(size_t page)
{
    return map[page / BITS] >> (page % BITS) & 1;
}

static void set(size_t first, size_t count, bool in_use)
{
    for (size_t page = first; page < first + count; page++) {
        uint64_t bit = UINT64_C(1) << (page % BITS);
        if (in_use)
            map[page / BITS] |= bit;
        else
            map[page / BITS] &= ~bit;
    }
    used = in_use ? used + count : used - count;
    if (!in_use && first + count > highest)
        highest = first + count;
}

static bool are_free(size_t first, size_t count)
{
    if (count > pages || first > pages - count)
        return false;
    for (size_t page = first; page < first + count; page++) {
        if (is_used(page))
            return false;
    }
    return true;
}

static void *address(size_t page)
{
    return (void *)(base + page * PAGE);
}

/* The pages that `size` bytes take. */
static size_t pages_of(size_t size)
{
    return size / PAGE + (size % PAGE != 0);
}

void __solo5_memory_init(uintptr_t start, size_t size)
{
    uintptr_t end = start + size;
    base = (start + PAGE - 1) / PAGE * PAGE;
    pages = end > base ? (end - base) / PAGE : 0;
    map = (uint64_t *)base;
    size_t bytes = (pages + BITS - 1) / BITS * sizeof *map;
    memset(map, 0, bytes);
    highest = pages;
    brk_first = pages_of(bytes);
    set(0, brk_first, true);
    brk_end = base + brk_first * PAGE;
}

size_t __solo5_memory_pages(void)
{
    return pages;
}

size_t __solo5_memory_free_pages(void)
{
    return pages - used;
}

/* The highest `count` free pages that lie together, in use from now on; `pages` if there are none. */
static size_t take(size_t count)
{
    size_t run = 0;
    bool all_used = true;
    for (size_t page = highest; page > brk_first; page--) {
        /* The pages of a word of the map at once. */
        if (page % BITS == 0 && map[page / BITS - 1] == UINT64_MAX && page >= brk_first + BITS) {
            run = 0;
            page -= BITS - 1;
            continue;
        }
        if (is_used(page - 1)) {
            run = 0;
            continue;
        }
        if (all_used)
            highest = page;
        all_used = false;
        if (++run == count) {
            set(page - 1, count, true);
            return page - 1;
        }
    }
    return pages;
}

void *__solo5_memory_take(size_t size)
{
    size_t first = take(pages_of(size));
    return first == pages ? NULL : address(first);
}

long __solo5_brk(const long *a)
{
    uintptr_t wanted = (uintptr_t)a[0];
    uintptr_t start = base + brk_first * PAGE;
    /* As Linux does: what cannot be has no effect, and the end is the answer. */
    if (wanted < start || wanted - base > pages * PAGE)
        return (long)brk_end;
    size_t now = pages_of(brk_end - base);
    size_t then = pages_of(wanted - base);
    if (then > now) {
        if (!are_free(now, then - now))
            return (long)brk_end;
        set(now, then - now, true);
    }
    if (then < now)
        set(then, now - then, false);
    if (wanted > brk_end)
        memset((void *)brk_end, 0, wanted - brk_end);
    brk_end = wanted;
    return (long)brk_end;
}

/* The pages of a range of addresses. False if they are not all in the part that mmap() gives out. */
static bool range(uintptr_t start, size_t size, size_t *first, size_t *count)
{
    if (start < base || start % PAGE != 0)
        return false;
    *first = (start - base) / PAGE;
    *count = pages_of(size);
    return *first >= pages_of(brk_end - base) && *first <= pages && *count <= pages - *first;
}

long __solo5_mmap(const long *a)
{
    size_t size = (size_t)a[1];
    long rights = a[2], flags = a[3];
    if (size == 0)
        return -EINVAL;
    if (!(flags & MAP_ANONYMOUS) && a[5] < 0)
        return -EINVAL;
    if (rights & PROT_EXEC)
        return -EACCES;
    size_t count = pages_of(size);
    /* A hint may be ignored. A demand may lie anywhere in the heap: musl wants a page of brk(). */
    if (flags & MAP_FIXED) {
        if (!(flags & MAP_ANONYMOUS))
            return -EINVAL;
        uintptr_t start = (uintptr_t)a[0];
        size_t at = (start - base) / PAGE;
        if (start < base || start % PAGE != 0 || at < brk_first || at > pages || count > pages - at)
            return -EINVAL;
        for (size_t page = at; page < at + count; page++) {
            if (!is_used(page))
                set(page, 1, true);
        }
        return (long)memset(address(at), 0, count * PAGE);
    }
    size_t first = count > pages ? pages : take(count);
    if (first == pages)
        return -ENOMEM;
    memset(address(first), 0, count * PAGE);
    /* A copy: nobody changes a file, and no change of the copy is to be kept. */
    long error = flags & MAP_ANONYMOUS ? 0 : __solo5_file_copy(a[4], (size_t)a[5], address(first), size);
    if (error != 0) {
        set(first, count, false);
        return error;
    }
    return (long)address(first);
}

long __solo5_munmap(const long *a)
{
    size_t first, count;
    if (!range((uintptr_t)a[0], (size_t)a[1], &first, &count) || count == 0)
        return -EINVAL;
    for (size_t page = first; page < first + count; page++) {
        if (is_used(page))
            set(page, 1, false);
    }
    return 0;
}

long __solo5_mremap(const long *a)
{
    size_t first, count, wanted = pages_of((size_t)a[2]);
    if (!range((uintptr_t)a[0], (size_t)a[1], &first, &count) || count == 0 || wanted == 0)
        return -EINVAL;
    if (a[3] & ~(long)MREMAP_MAYMOVE)
        return -EINVAL;
    for (size_t page = first; page < first + count; page++) {
        if (!is_used(page))
            return -EFAULT;
    }
    if (wanted <= count) {
        set(first + wanted, count - wanted, false);
        return a[0];
    }
    if (are_free(first + count, wanted - count)) {
        set(first + count, wanted - count, true);
        memset(address(first + count), 0, (wanted - count) * PAGE);
        return a[0];
    }
    size_t moved = !(a[3] & MREMAP_MAYMOVE) || wanted > pages ? pages : take(wanted);
    if (moved == pages)
        return -ENOMEM;
    memcpy(address(moved), address(first), count * PAGE);
    memset(address(moved + count), 0, (wanted - count) * PAGE);
    set(first, count, false);
    return (long)address(moved);
}

long __solo5_mprotect(const long *a)
{
    return a[2] == (PROT_READ | PROT_WRITE) ? 0 : -ENOSYS;
}

long __solo5_madvise(const long *a)
{
    size_t first, count;
    if (!range((uintptr_t)a[0], (size_t)a[1], &first, &count))
        return -ENOMEM;
    switch (a[2]) {
    case MADV_NORMAL:
    case MADV_RANDOM:
    case MADV_SEQUENTIAL:
    case MADV_WILLNEED:
    case MADV_FREE:
    case MADV_HUGEPAGE:
    case MADV_NOHUGEPAGE:
        return 0;
    case MADV_DONTNEED:
        for (size_t page = first; page < first + count; page++) {
            if (is_used(page))
                memset(address(page), 0, PAGE);
        }
        return 0;
    default:
        return -EINVAL;
    }
}
