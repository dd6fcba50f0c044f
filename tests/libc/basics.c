/*
 * What a C program expects of its library, on musl with the glue of `libc/`. The word on the command
 * line names an end; without one, everything is checked and the program ends with status 0.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "solo5.h"

#define CHECK(condition)                                                             \
    do {                                                                             \
        if (!(condition)) {                                                          \
            printf("FAILURE: line %d: %s (errno %d)\n", __LINE__, #condition, errno); \
            exit(1);                                                                 \
        }                                                                            \
    } while (0)

static _Thread_local int small = 41;
static _Thread_local _Alignas(64) char large[100] = "aligned";
static _Thread_local long zero;

static char order[8];

static void note(char c)
{
    order[strlen(order)] = c;
}

static void before(void)
{
    note('p');
}
static void (*const early)(void) __attribute__((section(".preinit_array"), used)) = before;
__attribute__((constructor(200))) static void second(void)
{
    note('2');
}
__attribute__((constructor(101))) static void first(void)
{
    note('1');
}
__attribute__((constructor)) static void last(void)
{
    note('c');
}

static int by_value(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;
    return (x > y) - (x < y);
}

static void arguments(int argc, char **argv)
{
    static const char *const expected[] = {
        "unikernel", "one", "two  three", "a b'c", "\"", "\\", "", "x\\y", "open end",
    };
    CHECK(argc == sizeof expected / sizeof *expected);
    for (int i = 0; i < argc; i++)
        CHECK(strcmp(argv[i], expected[i]) == 0);
    CHECK(argv[argc] == NULL && environ[0] == NULL && getenv("PATH") == NULL);
}

static void memory(void)
{
    enum { COUNT = 200 };
    static unsigned char *part[COUNT];
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < COUNT; i++) {
            size_t size = (size_t)(i * i * 3 + round);
            part[i] = round % 2 ? malloc(size + 1) : calloc(size + 1, 1);
            CHECK(part[i] != NULL);
            for (size_t at = 0; round % 2 == 0 && at <= size; at++)
                CHECK(part[i][at] == 0);
            memset(part[i], i, size + 1);
        }
        for (int i = 0; i < COUNT; i += 2) {
            part[i] = realloc(part[i], (size_t)(i * i * 5 + 30000));
            CHECK(part[i] != NULL && part[i][i * i * 3] == (unsigned char)i);
        }
        for (int i = 0; i < COUNT; i++)
            free(part[i]);
    }
    /* More than there is is refused, and what there is can be had again and again. */
    volatile size_t much = (size_t)1 << 40;
    void *volatile none = malloc(much);
    CHECK(none == NULL && errno == ENOMEM);
    CHECK(mmap(NULL, SIZE_MAX - 100, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
    size_t most[2] = { 0, 0 };
    for (int round = 0; round < 2; round++) {
        static void *piece[64];
        int count = 0;
        while (count < 64 && (piece[count] = malloc(1 << 20)) != NULL)
            most[round] += 1 << 20, memset(piece[count++], 1, 1 << 20);
        CHECK(count > 4 && count < 64);
        while (count > 0)
            free(piece[--count]);
    }
    CHECK(most[0] == most[1]);

    char *map = mmap(NULL, 5 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(map != MAP_FAILED && map[0] == 0);
    memset(map, 7, 5 * 4096);
    CHECK(munmap(map + 4096, 4096) == 0);
    char *hole = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(hole != MAP_FAILED && hole[4095] == 0);
    map[0] = 9;
    char *moved = mremap(map, 4096, 64 * 4096, MREMAP_MAYMOVE);
    CHECK(moved != MAP_FAILED && moved[0] == 9 && moved[4095] == 7 && moved[4096] == 0);
    CHECK(moved[64 * 4096 - 1] == 0);
    CHECK(munmap((void *)0x1000, 4096) == -1 && errno == EINVAL);
    CHECK(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED
            && errno == EACCES);
    CHECK(sbrk(0) != (void *)-1);
}

static void library(void)
{
    char text[100];
    snprintf(text, sizeof text, "%05d %-4s|%.3f %g %lld %zu", 42, "ab", M_PI, 1e300, -7LL, sizeof text);
    CHECK(strcmp(text, "00042 ab  |3.142 1e+300 -7 100") == 0);
    CHECK(strtod("0x1.8p1", NULL) == 3.0 && strtol("-0x10", NULL, 0) == -16);
    CHECK(sqrt(2.0) > 1.4142135 && pow(2, 0.5) < 1.4142136);
    int values[100];
    for (int i = 0; i < 100; i++)
        values[i] = i * 37 % 100;
    qsort(values, 100, sizeof *values, by_value);
    for (int i = 0; i < 100; i++)
        CHECK(values[i] == i);
    jmp_buf place;
    volatile int jumps = 0;
    if (setjmp(place) < 3) {
        jumps++;
        longjmp(place, jumps);
    }
    CHECK(jumps == 3);
    sigjmp_buf other;
    if (sigsetjmp(other, 1) == 0)
        siglongjmp(other, 1);
}

static void *nothing(void *argument)
{
    return argument;
}

static void refusals(void)
{
    struct stat stat_of;
    pthread_t thread;
    CHECK(open("/etc/passwd", O_RDONLY) == -1 && errno == ENOENT);
    CHECK(open("new", O_RDWR | O_CREAT, 0600) == -1 && errno == EROFS);
    CHECK(stat("/x", &stat_of) == -1 && errno == ENOENT);
    CHECK(stat("/", &stat_of) == 0 && S_ISDIR(stat_of.st_mode));
    CHECK(fopen("x", "r") == NULL && errno == ENOENT);
    CHECK(fork() == -1 && errno == ENOSYS);
    CHECK(vfork() == -1 && errno == ENOSYS);
    CHECK(socket(AF_INET, SOCK_STREAM, 0) == -1 && errno == ENOSYS);
    CHECK(pthread_create(&thread, NULL, nothing, NULL) == EAGAIN);
    CHECK(system("true") == -1);
    CHECK(write(7, "x", 1) == -1 && errno == EBADF);
    CHECK(read(0, &stat_of, 1) == 0 && getchar() == EOF);
    CHECK(fstat(1, &stat_of) == 0 && S_ISCHR(stat_of.st_mode));
    CHECK(isatty(1) && !isatty(0) && errno == ENOTTY);
    CHECK(lseek(1, 0, SEEK_CUR) == -1 && errno == ESPIPE);
    struct pollfd fds[2] = { { .fd = 1, .events = POLLOUT }, { .fd = 9, .events = POLLIN } };
    CHECK(poll(fds, 2, -1) == 2 && fds[0].revents == POLLOUT && fds[1].revents == POLLNVAL);
    struct utsname name;
    struct rlimit limit;
    CHECK(uname(&name) == 0 && strcmp(name.sysname, "Solo5") == 0);
    CHECK(getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_cur >= 65536);
    CHECK(sysconf(_SC_NPROCESSORS_ONLN) == 1 && sysconf(_SC_PAGESIZE) == 4096);
    CHECK(sysconf(_SC_PHYS_PAGES) > 100 && getpid() == 1 && getuid() == 0);
    CHECK(strcmp(getcwd((char[10]){ 0 }, 10), "/") == 0);
}

static void times(void)
{
    struct timespec from, to, wait = { 0, 20000000 };
    CHECK(clock_gettime(CLOCK_MONOTONIC, &from) == 0);
    CHECK(nanosleep(&wait, NULL) == 0 && poll(NULL, 0, 5) == 0);
    CHECK(clock_gettime(CLOCK_MONOTONIC, &to) == 0);
    long long passed = (to.tv_sec - from.tv_sec) * 1000000000LL + (to.tv_nsec - from.tv_nsec);
    CHECK(passed >= 25000000);
    CHECK(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &from, NULL) == 0);
    CHECK(clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){ 0, -1 }, NULL) == EINVAL);
    CHECK(time(NULL) > 1577836800 && clock() > 0 && clock_gettime(999, &to) == -1);
    time_t when = 86399;
    CHECK(strcmp(asctime(gmtime(&when)), "Thu Jan  1 23:59:59 1970\n") == 0);
}

