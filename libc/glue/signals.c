/* Signals that a program sends to itself. No other can come. */

#include <signal.h>

#include "glue.h"
/* musl's own: what it passes to the kernel. */
#define hidden HIDDEN
#include "ksigaction.h"

static struct k_sigaction actions[_NSIG];
static unsigned char blocked[_NSIG / 8];

long __solo5_sigaction(const long *a)
{
    long number = a[0];
    const struct k_sigaction *new = (const struct k_sigaction *)a[1];
    struct k_sigaction *old = (struct k_sigaction *)a[2];
    if (number <= 0 || number >= _NSIG || (new != NULL && (number == SIGKILL || number == SIGSTOP)))
        return -EINVAL;
    struct k_sigaction before = actions[number];
    if (new != NULL)
        actions[number] = *new;
    if (old != NULL)
        *old = before;
    return 0;
}

long __solo5_sigprocmask(const long *a)
{
    const unsigned char *set = (const unsigned char *)a[1];
    if (a[3] != sizeof blocked)
        return -EINVAL;
    unsigned char before[sizeof blocked];
    memcpy(before, blocked, sizeof before);
    for (size_t i = 0; set != NULL && i < sizeof blocked; i++) {
        switch (a[0]) {
        case SIG_BLOCK:
            blocked[i] |= set[i];
            break;
        case SIG_UNBLOCK:
            blocked[i] &= (unsigned char)~set[i];
            break;
        case SIG_SETMASK:
            blocked[i] = set[i];
            break;
        default:
            return -EINVAL;
        }
    }
    if (a[2] != 0)
        memcpy((void *)a[2], before, sizeof before);
    return 0;
}

static void by_default(int number)
{
    switch (number) {
    case SIGCHLD:
    case SIGCONT:
    case SIGURG:
    case SIGWINCH:
        return;
    case SIGABRT:
        solo5_abort();
    default:
        solo5_exit(128 + number);
    }
}

static long send(long number)
{
    if (number < 0 || number >= _NSIG)
        return -EINVAL;
    if (number == 0)
        return 0;
    struct k_sigaction action = actions[number];
    if (action.flags & SA_RESETHAND)
        actions[number].handler = SIG_DFL;
    if (action.handler == SIG_DFL) {
        by_default((int)number);
    } else if (action.handler != SIG_IGN) {
        if (action.flags & SA_SIGINFO) {
            siginfo_t info = { .si_signo = (int)number, .si_code = SI_TKILL, .si_pid = 1 };
            void (*handler)(int, siginfo_t *, void *);
            memcpy(&handler, &action.handler, sizeof handler);
            handler((int)number, &info, NULL);
        } else {
            action.handler((int)number);
        }
    }
    return 0;
}

/* The one process and its one thread are both number 1; 0 is the group, -1 everybody. */
long __solo5_kill(const long *a)
{
    return a[0] == 1 || a[0] == 0 || a[0] == -1 ? send(a[1]) : -ESRCH;
}

long __solo5_tgkill(const long *a)
{
    return a[0] == 1 && a[1] == 1 ? send(a[2]) : -ESRCH;
}
