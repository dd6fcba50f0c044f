/* code.h: the machine code of a function that only returns, for tests of executable memory. */
#ifndef KIT_CODE_H
#define KIT_CODE_H

#include <stdint.h>

#if defined(__x86_64__)
#define RETURN_INSTRUCTION                                                                         \
    {                                                                                              \
        0xc3, 0x90, 0x90, 0x90                                                                     \
    }
#elif defined(__aarch64__)
#define RETURN_INSTRUCTION                                                                         \
    {                                                                                              \
        0xc0, 0x03, 0x5f, 0xd6                                                                     \
    }
#elif defined(__powerpc64__)
#define RETURN_INSTRUCTION                                                                         \
    {                                                                                              \
        0x20, 0x00, 0x80, 0x4e                                                                     \
    }
#else
#error unknown architecture
#endif

static inline void call(const volatile void *code)
{
    ((void (*)(void))opaque((uintptr_t)code))();
}

#endif
