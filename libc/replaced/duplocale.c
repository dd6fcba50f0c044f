/* A copy of a locale is the locale, as none can be changed: see newlocale.c. */
#include <locale.h>

#include "glue.h"

locale_t __newlocale(int mask, const char *name, locale_t base);
locale_t __duplocale(locale_t locale);

locale_t __duplocale(locale_t locale)
{
    return locale == LC_GLOBAL_LOCALE ? __newlocale(LC_ALL_MASK, "C", 0) : locale;
}

__attribute__((weak, alias("__duplocale"))) locale_t duplocale(locale_t);
