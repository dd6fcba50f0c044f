/*
 * Included in front of C++ sources: what the headers of libstdc++, as it is built for glibc, expect of
 * the C library's headers, and musl's do not have.
 */

#ifndef SOLO5_LIBSTDCXX_H
#define SOLO5_LIBSTDCXX_H

#include <features.h>

/* No version of glibc is at least this one. */
#ifndef __GLIBC_PREREQ
#define __GLIBC_PREREQ(major, minor) 0
#endif

#include <locale.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef locale_t __locale_t;
locale_t __uselocale(locale_t);

/* The bits of the tables that __ctype_b_loc() has in both libraries. */
enum {
    _ISblank = 1 << 0,
    _IScntrl = 1 << 1,
    _ISpunct = 1 << 2,
    _ISalnum = 1 << 3,
    _ISupper = 1 << 8,
    _ISlower = 1 << 9,
    _ISalpha = 1 << 10,
    _ISdigit = 1 << 11,
    _ISxdigit = 1 << 12,
    _ISspace = 1 << 13,
    _ISprint = 1 << 14,
    _ISgraph = 1 << 15
};

#ifdef __cplusplus
}
#endif

#endif
