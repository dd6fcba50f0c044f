/*
 * in_container: runs a program as container runtimes do: under a filter that refuses calls outside
 * their default profile with EPERM and calls newer than that profile with ENOSYS, and with the few
 * capabilities that they leave.
 *
 *   in_container PROGRAM [ARGUMENT ...]
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOAD(field)                                                                                \
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, field))
#define DENY(error) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (error))
#define REFUSE(call)                                                                               \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##call, 0, 1), DENY(EPERM)

/* The first call that a profile of 2019 did not know; clone3 and openat2 have higher numbers. */
#define FIRST_UNKNOWN 424

#if defined(__x86_64__)
#define MACHINE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define MACHINE AUDIT_ARCH_AARCH64
#elif defined(__powerpc64__)
#define MACHINE AUDIT_ARCH_PPC64LE
#endif

static const struct sock_filter rules[] = {
    LOAD(arch),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MACHINE, 1, 0),
    DENY(EPERM),
    LOAD(nr),
    BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, FIRST_UNKNOWN, 0, 1),
    DENY(ENOSYS),
    REFUSE(acct),
    REFUSE(add_key),
    REFUSE(bpf),
    REFUSE(clock_adjtime),
    REFUSE(clock_settime),
    REFUSE(delete_module),
    REFUSE(fanotify_init),
    REFUSE(finit_module),
    REFUSE(get_mempolicy),
    REFUSE(init_module),
#ifdef SYS_ioperm
    REFUSE(ioperm),
#endif
#ifdef SYS_iopl
    REFUSE(iopl),
#endif
    REFUSE(kcmp),
    REFUSE(kexec_file_load),
    REFUSE(kexec_load),
    REFUSE(keyctl),
    REFUSE(lookup_dcookie),
    REFUSE(mbind),
    REFUSE(mount),
    REFUSE(move_pages),
    REFUSE(name_to_handle_at),
    REFUSE(open_by_handle_at),
    REFUSE(perf_event_open),
    REFUSE(pivot_root),
    REFUSE(process_vm_readv),
    REFUSE(process_vm_writev),
    REFUSE(ptrace),
    REFUSE(quotactl),
    REFUSE(reboot),
    REFUSE(request_key),
    REFUSE(set_mempolicy),
    REFUSE(setns),
    REFUSE(settimeofday),
    REFUSE(swapoff),
    REFUSE(swapon),
    REFUSE(umount2),
    REFUSE(unshare),
    REFUSE(userfaultfd),
    REFUSE(vhangup),
    /* personality() is allowed as a query. */
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_personality, 0, 4),
    LOAD(args[0]),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0xffffffff, 2, 0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0),
    DENY(EPERM),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};

/* Capabilities that are left: files' owners and modes, ids, chroot, low ports, raw sockets and the like. */
#define BIT(capability) (UINT64_C(1) << (capability))
#define KEPT                                                                                       \
    (BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_FSETID) | BIT(CAP_FOWNER) | BIT(CAP_MKNOD) |  \
     BIT(CAP_NET_RAW) | BIT(CAP_SETGID) | BIT(CAP_SETUID) | BIT(CAP_SETFCAP) | BIT(CAP_SETPCAP) |   \
     BIT(CAP_NET_BIND_SERVICE) | BIT(CAP_SYS_CHROOT) | BIT(CAP_KILL) | BIT(CAP_AUDIT_WRITE))

int main(int argc, char *argv[])
{
    if (argc < 2) {
        fprintf(stderr, "usage: in_container PROGRAM [ARGUMENT ...]\n");
        return 2;
    }
    const struct sock_fprog filter = {
        .len = sizeof rules / sizeof rules[0],
        .filter = (struct sock_filter *)(uintptr_t)rules,
    };
    /* With no_new_privs, an unprivileged process may install a filter. */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1 ||
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) == -1) {
        perror("in_container: could not install the filter");
        return 2;
    }
    for (unsigned capability = 0; capability <= CAP_LAST_CAP; capability++)
        if ((KEPT & BIT(capability)) == 0)
            /* If this fails, the process may not drop capabilities, and has none. */
            (void)prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
    execv(argv[1], argv + 1);
    perror("in_container: could not run the program");
    return 2;
}
