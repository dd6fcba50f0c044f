/* SPDX-License-Identifier: ISC */
/*
 * elf_abi.h: the parts of a unikernel's ELF file that identify it, besides its manifest.
 *
 * Three objects, each in its own section, which the linker scripts place:
 *
 *   ABI1 note        .note.solo5.abi           the target the unikernel is linked for
 *   OpenBSD note     .note.solo5.not_openbsd   makes an OpenBSD host honour .interp
 *   interpreter      .interp                   makes every host refuse to run the file directly
 *
 * Numbers are little-endian, as every supported machine is.
 */

#ifndef ELF_ABI_H_INCLUDED
#define ELF_ABI_H_INCLUDED

#include <stddef.h>
#include <stdint.h>

#if defined(__cplusplus)
#define ELF_ABI_STATIC_ASSERT(condition, text) static_assert(condition, text)
#else
#define ELF_ABI_STATIC_ASSERT(condition, text) _Static_assert(condition, text)
#endif

/* Targets, the abi_target of an ABI1 note. */
enum abi_target {
    HVT_ABI_TARGET = 1,
    SPT_ABI_TARGET = 2,
    VIRTIO_ABI_TARGET = 3,
    MUEN_ABI_TARGET = 4,
    /* Reserved: no bindings for it exist. */
    GENODE_ABI_TARGET = 5,
    XEN_ABI_TARGET = 6
};

/* The fixed part of a note whose owner's name takes 8 bytes, padding included. */
struct elf_abi_note_header {
    /* Length of the name with its terminator. */
    uint32_t n_namesz;
    /* Length of what follows this header. */
    uint32_t n_descsz;
    uint32_t n_type;
    char name[8];
};
ELF_ABI_STATIC_ASSERT(sizeof(struct elf_abi_note_header) == 20, "struct elf_abi_note_header");

/* Notes are aligned to 4 bytes. */
#define ELF_ABI_NOTE_ALIGN 4

/*
 * The ABI1 note.
 */

/* Owner of Solo5's notes. */
#define ABI1_NOTE_NAME "Solo5"
/* "ABI1" in memory. */
#define ABI1_NOTE_TYPE 0x31494241
#define ABI1_NOTE_ALIGN ELF_ABI_NOTE_ALIGN
/* Longest descriptor that a reader accepts. */
#define ABI1_NOTE_MAX_SIZE (sizeof(struct abi1_info) * 2)

/* Descriptor. A loader runs an image only if it knows exactly this target in this version. */
struct abi1_info {
    uint32_t abi_target;
    uint32_t abi_version;
    uint32_t reserved0;
    uint32_t reserved1;
};
ELF_ABI_STATIC_ASSERT(sizeof(struct abi1_info) == 16, "struct abi1_info");

struct abi1_note {
    struct elf_abi_note_header header;
    struct abi1_info info;
};
ELF_ABI_STATIC_ASSERT(sizeof(struct abi1_note) == 36, "struct abi1_note");

/*
 * Defines the note. Between the two goes a brace initialiser for a struct abi1_info:
 *
 *     ABI1_NOTE_DECLARE_BEGIN
 *     { .abi_target = SPT_ABI_TARGET, .abi_version = SPT_ABI_VERSION }
 *     ABI1_NOTE_DECLARE_END
 */
#define ABI1_NOTE_DECLARE_BEGIN \
    extern const struct abi1_note __solo5_abi1_note; \
    const struct abi1_note __solo5_abi1_note \
        __attribute__((used, section(".note.solo5.abi"), aligned(ABI1_NOTE_ALIGN))) = { \
        .header = { sizeof(ABI1_NOTE_NAME), sizeof(struct abi1_info), ABI1_NOTE_TYPE, \
                ABI1_NOTE_NAME }, \
        .info =
#define ABI1_NOTE_DECLARE_END };

/*
 * The OpenBSD identification note. An OpenBSD kernel takes a file with it for a native binary. The
 * note's PT_NOTE has to be the first one of the file.
 */
struct openbsd_note {
    struct elf_abi_note_header header;
    uint32_t data;
};
ELF_ABI_STATIC_ASSERT(sizeof(struct openbsd_note) == 24, "struct openbsd_note");

#define DECLARE_OPENBSD_NOTE \
    extern const struct openbsd_note __solo5_openbsd_note; \
    const struct openbsd_note __solo5_openbsd_note \
        __attribute__((used, section(".note.solo5.not_openbsd"), aligned(ELF_ABI_NOTE_ALIGN))) = { \
        .header = { 8, sizeof(uint32_t), 1, "OpenBSD" }, .data = 0 };

/*
 * The interpreter: a path that names a directory, which no kernel can execute. So an attempt to run
 * a unikernel as a program of the host fails cleanly, and no guest code runs there.
 */
#define DECLARE_ELF_INTERP \
    extern const char __fake_interp[24]; \
    const char __fake_interp[24] \
        __attribute__((used, section(".interp"), aligned(8))) = "/nonexistent/solo5/";

#endif /* ELF_ABI_H_INCLUDED */
