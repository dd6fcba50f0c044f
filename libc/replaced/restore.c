/* Where the kernel lets a handler return to. No kernel calls our handlers. */
#include "glue.h"

HIDDEN void __restore(void);
HIDDEN void __restore_rt(void);

void __restore(void)
{
    solo5_abort();
}

void __restore_rt(void)
{
    solo5_abort();
}
