/* SPDX-License-Identifier: ISC */
/*
 * hvt_abi.h: the agreement between the hvt tender and the bindings it runs.
 *
 * The unikernel runs in a virtual machine that has one CPU and memory, and no devices. It calls the
 * tender by hypercalls. Network frames may be queued in a ring that guest and tender share.
 *
 * Every number is little-endian. Addresses are guest physical ones, which are the virtual ones too.
 */

#ifndef HVT_ABI_H_INCLUDED
#define HVT_ABI_H_INCLUDED

#include <stddef.h>
#include <stdint.h>

#include "elf_abi.h"

/* The abi_version of the image's ABI1 note has to be exactly this. */
#define HVT_ABI_VERSION 2

/* Lowest address at which an image may be loaded or entered. */
#define HVT_GUEST_MIN_BASE 0x100000

/* Where the tender puts struct hvt_boot_info. */
#define HVT_BOOT_INFO_BASE 0x10000

/* Size of the command line's area, terminator included. */
#define HVT_CMDLINE_SIZE 8192

/* Size of a halt cookie's region. All of it has to be guest memory, even if the cookie is shorter. */
#define HVT_HALT_COOKIE_MAX 512

/* The size of guest memory is a multiple of HVT_MEM_GRANULE, and at most HVT_MEM_MAX with the ring. */
#define HVT_MEM_GRANULE 0x200000
#define HVT_MEM_MAX 0x100000000ULL

/*
 * Hypercall N passes the address of its argument. On x86_64 it is a 32-bit `out` to port
 * HVT_HYPERCALL_PIO_BASE + N, on aarch64 a 32-bit store to address
 * HVT_HYPERCALL_MMIO_BASE + (N << HVT_HYPERCALL_MMIO_SHIFT).
 */
#define HVT_HYPERCALL_PIO_BASE 0x500
#define HVT_HYPERCALL_MMIO_BASE 0x100000000ULL
#define HVT_HYPERCALL_MMIO_SHIFT 3

/* Wakes the thread that serves the ring: a 32-bit `out`, or store, of any value. */
#define HVT_RING_KICK_PIO 0x600
#define HVT_RING_KICK_MMIO (HVT_HYPERCALL_MMIO_BASE + 0x100)

enum hvt_hypercall {
    /* 0 is reserved. */
    HVT_HYPERCALL_WALLTIME = 1,
    HVT_HYPERCALL_PUTS,
    HVT_HYPERCALL_POLL,
    HVT_HYPERCALL_BLOCK_WRITE,
    HVT_HYPERCALL_BLOCK_READ,
    HVT_HYPERCALL_NET_WRITE,
    HVT_HYPERCALL_NET_READ,
    /* Does not return. */
    HVT_HYPERCALL_HALT,
    /* One more than the last hypercall of Solo5 0.12. */
    HVT_HYPERCALL_MAX,
    /* With a block device that the unikernel can flush. */
    HVT_HYPERCALL_BLOCK_FLUSH = 64
};

/* The outcomes in `ret` are those of solo5_result_t: done, not now, bad argument, failure. */

struct hvt_hc_walltime {
    /* Out: since 1970-01-01 UTC. */
    uint64_t nsecs;
};
ELF_ABI_STATIC_ASSERT(sizeof(struct hvt_hc_walltime) == 8, "struct hvt_hc_walltime");

struct hvt_hc_puts {
    uint64_t data;
    uint64_t len;
};
ELF_ABI_STATIC_ASSERT(sizeof(struct hvt_hc_puts) == 16, "struct hvt_hc_puts");

struct hvt_hc_poll {
    /* Longest wait, counted from the call. */
    uint64_t timeout_nsecs;
    /* Out: bit N is set if the device with handle N can be read. */
    uint64_t ready_set;
    /* Out: how many bits are set. */
    int32_t ret;
};
ELF_ABI_STATIC_ASSERT(sizeof(struct hvt_hc_poll) == 24, "struct hvt_hc_poll");
ELF_ABI_STATIC_ASSERT(offsetof(struct hvt_hc_poll, ret) == 16, "struct hvt_hc_poll");

/* Argument of HVT_HYPERCALL_BLOCK_WRITE and HVT_HYPERCALL_BLOCK_READ. */
struct hvt_hc_block {
    uint64_t handle;
    /* Position on the device, in bytes. */
    uint64_t offset;
    uint64_t data;
    uint64_t len;
    /* Out. */
    int32_t ret;
};
ELF_ABI_STATIC_ASSERT(sizeof(struct hvt_hc_block) == 40, "struct hvt_hc_block");
ELF_ABI_STATIC_ASSERT(offsetof(struct hvt_hc_block, ret) == 32, "struct hvt_hc_block");

/* Argument of HVT_HYPERCALL_BLOCK_FLUSH. */
struct hvt_hc_block_flush {
    uint64_t handle;
    /* Out. */
    int32_t ret;
};
ELF_ABI_STATIC_ASSERT(sizeof(struct hvt_hc_block_flush) == 16, "struct hvt_hc_block_flush");

