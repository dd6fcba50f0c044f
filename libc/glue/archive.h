/*
 * The files of an image: an archive of tar, which the author links into it. They can only be read.
 */

#ifndef ARCHIVE_H
#define ARCHIVE_H

#include <stdbool.h>
#include <sys/types.h>

#include "glue.h"

/* Longest path, with its NUL. */
#define PATH_SIZE 256

/* A file or a folder. */
struct entry {
    /* NULL for a folder. */
    const char *content;
    size_t size;
    unsigned long mode;
    unsigned long time;
    /* Its number, from 1. */
    size_t number;
    /* The path, without a slash at its start or its end; empty for the root. */
    char path[PATH_SIZE];
};

/* The entry behind `*at`, which is 0 at first, or false. Folders without an entry are left out. */
HIDDEN bool __solo5_archive_next(size_t *at, struct entry *entry);

/* The entry at a path without slashes at its ends: 0, -ENOENT, or -ENOTDIR. */
HIDDEN int __solo5_archive_find(const char *path, struct entry *entry);

/*
 * The path that `name` means in the folder `folder`, without "." and "..": 0, -ENOENT if it is empty, or
 * -ENAMETOOLONG.
 */
HIDDEN int __solo5_path(const char *folder, const char *name, char *path);

#endif
