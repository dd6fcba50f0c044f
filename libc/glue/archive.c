/*
 * Reads the archive: headers of 512 bytes, each with a name, a size and a type, and the content behind it
 * in whole blocks (POSIX, ustar). What is neither a file nor a folder is passed over.
 */

#include "archive.h"

/* What linkers name the content of a file `files.tar` that they take as it is. */
extern const char _binary_files_tar_start[] __attribute__((weak));
extern const char _binary_files_tar_end[] __attribute__((weak));

#define BLOCK 512

/* Places and sizes of a header's fields. */
#define NAME       0
#define NAME_SIZE  100
#define MODE       100
#define MODE_SIZE  8
#define SIZE       124
#define TIME       136
#define LONG_SIZE  12
#define TYPE       156
#define MAGIC      257
#define PREFIX     345
#define PREFIX_LEN 155

static size_t octal(const char *field, size_t size)
{
    size_t value = 0;
    for (size_t i = 0; i < size; i++) {
        if (field[i] >= '0' && field[i] <= '7')
            value = value * 8 + (size_t)(field[i] - '0');
        else if (field[i] != ' ' || value != 0)
            break;
    }
    return value;
}

/* Appends a field, which need not end with a NUL, as far as there is room. */
static void append(char *path, const char *field, size_t size)
{
    size_t length = strlen(path), more = strnlen(field, size);
    if (more > PATH_SIZE - 1 - length)
        more = PATH_SIZE - 1 - length;
    memcpy(path + length, field, more);
    path[length + more] = '\0';
}

/*
 * The name that a header of its own has for the entry behind it, or NULL: GNU's (L) is the content, POSIX's (x)
 * one of its lines, "LENGTH path=NAME\n".
 */
static const char *long_name(char type, const char *content, size_t size, size_t *length)
{
    if (type == 'L') {
        *length = strnlen(content, size);
        return content;
    }
    for (size_t at = 0; at < size;) {
        size_t line = 0, digits = 0;
        while (digits < 9 && digits < size - at && content[at + digits] >= '0' && content[at + digits] <= '9')
            line = line * 10 + (size_t)(content[at + digits++] - '0');
        if (line <= digits || line > size - at)
            return NULL;
        if (line > digits + 7 && memcmp(content + at + digits, " path=", 6) == 0) {
            *length = line - digits - 7;
            return content + at + digits + 6;
        }
        at += line;
    }
    return NULL;
}

bool __solo5_archive_next(size_t *at, struct entry *entry)
{
    const char *given = NULL;
    size_t given_length = 0;
    uintptr_t start = (uintptr_t)_binary_files_tar_start, end = (uintptr_t)_binary_files_tar_end;
    size_t whole = start == 0 ? 0 : end - start;
    for (;;) {
        if (*at > whole || whole - *at < BLOCK)
            return false;
        const char *header = (const char *)start + *at;
        if (memcmp(header + MAGIC, "ustar", 5) != 0)
            return false;
        size_t size = octal(header + SIZE, LONG_SIZE);
        size_t number = *at / BLOCK + 1;
        if (size > whole - *at - BLOCK)
            return false;
        *at += BLOCK + (size + BLOCK - 1) / BLOCK * BLOCK;
        char type = header[TYPE];
        if (type == 'L' || type == 'x') {
            size_t length;
            const char *found = long_name(type, header + BLOCK, size, &length);
            if (found != NULL) {
                given = found;
                given_length = length;
            }
            continue;
        }
        const char *own = given;
        if (type != 'K' && type != 'g')
            given = NULL;
        if (type != '0' && type != '\0' && type != '5')
            continue;
        if (own != NULL && given_length >= PATH_SIZE)
            continue;
        char name[PATH_SIZE] = "";
        /* GNU's own format has other fields where POSIX has the prefix. */
        if (own != NULL) {
            append(name, own, given_length);
        } else {
            if (header[MAGIC + 5] == '\0' && header[PREFIX] != '\0') {
                append(name, header + PREFIX, PREFIX_LEN);
                append(name, "/", 1);
            }
            append(name, header + NAME, NAME_SIZE);
        }
        *entry = (struct entry){
            .content = type == '5' ? NULL : header + BLOCK,
            .size = type == '5' ? 0 : size,
            .mode = octal(header + MODE, MODE_SIZE) & 07777,
            .time = octal(header + TIME, LONG_SIZE),
            .number = number,
        };
        if (__solo5_path("", name, entry->path) == 0)
            return true;
    }
}

int __solo5_archive_find(const char *path, struct entry *entry)
{
    size_t at = 0, length = strlen(path);
    bool is_folder = length == 0, found = false;
    size_t first = 0;
    struct entry next;
    while (__solo5_archive_next(&at, &next)) {
        if (first == 0 && strncmp(next.path, path, length) == 0 && (length == 0 || next.path[length] == '/'))
            first = next.number;
        /* As tar itself does, the last one counts. */
        if (strcmp(next.path, path) == 0) {
            *entry = next;
            found = true;
        } else if (strncmp(next.path, path, length) == 0 && next.path[length] == '/') {
            is_folder = true;
        } else {
            size_t file = strlen(next.path);
            if (next.content != NULL && strncmp(path, next.path, file) == 0 && path[file] == '/')
                return -ENOTDIR;
        }
    }
    if (found)
        return 0;
    /* Its number is that of the first entry in it, and its length, which differs from those of folders around it. */
    *entry = (struct entry){ .mode = 0755, .number = (length + 1) << 40 | first };
    strcpy(entry->path, path);
    return is_folder ? 0 : -ENOENT;
}

int __solo5_path(const char *folder, const char *name, char *path)
{
    if (name[0] == '\0')
        return -ENOENT;
    size_t length = name[0] == '/' ? 0 : strlen(folder);
    memcpy(path, folder, length);
    path[length] = '\0';
    while (*name != '\0') {
        size_t part = strcspn(name, "/");
        if (part == 2 && name[0] == '.' && name[1] == '.') {
            while (length > 0 && path[length - 1] != '/')
                length--;
            length -= length > 0;
        } else if (part > 0 && !(part == 1 && name[0] == '.')) {
            if (part + 1 >= PATH_SIZE - length)
                return -ENAMETOOLONG;
            if (length > 0)
                path[length++] = '/';
            memcpy(path + length, name, part);
            length += part;
        }
        path[length] = '\0';
        name += part;
        name += strspn(name, "/");
    }
    return 0;
}
