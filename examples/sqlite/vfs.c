/*
 * SQLite's files on a block device of Solo5.
 *
 * The database lies at the start of the device, so that the host's sqlite3 opens the device's file as
 * it is. Its rollback journal lies in the second half, and the last block says how long it is:
 *
 *     0                 database
 *     journal           journal, a little longer than the database can be
 *     capacity - block  "SQLITE-JOURNAL\0\0", the start of the journal and its length, each as 8 bytes,
 *                       little-endian
 *
 * A transaction is committed when the last block says that the journal is empty; one block is written
 * whole or not at all. SQLite has no other files here: temporary ones are in memory, and there is no
 * write-ahead log.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "solo5.h"
#include "sqlite3.h"

#define MAGIC   "SQLITE-JOURNAL\0"
#define TRAILER 32
/* Names as the application and SQLite have them. */
#define DATABASE "/database"
#define JOURNAL  "/database-journal"

static struct {
    solo5_handle_t handle;
    uint64_t capacity;
    uint64_t block;
    /* Where the journal starts, and where the last block. */
    uint64_t journal;
    uint64_t end;
    /* Both files' lengths. */
    uint64_t database_size;
    uint64_t journal_size;
    /* The length that the last block has. */
    uint64_t noted;
    /* Blocks that are written in part: the last of them, and its place. */
    uint8_t *part;
    uint64_t part_at;
    bool can_flush;
    /* The database is open: there are no locks, so only one connection can have it. */
    bool is_open;
} device;

struct file {
    sqlite3_file base;
    bool is_journal;
};

static uint64_t min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The block at `at`, in device.part. */
static bool load(uint64_t at)
{
    if (device.part_at == at)
        return true;
    device.part_at = UINT64_MAX;
    if (solo5_block_read(device.handle, at, device.part, device.block) != SOLO5_R_OK)
        return false;
    device.part_at = at;
    return true;
}

/* Bytes at any place of the device. Whole blocks go at once, the rest block by block. */
static bool transfer(uint64_t at, uint8_t *bytes, uint64_t size, bool writes)
{
    while (size > 0) {
        uint64_t within = at % device.block, part = min(size, device.block - within);
        if (within == 0 && size >= device.block) {
            part = size - size % device.block;
            if (writes && device.part_at >= at && device.part_at < at + part)
                device.part_at = UINT64_MAX;
            solo5_result_t result = writes ? solo5_block_write_many(device.handle, at, bytes, part)
                                           : solo5_block_read_many(device.handle, at, bytes, part);
            if (result != SOLO5_R_OK)
                return false;
        } else {
            if (!load(at - within))
                return false;
            if (writes) {
                memcpy(device.part + within, bytes, part);
                if (solo5_block_write(device.handle, at - within, device.part, device.block)
                        != SOLO5_R_OK) {
                    device.part_at = UINT64_MAX;
                    return false;
                }
            } else {
                memcpy(bytes, device.part + within, part);
            }
        }
        at += part;
        bytes += part;
        size -= part;
    }
    return true;
}

static bool flush(void)
{
    return !device.can_flush || solo5_block_flush(device.handle) == SOLO5_R_OK;
}

static uint64_t number(const uint8_t *bytes, int count)
{
    uint64_t value = 0;
    while (count-- > 0)
        value = value << 8 | bytes[count];
    return value;
}

/* Writes the journal's length to the last block. */
static bool note_size(void)
{
    uint8_t *block = calloc(1, device.block);
    if (block == NULL)
        return false;
    memcpy(block, MAGIC, 16);
    for (int i = 0; i < 8; i++) {
        block[16 + i] = (uint8_t)(device.journal >> 8 * i);
        block[24 + i] = (uint8_t)(device.journal_size >> 8 * i);
    }
    bool written = transfer(device.end, block, device.block, true);
    free(block);
    if (written)
        device.noted = device.journal_size;
    return written;
}

/* Big-endian, as SQLite has it. */
static uint64_t big(const uint8_t *bytes, int count)
{
    uint64_t value = 0;
    for (int i = 0; i < count; i++)
        value = value << 8 | bytes[i];
    return value;
}

/* The length of the database by its own header, which SQLite describes in its file format. */
static bool read_size(void)
{
    uint8_t header[100];
    if (!transfer(0, header, sizeof header, false))
        return false;
    device.database_size = 0;
    if (memcmp(header, "SQLite format 3", 16) == 0) {
        uint64_t page = big(header + 16, 2), pages = big(header + 28, 4);
        page = page == 1 ? 65536 : page;
        /* An older SQLite wrote it, and did not keep the number of pages. */
        bool unknown = pages == 0 || memcmp(header + 24, header + 92, 4) != 0;
        device.database_size = unknown ? device.journal : page * pages;
    }
    return true;
}

