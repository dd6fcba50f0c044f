/* Locales stay: see newlocale.c. */
#include <locale.h>

#include "glue.h"

void __freelocale(locale_t locale);

void __freelocale(locale_t locale)
{
    (void)locale;
}

__attribute__((weak, alias("__freelocale"))) void freelocale(locale_t);