/* Argument of HVT_HYPERCALL_NET_WRITE and HVT_HYPERCALL_NET_READ. */
struct hvt_hc_net {
    uint64_t handle;
    uint64_t data;
    /* Length of the frame to write, or of the buffer to read into. Out, after a read: of the frame. */
    uint64_t len;
    /* Out. */
    int32_t ret;
};
ELF_ABI_STATIC_ASSERT(sizeof(struct hvt_hc_net) == 32, "struct hvt_hc_net");
ELF_ABI_STATIC_ASSERT(offsetof(struct hvt_hc_net, ret) == 24, "struct hvt_hc_net");

struct hvt_hc_halt {
    /* Address of HVT_HALT_COOKIE_MAX bytes, or 0. On x86_64: a struct hvt_trap_frame. */
    uint64_t cookie;
    int32_t exit_status;
};
ELF_ABI_STATIC_ASSERT(sizeof(struct hvt_hc_halt) == 16, "struct hvt_hc_halt");
ELF_ABI_STATIC_ASSERT(offsetof(struct hvt_hc_halt, exit_status) == 8, "struct hvt_hc_halt");

/* State of the CPU at a trap on x86_64. */
struct hvt_trap_frame {
    uint64_t cr2, error_code, rip, cs, rflags, rsp, ss;
};
ELF_ABI_STATIC_ASSERT(sizeof(struct hvt_trap_frame) == 56, "struct hvt_trap_frame");

/* In host_features: the tender offers a ring. */
#define HVT_FEATURE_RING_IO (1 << 0)

/*
 * The argument of the entry point. Up to release 0.10 it ended before host_features, and the manifest
 * began there. So the tender offers a ring only if all of this holds: HVT_FEATURE_RING_IO is set,
 * net_ring is not 0, and `mft` is not the address of host_features.
 */
struct hvt_boot_info {
    /* Size of memory in bytes, without the part reserved for the ring. */
    uint64_t mem_size;
    /* End of the highest loaded segment, rounded up. */
    uint64_t kernel_end;
    /* Frequency of the CPU's counter in Hz. */
    uint64_t cpu_cycle_freq;
    /* Address of a NUL-terminated string. */
    uint64_t cmdline;
    /* Address of a struct mft of mft_abi.h, device properties filled in. */
    uint64_t mft;
    uint32_t host_features;
    /* Not used. */
    uint32_t guest_features;
    /* Address of a struct hvt_ring, or 0. */
    uint64_t net_ring;
};
ELF_ABI_STATIC_ASSERT(sizeof(struct hvt_boot_info) == 56, "struct hvt_boot_info");
ELF_ABI_STATIC_ASSERT(offsetof(struct hvt_boot_info, host_features) == 40, "struct hvt_boot_info");
ELF_ABI_STATIC_ASSERT(offsetof(struct hvt_boot_info, net_ring) == 48, "struct hvt_boot_info");

/* Number of submissions, and of completions. Counters wrap; an entry's index is its counter modulo this. */
#define HVT_RING_ENTRIES 1024

enum hvt_ring_operation {
    /* Has no completion. */
    HVT_RING_NET_WRITE = 1,
    HVT_RING_NET_READ = 2
};

struct hvt_ring_submission {
    uint32_t operation;
    uint32_t handle;
    /* Address and length of a frame, or of a buffer for one. */
    uint64_t data;
    uint32_t len;
    /* Chosen by the guest; the completion repeats it. */
    uint32_t id;
    uint64_t reserved;
};
ELF_ABI_STATIC_ASSERT(sizeof(struct hvt_ring_submission) == 32, "struct hvt_ring_submission");

struct hvt_ring_completion {
    uint32_t id;
    int32_t ret;
    /* Length of the frame. */
    uint32_t len;
    uint32_t reserved;
};
ELF_ABI_STATIC_ASSERT(sizeof(struct hvt_ring_completion) == 16, "struct hvt_ring_completion");

/*
 * One ring serves all network devices. It is zeroed at first. Each side stores only its own counters,
 * and each counter only after the entry that it announces. A full barrier separates the guest's
 * store to submitted from its load of needs_kick, and the tender's store to needs_kick from its load
 * of submitted.
 */
struct hvt_ring {
    /* Stored by the guest: submissions made, completions taken. */
    uint32_t submitted;
    uint32_t completions_taken;
    uint8_t padding_guest[56];
    /* Stored by the tender: submissions taken, completions made, whether it sleeps until it is kicked. */
    uint32_t submissions_taken;
    uint32_t completed;
    uint32_t needs_kick;
    uint8_t padding_tender[52];
    struct hvt_ring_submission submissions[HVT_RING_ENTRIES];
    struct hvt_ring_completion completions[HVT_RING_ENTRIES];
};
ELF_ABI_STATIC_ASSERT(sizeof(struct hvt_ring) == 0xc080, "struct hvt_ring");
ELF_ABI_STATIC_ASSERT(offsetof(struct hvt_ring, submissions_taken) == 64, "struct hvt_ring");
ELF_ABI_STATIC_ASSERT(offsetof(struct hvt_ring, submissions) == 128, "struct hvt_ring");
ELF_ABI_STATIC_ASSERT(offsetof(struct hvt_ring, completions) == 32896, "struct hvt_ring");

#endif /* HVT_ABI_H_INCLUDED */
