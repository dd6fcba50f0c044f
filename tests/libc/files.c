/* The files of an image: an archive that the test makes, with what `expected` below has. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define CHECK(condition)                                                             \
    do {                                                                             \
        if (!(condition)) {                                                          \
            printf("FAILURE: line %d: %s (errno %d)\n", __LINE__, #condition, errno); \
            exit(1);                                                                 \
        }                                                                            \
    } while (0)

/* Whether the order of names matters. */
static int any_order;

/* What the names in a folder are, in the order of the archive. */
static void list(const char *folder, const char *expected)
{
    char names[200] = "";
    DIR *opened = opendir(folder);
    CHECK(opened != NULL);
    struct dirent *entry;
    while ((entry = readdir(opened)) != NULL) {
        strcat(names, entry->d_name);
        strcat(names, entry->d_type == DT_DIR ? "/ " : " ");
    }
    CHECK(closedir(opened) == 0);
    if (any_order ? strlen(names) != strlen(expected) : strcmp(names, expected) != 0) {
        printf("FAILURE: %s has %s\n", folder, names);
        exit(1);
    }
}

int main(int argc, char **argv)
{
    any_order = argc == 2 && strcmp(argv[1], "any-order") == 0;
    char text[100] = "";
    struct stat about;
    FILE *file = fopen("/hello.txt", "r");
    CHECK(file != NULL && fgets(text, sizeof text, file) != NULL && strcmp(text, "Hello\n") == 0);
    CHECK(fgets(text, sizeof text, file) != NULL && strcmp(text, "World\n") == 0);
    CHECK(fgets(text, sizeof text, file) == NULL && feof(file));
    CHECK(fseek(file, -3, SEEK_END) == 0 && fgetc(file) == 'l' && ftell(file) == 10 && fclose(file) == 0);
    CHECK(stat("folder/../hello.txt", &about) == 0 && about.st_size == 12 && S_ISREG(about.st_mode));
    CHECK(about.st_mtime == 1000000000 && (about.st_mode & 0777) == 0444);
    CHECK(stat("/", &about) == 0 && S_ISDIR(about.st_mode));
    CHECK(stat("folder/", &about) == 0 && S_ISDIR(about.st_mode));
    CHECK(stat("folder/deep/er", &about) == 0 && S_ISDIR(about.st_mode));
    CHECK(stat("hello.txt/", &about) == -1 && errno == ENOTDIR);
    CHECK(stat("hello.txt/x", &about) == -1 && errno == ENOTDIR);
    CHECK(stat("hello", &about) == -1 && errno == ENOENT && stat("", &about) == -1 && errno == ENOENT);
    list(".", "hello.txt folder/ ");
    list("/folder", "large empty deep/ ");
    list("folder/deep/er", "file ");
    CHECK(opendir("hello.txt") == NULL && errno == ENOTDIR && opendir("none") == NULL && errno == ENOENT);
    char path[300];
    memset(path, 'x', sizeof path);
    path[299] = '\0';
    CHECK(open(path, O_RDONLY) == -1 && errno == ENAMETOOLONG);

    CHECK(open("hello.txt", O_RDWR) == -1 && errno == EROFS);
    CHECK(open("hello.txt", O_RDONLY | O_TRUNC) == -1 && errno == EROFS);
    CHECK(open("new", O_WRONLY | O_CREAT, 0600) == -1 && errno == EROFS);
    CHECK(open("hello.txt", O_WRONLY | O_CREAT | O_EXCL, 0600) == -1 && errno == EEXIST);
    CHECK(access("hello.txt", R_OK) == 0 && access("hello.txt", W_OK) == -1 && errno == EROFS);
    CHECK(readlink("hello.txt", text, 10) == -1 && errno == EINVAL);
    CHECK(strcmp(realpath("folder/./../hello.txt", NULL), "/hello.txt") == 0);
    CHECK(unlink("hello.txt") == -1 && errno == ENOSYS);

    int folder = open("folder", O_RDONLY | O_DIRECTORY);
    int large = openat(folder, "large", O_RDONLY);
    CHECK(folder >= 3 && large > folder && fstat(large, &about) == 0 && about.st_size == 100000);
    unsigned char *bytes = mmap(NULL, 100000, PROT_READ | PROT_WRITE, MAP_PRIVATE, large, 0);
    CHECK(bytes != MAP_FAILED);
    for (int i = 0; i < 100000; i++)
        CHECK(bytes[i] == (unsigned char)(i * 7));
    CHECK(bytes[100000] == 0);
    bytes[0] = 99;
    unsigned char *part = mmap(NULL, 10, PROT_READ, MAP_SHARED, large, 4096);
    CHECK(part != MAP_FAILED && part[0] == (unsigned char)(4096 * 7));
    CHECK(munmap(bytes, 100000) == 0);
    CHECK(pread(large, text, 4, 99998) == 2 && (unsigned char)text[1] == (unsigned char)(99999 * 7));
    CHECK(pread(large, text, 4, 0) == 4 && text[0] == 0 && read(large, text, 1) == 1 && text[0] == 0);
    CHECK(lseek(large, 1L << 40, SEEK_SET) == 1L << 40 && read(large, text, 1) == 0);
    CHECK(lseek(large, -1, SEEK_SET) == -1 && errno == EINVAL && lseek(large, 0, SEEK_SET) == 0);
    struct iovec parts[2] = { { text, 3 }, { text + 3, 2 } };
    CHECK(readv(large, parts, 2) == 5 && text[4] == 4 * 7);
    CHECK(write(large, "x", 1) == -1 && errno == EBADF && read(folder, text, 1) == -1 && errno == EISDIR);
    CHECK(isatty(large) == 0 && close(large) == 0 && close(large) == -1 && errno == EBADF);
    CHECK(openat(folder, "../hello.txt", O_RDONLY) == large && close(large) == 0 && close(folder) == 0);
    int count = 0, last = -1;
    for (int fd; (fd = open("folder/empty", O_RDONLY)) >= 0; last = fd)
        count++;
    CHECK(errno == EMFILE && count == 32 && read(last, text, 1) == 0);
    printf("SUCCESS\n");
    return 0;
}