static volatile int caught;

static void catch(int number)
{
    caught = number;
}

static void signals(void)
{
    CHECK(signal(SIGUSR1, catch) == SIG_DFL);
    CHECK(raise(SIGUSR1) == 0 && caught == SIGUSR1);
    CHECK(signal(SIGTERM, SIG_IGN) == SIG_DFL && raise(SIGTERM) == 0);
    CHECK(signal(SIGKILL, catch) == SIG_ERR && errno == EINVAL);
    sigset_t set, old;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0 && sigprocmask(SIG_BLOCK, NULL, &old) == 0);
    CHECK(sigismember(&old, SIGUSR2) && !sigismember(&old, SIGUSR1));
    CHECK(kill(2, SIGTERM) == -1 && errno == ESRCH);
}

void __solo5_chacha20(const uint8_t *key, uint64_t number, uint8_t *block);

/* The first bytes of two blocks of a key of zeros: RFC 8439, appendix A.1. */
static void randomness(void)
{
    static const uint8_t block0[] = { 0x76, 0xb8, 0xe0, 0xad, 0xa0, 0xf1, 0x3d, 0x90 };
    static const uint8_t block1[] = { 0x9f, 0x07, 0xe7, 0xbe, 0x55, 0x51, 0x38, 0x7a };
    uint8_t key[32] = { 0 }, block[64], bytes[2][300] = { 0 };
    __solo5_chacha20(key, 0, block);
    CHECK(memcmp(block, block0, 8) == 0);
    __solo5_chacha20(key, 1, block);
    CHECK(memcmp(block, block1, 8) == 0);
    if (getrandom(bytes[0], 300, 0) == -1) {
        CHECK(errno == ENOSYS);
        printf("no seed\n");
        return;
    }
    CHECK(getrandom(bytes[1], 300, 0) == 300 && memcmp(bytes[0], bytes[1], 300) != 0);
    CHECK(memcmp(bytes[0] + 32, bytes[0] + 96, 64) != 0 && bytes[0][299] + bytes[0][298] + bytes[0][297] != 0);
    CHECK(getentropy(bytes[0], 32) == 0);
    for (int i = 0; i < 8; i++)
        printf("%02x", bytes[0][i]);
    printf(" seeded\n");
}

static void at_end(void)
{
    printf("at the end\n");
}

int main(int argc, char **argv)
{
    const char *end = argc == 2 ? argv[1] : "";
    if (strcmp(end, "abort") == 0)
        abort();
    if (strcmp(end, "term") == 0)
        raise(SIGTERM);
    if (strcmp(end, "status") == 0)
        return 256 + 7;
    if (strcmp(end, "lock") == 0) {
        pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
        pthread_mutex_lock(&mutex);
        pthread_mutex_lock(&mutex);
    }
    if (strcmp(end, "unterminated") == 0) {
        printf("no line feed");
        return 0;
    }
    CHECK(strcmp(order, "p12c") == 0);
    CHECK(small == 41 && strcmp(large, "aligned") == 0 && zero == 0);
    CHECK((uintptr_t)large % 64 == 0);
    arguments(argc, argv);
    library();
    memory();
    refusals();
    times();
    signals();
    randomness();
    CHECK(atexit(at_end) == 0);
    fprintf(stderr, "SUCCESS\n");
    return 0;
}