static const char *attach(void)
{
    struct solo5_block_info info;
    uint8_t trailer[TRAILER];

    if (solo5_block_acquire("disk", &device.handle, &info) != SOLO5_R_OK)
        return "there is no block device 'disk'";
    device.capacity = info.capacity;
    device.block = info.block_size;
    device.part = malloc(device.block);
    device.part_at = UINT64_MAX;
    if (device.part == NULL)
        return "no memory";
    if (device.capacity < 256 * 1024 + device.block || device.capacity > INT64_MAX)
        return "the disk must have 256 KiB or more";
    device.end = device.capacity - device.block;
    /* Each page of the database takes a few bytes more in the journal. */
    device.journal = (device.end - 65536) / 129 * 64 / 65536 * 65536;
    if (!transfer(device.end, trailer, sizeof trailer, false))
        return "the disk cannot be read";
    if (memcmp(trailer, MAGIC, 16) == 0) {
        if (number(trailer + 16, 8) != device.journal)
            return "the disk had another size when its database was made";
        device.journal_size = min(number(trailer + 24, 8), device.end - device.journal);
    }
    device.noted = device.journal_size;
    if (!read_size())
        return "the disk cannot be read";
    if (device.database_size > device.journal)
        return "the database is larger than its half of the disk";
    device.can_flush = solo5_block_flush(device.handle) == SOLO5_R_OK;
    if (!device.can_flush)
        fprintf(stderr, "sqlite: this tender cannot flush the disk: a loss of power may damage it\n");
    return NULL;
}

static uint64_t *size_of(struct file *file)
{
    return file->is_journal ? &device.journal_size : &device.database_size;
}

static int file_close(sqlite3_file *base)
{
    if (!((struct file *)base)->is_journal)
        device.is_open = false;
    return SQLITE_OK;
}

static int file_read(sqlite3_file *base, void *to, int count, sqlite3_int64 at)
{
    struct file *file = (struct file *)base;
    uint64_t from = (uint64_t)at, size = (uint64_t)count, length = *size_of(file);
    uint64_t there = from < length ? min(size, length - from) : 0;
    if (!transfer(from + (file->is_journal ? device.journal : 0), to, there, false))
        return SQLITE_IOERR_READ;
    if (there < size) {
        memset((uint8_t *)to + there, 0, size - there);
        return SQLITE_IOERR_SHORT_READ;
    }
    return SQLITE_OK;
}

static int file_write(sqlite3_file *base, const void *from, int count, sqlite3_int64 at)
{
    struct file *file = (struct file *)base;
    uint64_t start = file->is_journal ? device.journal : 0;
    uint64_t room = file->is_journal ? device.end - device.journal : device.journal;
    uint64_t to = (uint64_t)at, size = (uint64_t)count;
    if (to > room || size > room - to)
        return SQLITE_FULL;
    if (!transfer(start + to, (uint8_t *)from, size, true))
        return SQLITE_IOERR_WRITE;
    if (to + size > *size_of(file))
        *size_of(file) = to + size;
    return SQLITE_OK;
}

static int file_truncate(sqlite3_file *base, sqlite3_int64 size)
{
    struct file *file = (struct file *)base;
    if ((uint64_t)size < *size_of(file))
        *size_of(file) = (uint64_t)size;
    if (file->is_journal)
        return note_size() ? SQLITE_OK : SQLITE_IOERR_TRUNCATE;
    /* An empty database has no header. */
    uint8_t none[100] = { 0 };
    return size > 0 || transfer(0, none, sizeof none, true) ? SQLITE_OK : SQLITE_IOERR_TRUNCATE;
}

static int file_sync(sqlite3_file *base, int flags)
{
    (void)flags;
    struct file *file = (struct file *)base;
    /* What the last block names has to be on the disk before it: an older journal is still in its place. */
    if (file->is_journal && device.noted != device.journal_size && !(flush() && note_size()))
        return SQLITE_IOERR_FSYNC;
    return flush() ? SQLITE_OK : SQLITE_IOERR_FSYNC;
}

static int file_size(sqlite3_file *base, sqlite3_int64 *size)
{
    *size = (sqlite3_int64)*size_of((struct file *)base);
    return SQLITE_OK;
}

/* The unikernel is alone with its disk. */
static int file_lock(sqlite3_file *file, int level)
{
    (void)file;
    (void)level;
    return SQLITE_OK;
}

