/*
 * How musl makes system calls: by a call of our function instead of an instruction.
 *
 * musl's sources include "syscall_arch.h", of which each of its architectures has one. This folder
 * comes first on the include path when musl is built, so they find this file. The macros are those
 * that musl's own files define; they are about the sizes of arguments, and all our architectures
 * have 64 bits.
 */

#define __SYSCALL_LL_E(x) (x)
#define __SYSCALL_LL_O(x) (x)
#define IPC_64 0

__attribute__((__visibility__("hidden")))
long __solo5_system_call(long number, long a, long b, long c, long d, long e, long f);

static __inline long __syscall0(long n)
{
    return __solo5_system_call(n, 0, 0, 0, 0, 0, 0);
}

static __inline long __syscall1(long n, long a)
{
    return __solo5_system_call(n, a, 0, 0, 0, 0, 0);
}

static __inline long __syscall2(long n, long a, long b)
{
    return __solo5_system_call(n, a, b, 0, 0, 0, 0);
}

static __inline long __syscall3(long n, long a, long b, long c)
{
    return __solo5_system_call(n, a, b, c, 0, 0, 0);
}

static __inline long __syscall4(long n, long a, long b, long c, long d)
{
    return __solo5_system_call(n, a, b, c, d, 0, 0);
}

static __inline long __syscall5(long n, long a, long b, long c, long d, long e)
{
    return __solo5_system_call(n, a, b, c, d, e, 0);
}

static __inline long __syscall6(long n, long a, long b, long c, long d, long e, long f)
{
    return __solo5_system_call(n, a, b, c, d, e, f);
}
