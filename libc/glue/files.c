/* Descriptors: 0, 1 and 2 for the console, others for files of the archive. */

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "archive.h"
#include "glue.h"
/* musl's own: what the kernel fills in. */
#include "kstat.h"

/* The console's descriptors, and how many files can be open besides. */
#define CONSOLE 3
#define FILES   32

struct file {
    bool is_open;
    struct entry entry;
    /* In a file, bytes; in a folder, where its next name is to be looked for. */
    size_t at;
};

static struct file files[FILES];

static bool is_console(long fd)
{
    return fd == 1 || fd == 2;
}

static struct file *file_of(long fd)
{
    if (fd < CONSOLE || fd >= CONSOLE + FILES || !files[fd - CONSOLE].is_open)
        return NULL;
    return &files[fd - CONSOLE];
}

static bool is_open(long fd)
{
    return (fd >= 0 && fd < CONSOLE) || file_of(fd) != NULL;
}

/* Reads at a place, and returns how much that was. */
static long read_at(const struct file *file, size_t at, void *to, size_t size)
{
    if (file->entry.content == NULL)
        return -EISDIR;
    size_t left = at < file->entry.size ? file->entry.size - at : 0;
    if (size > left)
        size = left;
    memcpy(to, file->entry.content + at, size);
    return (long)size;
}

static long read_next(long fd, void *to, size_t size)
{
    struct file *file = file_of(fd);
    if (file == NULL)
        return fd == 0 ? 0 : -EBADF;
    long count = read_at(file, file->at, to, size);
    if (count > 0)
        file->at += (size_t)count;
    return count;
}

long __solo5_read(const long *a)
{
    return read_next(a[0], (void *)a[1], (size_t)a[2]);
}

long __solo5_readv(const long *a)
{
    const struct iovec *parts = (const struct iovec *)a[1];
    long whole = 0;
    for (long part = 0; part < a[2]; part++) {
        long count = read_next(a[0], parts[part].iov_base, parts[part].iov_len);
        if (count < 0)
            return count;
        whole += count;
        if ((size_t)count < parts[part].iov_len)
            break;
    }
    return whole;
}

long __solo5_pread(const long *a)
{
    const struct file *file = file_of(a[0]);
    if (file == NULL)
        return is_open(a[0]) ? -ESPIPE : -EBADF;
    return a[3] < 0 ? -EINVAL : read_at(file, (size_t)a[3], (void *)a[1], (size_t)a[2]);
}

long __solo5_write(const long *a)
{
    if (!is_console(a[0]))
        return -EBADF;
    solo5_console_write((const char *)a[1], (size_t)a[2]);
    return a[2];
}

long __solo5_writev(const long *a)
{
    const struct iovec *parts = (const struct iovec *)a[1];
    if (!is_console(a[0]))
        return -EBADF;
    long written = 0;
    for (long part = 0; part < a[2]; part++) {
        if (parts[part].iov_len > 0)
            solo5_console_write(parts[part].iov_base, parts[part].iov_len);
        written += (long)parts[part].iov_len;
    }
    return written;
}

long __solo5_close(const long *a)
{
    if (!is_open(a[0]))
        return -EBADF;
    struct file *file = file_of(a[0]);
    if (file != NULL)
        file->is_open = false;
    return 0;
}

long __solo5_lseek(const long *a)
{
    struct file *file = file_of(a[0]);
    if (file == NULL)
        return is_open(a[0]) ? -ESPIPE : -EBADF;
    long from;
    switch (a[2]) {
    case SEEK_SET:
        from = 0;
        break;
    case SEEK_CUR:
        from = (long)file->at;
        break;
    case SEEK_END:
        from = (long)file->entry.size;
        break;
    default:
        return -EINVAL;
    }
    long to;
    if (__builtin_add_overflow(from, a[1], &to) || to < 0)
        return -EINVAL;
    file->at = (size_t)to;
    return to;
}

long __solo5_ioctl(const long *a)
{
    if (!is_open(a[0]))
        return -EBADF;
    if (a[1] != TIOCGWINSZ || !is_console(a[0]))
        return -ENOTTY;
    *(struct winsize *)a[2] = (struct winsize){ 0 };
    return 0;
}

long __solo5_fcntl(const long *a)
{
    if (!is_open(a[0]))
        return -EBADF;
    switch (a[1]) {
    case F_GETFD:
    case F_SETFD:
    case F_SETFL:
        return 0;
    case F_GETFL:
        return is_console(a[0]) ? O_WRONLY : O_RDONLY;
    default:
        return -EINVAL;
    }
}