static int file_check_lock(sqlite3_file *file, int *is_locked)
{
    (void)file;
    *is_locked = 0;
    return SQLITE_OK;
}

static int file_control(sqlite3_file *file, int what, void *argument)
{
    (void)file;
    (void)what;
    (void)argument;
    return SQLITE_NOTFOUND;
}

static int file_sector_size(sqlite3_file *file)
{
    (void)file;
    return (int)min(device.block, 65536);
}

static int file_characteristics(sqlite3_file *file)
{
    (void)file;
    return 0;
}

static const sqlite3_io_methods methods = {
    .iVersion = 1,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_lock,
    .xCheckReservedLock = file_check_lock,
    .xFileControl = file_control,
    .xSectorSize = file_sector_size,
    .xDeviceCharacteristics = file_characteristics,
};

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *base, int flags, int *out_flags)
{
    (void)vfs;
    struct file *file = (struct file *)base;
    file->base.pMethods = NULL;
    if (name == NULL || (strcmp(name, DATABASE) != 0 && strcmp(name, JOURNAL) != 0))
        return SQLITE_CANTOPEN;
    file->is_journal = strcmp(name, JOURNAL) == 0;
    if (!file->is_journal && device.is_open)
        return SQLITE_BUSY;
    device.is_open |= !file->is_journal;
    file->base.pMethods = &methods;
    if (out_flags != NULL)
        *out_flags = flags;
    return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
    (void)vfs;
    (void)sync;
    if (strcmp(name, JOURNAL) != 0)
        return SQLITE_IOERR_DELETE_NOENT;
    uint64_t before = device.journal_size;
    device.journal_size = 0;
    if (note_size() && flush())
        return SQLITE_OK;
    device.journal_size = before;
    return SQLITE_IOERR_DELETE;
}

static int vfs_access(sqlite3_vfs *vfs, const char *name, int flags, int *there)
{
    (void)vfs;
    (void)flags;
    *there = (strcmp(name, DATABASE) == 0 && device.database_size > 0)
        || (strcmp(name, JOURNAL) == 0 && device.journal_size > 0);
    return SQLITE_OK;
}

static int vfs_full_name(sqlite3_vfs *vfs, const char *name, int size, char *full)
{
    (void)vfs;
    sqlite3_snprintf(size, full, "%s", name);
    return SQLITE_OK;
}

static int vfs_randomness(sqlite3_vfs *vfs, int size, char *bytes)
{
    (void)vfs;
    if (size > 0 && getrandom(bytes, (size_t)size, 0) == size)
        return size;
    /* Without a seed: SQLite takes it for names and the order of rows, not for secrets. */
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    memset(bytes, 0, (size_t)size);
    memcpy(bytes, &now, min((uint64_t)size, sizeof now));
    return size;
}

static int vfs_sleep(sqlite3_vfs *vfs, int microseconds)
{
    (void)vfs;
    nanosleep(&(struct timespec){ microseconds / 1000000, microseconds % 1000000 * 1000L }, NULL);
    return microseconds;
}

/* Milliseconds since noon of the first Julian day. */
static int vfs_time64(sqlite3_vfs *vfs, sqlite3_int64 *now)
{
    (void)vfs;
    *now = INT64_C(210866760000000) + (sqlite3_int64)(solo5_clock_wall() / 1000000);
    return SQLITE_OK;
}

static int vfs_time(sqlite3_vfs *vfs, double *now)
{
    sqlite3_int64 milliseconds;
    int result = vfs_time64(vfs, &milliseconds);
    *now = (double)milliseconds / 86400000.0;
    return result;
}

static int vfs_last_error(sqlite3_vfs *vfs, int size, char *text)
{
    (void)vfs;
    (void)size;
    (void)text;
    return 0;
}

int sqlite3_os_init(void)
{
    static sqlite3_vfs vfs = {
        .iVersion = 2,
        .szOsFile = sizeof(struct file),
        .mxPathname = 64,
        .zName = "solo5",
        .xOpen = vfs_open,
        .xDelete = vfs_delete,
        .xAccess = vfs_access,
        .xFullPathname = vfs_full_name,
        .xRandomness = vfs_randomness,
        .xSleep = vfs_sleep,
        .xCurrentTime = vfs_time,
        .xGetLastError = vfs_last_error,
        .xCurrentTimeInt64 = vfs_time64,
    };
    const char *wrong = attach();
    if (wrong != NULL) {
        fprintf(stderr, "sqlite: %s\n", wrong);
        return SQLITE_ERROR;
    }
    return sqlite3_vfs_register(&vfs, 1);
}

int sqlite3_os_end(void)
{
    return SQLITE_OK;
}
