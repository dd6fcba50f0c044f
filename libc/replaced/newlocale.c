/*
 * Locales, in the layout of glibc: libstdc++, as it is built for glibc, reads the tables of a locale
 * without a call. musl's own structure is a part of glibc's that libstdc++ does not read.
 *
 * There are two locales, both for ever: "C", and UTF-8, which every other name means, as in musl.
 */
#include <ctype.h>
#include <locale.h>
#include <stdbool.h>

#include "glue.h"

/* musl's, as its locale_impl.h has them. */
struct __locale_map;
HIDDEN extern const struct __locale_map __c_dot_utf8;
const unsigned short **__ctype_b_loc(void);
const int32_t **__ctype_tolower_loc(void);
const int32_t **__ctype_toupper_loc(void);

struct locale {
    /* musl's structure: a map for each of six categories. */
    const struct __locale_map *categories[6];
    /* glibc has thirteen pointers there. */
    const void *unused[7];
    const unsigned short *classes;
    const int32_t *lower;
    const int32_t *upper;
    const char *names[13];
};

static struct locale locales[2];

static struct locale *get(bool utf8)
{
    struct locale *locale = &locales[utf8];
    if (locale->classes == NULL) {
        locale->categories[LC_CTYPE] = utf8 ? &__c_dot_utf8 : NULL;
        locale->classes = *__ctype_b_loc();
        locale->lower = *__ctype_tolower_loc();
        locale->upper = *__ctype_toupper_loc();
        for (int i = 0; i < 13; i++)
            locale->names[i] = utf8 ? "C.UTF-8" : "C";
    }
    return locale;
}

locale_t __newlocale(int mask, const char *name, locale_t base);

locale_t __newlocale(int mask, const char *name, locale_t base)
{
    bool utf8 = strcmp(name, "C") != 0 && strcmp(name, "POSIX") != 0;
    /* glibc has a bit for all categories. */
    if (!(mask & (LC_CTYPE_MASK | 1 << LC_ALL)))
        utf8 = base == (locale_t)&locales[true];
    return (locale_t)get(utf8);
}

__attribute__((weak, alias("__newlocale"))) locale_t newlocale(int, const char *, locale_t);
