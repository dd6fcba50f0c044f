/* SPDX-License-Identifier: ISC */
/*
 * spt_abi.h: the agreement between the spt tender and the bindings it runs.
 *
 * The unikernel runs in the tender's own process, under a seccomp filter. So both use the same
 * addresses, and the bindings make their system calls directly.
 */

#ifndef SPT_ABI_H_INCLUDED
#define SPT_ABI_H_INCLUDED

#include <stddef.h>
#include <stdint.h>

#include "elf_abi.h"

/* The abi_version of the image's ABI1 note has to be exactly this. */
#define SPT_ABI_VERSION 2

/* Lowest address at which an image may be loaded or entered. */
#define SPT_GUEST_MIN_BASE 0x100000

/* Lowest address of the unikernel's memory. Nothing is mapped below it, so uses of NULL fault. */
#define SPT_HOST_MEM_BASE 0x10000

/* Where the tender puts struct spt_boot_info. */
#define SPT_BOOT_INFO_BASE (SPT_HOST_MEM_BASE + 0x1000)

/* Size of the command line's area, terminator included. */
#define SPT_CMDLINE_SIZE 8192

/*
 * The data of the epoll event that stands for `timerfd`. Every other event's data is the handle of
 * a network device.
 */
#define SPT_INTERNAL_TIMERFD (~1U)

/*
 * The argument of the entry point. The manifest follows it without a gap, with device properties
 * and host descriptors filled in; the command line follows the manifest.
 */
struct spt_boot_info {
    /* End address of the unikernel's memory, counted from 0. */
    uint64_t mem_size;
    /* End of the highest loaded segment that has content in the file, rounded up. */
    uint64_t kernel_end;
    /* NUL-terminated. */
    const char *cmdline;
    /* A struct mft of mft_abi.h. */
    const void *mft;
    /* Host descriptor of the epoll set with the network devices and the timer in it. */
    int epollfd;
    /* Host descriptor of a timer on CLOCK_MONOTONIC. */
    int timerfd;
};
ELF_ABI_STATIC_ASSERT(sizeof(struct spt_boot_info) == 40, "struct spt_boot_info");
ELF_ABI_STATIC_ASSERT(offsetof(struct spt_boot_info, cmdline) == 16, "struct spt_boot_info");
ELF_ABI_STATIC_ASSERT(offsetof(struct spt_boot_info, epollfd) == 32, "struct spt_boot_info");
ELF_ABI_STATIC_ASSERT(offsetof(struct spt_boot_info, timerfd) == 36, "struct spt_boot_info");

#endif /* SPT_ABI_H_INCLUDED */