static void describe(const struct entry *entry, struct kstat *stat)
{
    *stat = (struct kstat){
        .st_dev = 1,
        .st_ino = entry->number,
        .st_mode = (mode_t)((entry->content == NULL ? S_IFDIR : S_IFREG) | (entry->mode & 0555)),
        .st_nlink = 1,
        .st_size = (off_t)entry->size,
        .st_blksize = 4096,
        .st_blocks = (blkcnt_t)((entry->size + 511) / 512),
        .st_atime_sec = (long)entry->time,
        .st_mtime_sec = (long)entry->time,
        .st_ctime_sec = (long)entry->time,
    };
}

long __solo5_fstat(const long *a)
{
    struct kstat *stat = (struct kstat *)a[1];
    const struct file *file = file_of(a[0]);
    if (file != NULL)
        describe(&file->entry, stat);
    else if (is_open(a[0]))
        *stat = (struct kstat){ .st_mode = S_IFCHR | 0600, .st_nlink = 1, .st_blksize = 4096 };
    else
        return -EBADF;
    return 0;
}

/* The entry that a path means, for a call that has a folder's descriptor. */
static long find(long folder, const char *name, struct entry *entry)
{
    char path[PATH_SIZE];
    const struct file *file = file_of(folder);
    if (name[0] != '/' && folder != AT_FDCWD && file == NULL)
        return is_open(folder) ? -ENOTDIR : -EBADF;
    if (name[0] != '/' && file != NULL && file->entry.content != NULL)
        return -ENOTDIR;
    int error = __solo5_path(file != NULL ? file->entry.path : "", name, path);
    if (error == 0)
        error = __solo5_archive_find(path, entry);
    /* A slash at the end asks for a folder. */
    if (error == 0 && entry->content != NULL && name[strlen(name) - 1] == '/')
        error = -ENOTDIR;
    return error;
}

static long open_at(long folder, const char *name, long flags)
{
    struct entry entry;
    long error = find(folder, name, &entry);
    if (error != 0)
        return error == -ENOENT && (flags & O_CREAT) ? -EROFS : error;
    if ((flags & O_CREAT) && (flags & O_EXCL))
        return -EEXIST;
    if ((flags & O_ACCMODE) == O_WRONLY || (flags & O_ACCMODE) == O_RDWR || (flags & O_TRUNC))
        return entry.content == NULL ? -EISDIR : -EROFS;
    if ((flags & O_DIRECTORY) && entry.content != NULL)
        return -ENOTDIR;
    for (long i = 0; i < FILES; i++) {
        if (!files[i].is_open) {
            files[i] = (struct file){ .is_open = true, .entry = entry };
            return CONSOLE + i;
        }
    }
    return -EMFILE;
}

static long stat_at(long folder, const char *name, struct kstat *stat)
{
    struct entry entry;
    long error = find(folder, name, &entry);
    if (error == 0)
        describe(&entry, stat);
    return error;
}

static long access_at(long folder, const char *name, long rights)
{
    struct entry entry;
    long error = find(folder, name, &entry);
    return error == 0 && (rights & W_OK) ? -EROFS : error;
}

/* There are no links. */
static long read_link_at(long folder, const char *name)
{
    struct entry entry;
    long error = find(folder, name, &entry);
    return error == 0 ? -EINVAL : error;
}

long __solo5_openat(const long *a)
{
    return open_at((int)a[0], (const char *)a[1], a[2]);
}

long __solo5_faccessat(const long *a)
{
    return access_at((int)a[0], (const char *)a[1], a[2]);
}

long __solo5_readlinkat(const long *a)
{
    return read_link_at((int)a[0], (const char *)a[1]);
}

#ifdef SYS_newfstatat
long __solo5_newfstatat(const long *a)
{
    const long arguments[6] = { a[0], a[2] };
    if ((a[3] & AT_EMPTY_PATH) && *(const char *)a[1] == '\0')
        return __solo5_fstat(arguments);
    return stat_at((int)a[0], (const char *)a[1], (struct kstat *)a[2]);
}
#endif

#ifdef SYS_open
long __solo5_open(const long *a)
{
    return open_at(AT_FDCWD, (const char *)a[0], a[1]);
}

long __solo5_access(const long *a)
{
    return access_at(AT_FDCWD, (const char *)a[0], a[1]);
}

