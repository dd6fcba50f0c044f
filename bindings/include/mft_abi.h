/* SPDX-License-Identifier: ISC */
/*
 * mft_abi.h: the application manifest as it is stored in a unikernel, the MFT1 note.
 *
 * Generated sources define MFT_ENTRIES, the number of entries with the reserved one, before they
 * include this file, and then define the note:
 *
 *     #define MFT_ENTRIES 2
 *     #include "mft_abi.h"
 *
 *     MFT1_NOTE_DECLARE_BEGIN
 *     {
 *         .version = MFT_VERSION,
 *         .entries = MFT_ENTRIES,
 *         .e = {
 *             { .name = "", .type = MFT_RESERVED_FIRST },
 *             { .name = "storage", .type = MFT_DEV_BLOCK_BASIC },
 *         }
 *     }
 *     MFT1_NOTE_DECLARE_END
 *
 * Without MFT_ENTRIES the entries are a flexible array member, for code that reads manifests.
 */

#ifndef MFT_ABI_H_INCLUDED
#define MFT_ABI_H_INCLUDED

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__cplusplus)
#define MFT_STATIC_ASSERT(condition, text) static_assert(condition, text)
#else
#define MFT_STATIC_ASSERT(condition, text) _Static_assert(condition, text)
#endif

/* Version of this layout. */
#define MFT_VERSION 1

/*
 * Maximum number of entries: a set of handles fits into 64 bits. Entry 0 is reserved, so no device
 * has handle 0.
 */
#define MFT_MAX_ENTRIES 64

/* Size of the field for a name: 67 characters A-Z a-z 0-9 and the terminator. */
#define MFT_NAME_SIZE 68
#define MFT_NAME_MAX  67

/* Types of entry. */
typedef enum mft_type {
    MFT_DEV_BLOCK_BASIC = 1,
    MFT_DEV_NET_BASIC = 2,
    /* The type of entry 0. This number and all above it are no devices. */
    MFT_RESERVED_FIRST = (1U << 30)
} mft_type_t;

/* Filled in when the device is attached; zero in a file. */
struct mft_block_basic {
    /* Bytes. */
    uint64_t capacity;
    uint16_t block_size;
};

/* Filled in when the device is attached; zero in a file. */
struct mft_net_basic {
    uint8_t mac[6];
    uint16_t mtu;
};

struct mft_entry {
    char name[MFT_NAME_SIZE];
    mft_type_t type;
    union {
        struct mft_block_basic block_basic;
        struct mft_net_basic net_basic;
    } u;
    /* Private to the code that attaches the device. */
    union {
        int hostfd;
        uint64_t data;
    } b;
    bool attached;
};

#ifdef __clang__
/* C++ has no flexible array members. Every compiler supports them, but clang warns when pedantic. */
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wc99-extensions"
#endif
struct mft {
    uint32_t version;
    uint32_t entries;
#ifdef MFT_ENTRIES
    struct mft_entry e[MFT_ENTRIES];
#else
    __extension__ struct mft_entry e[];
#endif
};
#ifdef __clang__
#pragma clang diagnostic pop
#endif

/* Owner of the note. */
#define MFT1_NOTE_NAME  "Solo5"
/* "MFT1" in memory. */
#define MFT1_NOTE_TYPE  0x3154464d
#define MFT1_NOTE_ALIGN 4

/* Longest descriptor. */
#define MFT1_NOTE_MAX_SIZE (4 + 8 + MFT_MAX_ENTRIES * sizeof(struct mft_entry))

MFT_STATIC_ASSERT(sizeof(mft_type_t) == 4, "enum mft_type");
MFT_STATIC_ASSERT(sizeof(struct mft_entry) == 104, "struct mft_entry");
MFT_STATIC_ASSERT(offsetof(struct mft_entry, type) == 68, "struct mft_entry");
MFT_STATIC_ASSERT(offsetof(struct mft_entry, u) == 72, "struct mft_entry");
MFT_STATIC_ASSERT(offsetof(struct mft_entry, b) == 88, "struct mft_entry");
MFT_STATIC_ASSERT(offsetof(struct mft_entry, attached) == 96, "struct mft_entry");
MFT_STATIC_ASSERT(offsetof(struct mft_block_basic, block_size) == 8, "struct mft_block_basic");
MFT_STATIC_ASSERT(offsetof(struct mft_net_basic, mtu) == 6, "struct mft_net_basic");

#ifdef MFT_ENTRIES

MFT_STATIC_ASSERT(MFT_ENTRIES >= 1, "a manifest has at least its reserved entry");
MFT_STATIC_ASSERT(MFT_ENTRIES <= MFT_MAX_ENTRIES, "a manifest has at most 64 entries");

/*
 * The whole note. Four bytes of padding, which count as part of the descriptor, align the manifest
 * to 8 bytes from the start of the note; the note itself is aligned to 4.
 */
struct __attribute__((packed, aligned(MFT1_NOTE_ALIGN))) mft1_note {
    uint32_t n_namesz;
    uint32_t n_descsz;
    uint32_t n_type;
    char name[8];
    uint32_t padding;
    struct mft mft;
};
MFT_STATIC_ASSERT(offsetof(struct mft1_note, mft) == 24, "struct mft1_note");
MFT_STATIC_ASSERT(sizeof(struct mft1_note) == 32 + 104 * MFT_ENTRIES, "struct mft1_note");

#ifdef __cplusplus
extern "C" {
#endif
/* The bindings of targets without a tender read it. Build systems name it as a link root. */
extern const struct mft1_note __solo5_mft1_note;
#ifdef __cplusplus
}
#endif

/* Defines the note. Between the two goes a brace initialiser for a struct mft. */
#define MFT1_NOTE_DECLARE_BEGIN \
    const struct mft1_note __solo5_mft1_note \
        __attribute__((used, section(".note.solo5.manifest"), aligned(MFT1_NOTE_ALIGN))) = { \
        .n_namesz = sizeof(MFT1_NOTE_NAME), \
        .n_descsz = sizeof(struct mft1_note) - offsetof(struct mft1_note, padding), \
        .n_type = MFT1_NOTE_TYPE, \
        .name = MFT1_NOTE_NAME, \
        .padding = 0, \
        .mft =
#define MFT1_NOTE_DECLARE_END };

#endif /* MFT_ENTRIES */

#endif /* MFT_ABI_H_INCLUDED */
