/*
 * record_disk: runs a program and records what it does with the file DISK, by ptrace. The program
 * has one thread and writes to no other file by pwrite64.
 *
 *   record_disk LOG DISK PROGRAM [ARGUMENT ...]
 *
 * LOG gets, in order, for each call that has succeeded:
 *
 *   W offset length bytes    pwrite64: the bytes as they are in the file afterwards
 *   F                        fdatasync
 *   C length                 a write to standard output
 *
 * Numbers have 8 bytes, in the host's order. The status is the program's; 128 and the signal's number
 * if a signal ends it; 125 if something else fails.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static FILE *log_file;
static int disk;

static void require(int condition, const char *what)
{
    if (!condition) {
        perror(what);
        exit(125);
    }
}

static void put(uint64_t number)
{
    require(fwrite(&number, sizeof number, 1, log_file) == 1, "record_disk: log");
}

static void record(const uint64_t *call, uint64_t number, int64_t result)
{
    static char bytes[1 << 20];
    if (number == SYS_pwrite64 && result > 0) {
        const size_t length = (size_t)result;
        require(length <= sizeof bytes, "record_disk: length");
        require(pread(disk, bytes, length, (off_t)call[3]) == result, "record_disk: disk");
        fputc('W', log_file);
        put(call[3]);
        put(length);
        require(fwrite(bytes, length, 1, log_file) == 1, "record_disk: log");
    } else if (number == SYS_fdatasync && result == 0) {
        fputc('F', log_file);
    } else if (number == SYS_write && call[0] == 1 && result > 0) {
        fputc('C', log_file);
        put((uint64_t)result);
    }
}

static int watch(pid_t child)
{
    struct __ptrace_syscall_info info;
    uint64_t call[6] = {0}, number = UINT64_MAX;
    int status, deliver = 0;

    require(waitpid(child, &status, 0) == child && WIFSTOPPED(status), "record_disk: start");
    const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
    require(ptrace(PTRACE_SETOPTIONS, child, 0, options) == 0, "record_disk: options");
    for (;;) {
        require(ptrace(PTRACE_SYSCALL, child, 0, deliver) == 0, "record_disk: go on");
        require(waitpid(child, &status, 0) == child, "record_disk: wait");
        if (WIFEXITED(status))
            return WEXITSTATUS(status);
        if (WIFSIGNALED(status))
            return 128 + WTERMSIG(status);
        deliver = 0;
        if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
            require(ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof info, &info) > 0,
                    "record_disk: call");
            if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
                number = info.entry.nr;
                for (int at = 0; at < 6; at++)
                    call[at] = info.entry.args[at];
            } else if (info.op == PTRACE_SYSCALL_INFO_EXIT) {
                record(call, number, info.exit.rval);
                number = UINT64_MAX;
            }
        } else if (status >> 16 == 0) {
            deliver = WSTOPSIG(status);
        }
    }
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "record_disk LOG DISK PROGRAM [ARGUMENT ...]\n");
        return 125;
    }
    log_file = fopen(argv[1], "we");
    require(log_file != NULL, argv[1]);
    disk = open(argv[2], O_RDONLY | O_CLOEXEC);
    require(disk >= 0, argv[2]);
    const pid_t child = fork();
    require(child >= 0, "record_disk: fork");
    if (child == 0) {
        require(ptrace(PTRACE_TRACEME, 0, 0, 0) == 0, "record_disk: ptrace");
        raise(SIGSTOP);
        execv(argv[3], argv + 3);
        perror(argv[3]);
        _exit(125);
    }
    const int status = watch(child);
    require(fclose(log_file) == 0, argv[1]);
    return status;
}