long __solo5_readlink(const long *a)
{
    return read_link_at(AT_FDCWD, (const char *)a[0]);
}

long __solo5_stat(const long *a)
{
    return stat_at(AT_FDCWD, (const char *)a[0], (struct kstat *)a[1]);
}
#endif

/* The first part of `path` below `folder`, and its length; 0 if it is not below it. */
static size_t child(const char *folder, const char *path, const char **name)
{
    size_t length = strlen(folder);
    if (strncmp(path, folder, length) != 0 || (length > 0 && path[length] != '/'))
        return 0;
    *name = path + length + (length > 0);
    return strcspn(*name, "/");
}

/* Whether an entry before `end` has the same child: folders may have an entry, or only files in them. */
static bool is_known(const char *folder, const char *name, size_t length, size_t end)
{
    size_t at = 0;
    struct entry entry;
    while (at < end && __solo5_archive_next(&at, &entry) && at < end) {
        const char *other;
        if (child(folder, entry.path, &other) == length && memcmp(other, name, length) == 0)
            return true;
    }
    return false;
}

long __solo5_getdents(const long *a)
{
    struct file *file = file_of(a[0]);
    if (file == NULL)
        return -EBADF;
    if (file->entry.content != NULL)
        return -ENOTDIR;
    size_t written = 0, at = file->at;
    struct entry entry;
    while (__solo5_archive_next(&at, &entry)) {
        const char *name;
        size_t length = child(file->entry.path, entry.path, &name);
        if (length > 0 && !is_known(file->entry.path, name, length, at)) {
            size_t size = (offsetof(struct dirent, d_name) + length + 1 + 7) / 8 * 8;
            if (size > (size_t)a[2] - written)
                return written > 0 ? (long)written : -EINVAL;
            struct dirent *out = (struct dirent *)((char *)a[1] + written);
            out->d_ino = entry.number;
            out->d_off = (off_t)at;
            out->d_reclen = (unsigned short)size;
            out->d_type = name[length] == '/' || entry.content == NULL ? DT_DIR : DT_REG;
            memcpy(out->d_name, name, length);
            out->d_name[length] = '\0';
            written += size;
        }
        file->at = at;
    }
    return (long)written;
}

long __solo5_file_copy(long fd, size_t at, void *to, size_t size)
{
    const struct file *file = file_of(fd);
    if (file == NULL)
        return is_open(fd) ? -ENODEV : -EBADF;
    long count = read_at(file, at, to, size);
    return count < 0 ? -ENODEV : 0;
}

static long poll_until(struct pollfd *fds, size_t count, bool waits, solo5_time_t deadline)
{
    long ready = 0;
    for (size_t i = 0; i < count; i++) {
        fds[i].revents = 0;
        if (fds[i].fd < 0)
            continue;
        if (!is_open(fds[i].fd))
            fds[i].revents = POLLNVAL;
        else if (is_console(fds[i].fd))
            fds[i].revents = fds[i].events & (POLLOUT | POLLWRNORM);
        else if (fds[i].fd != 0)
            fds[i].revents = fds[i].events & (POLLIN | POLLRDNORM);
        else
            fds[i].revents = (fds[i].events & (POLLIN | POLLRDNORM)) | POLLHUP;
        ready += fds[i].revents != 0;
    }
    if (ready == 0 && waits)
        __solo5_wait_until(deadline);
    return ready;
}

long __solo5_ppoll(const long *a)
{
    solo5_time_t deadline = UINT64_MAX;
    const struct timespec *span = (const struct timespec *)a[2];
    if (span != NULL) {
        int error = __solo5_deadline(span, &deadline);
        if (error != 0)
            return error;
    }
    return poll_until((struct pollfd *)a[0], (size_t)a[1], true, deadline);
}

#ifdef SYS_poll
long __solo5_poll(const long *a)
{
    solo5_time_t deadline = UINT64_MAX;
    int milliseconds = (int)a[2];
    if (milliseconds >= 0)
        deadline = solo5_clock_monotonic() + (solo5_time_t)milliseconds * 1000000;
    return poll_until((struct pollfd *)a[0], (size_t)a[1], milliseconds != 0, deadline);
}
#endif

long __solo5_getcwd(const long *a)
{
    if ((size_t)a[1] < 2)
        return -ERANGE;
    memcpy((char *)a[0], "/", 2);
    return 2;
}

long __solo5_umask(const long *a)
{
    (void)a;
    return 022;
}
