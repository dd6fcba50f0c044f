/*
 * with_tap: opens a tap and runs a program that inherits it.
 *
 *   with_tap INTERFACE DESCRIPTOR PROGRAM [ARGUMENT ...]
 *
 * Opening a tap takes an ioctl. The tests' Rust has no unsafe code, so it cannot make one.
 */
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

int main(int argc, char *argv[])
{
    if (argc < 4) {
        fprintf(stderr, "usage: with_tap INTERFACE DESCRIPTOR PROGRAM [ARGUMENT ...]\n");
        return 2;
    }
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    strncpy(request.ifr_name, argv[1], IFNAMSIZ - 1);
    int tap = open("/dev/net/tun", O_RDWR);
    if (tap == -1 || ioctl(tap, TUNSETIFF, &request) == -1) {
        perror("with_tap: could not open the tap");
        return 2;
    }
    int wanted = atoi(argv[2]);
    if (tap != wanted && (dup2(tap, wanted) == -1 || close(tap) == -1)) {
        perror("with_tap: could not move the descriptor");
        return 2;
    }
    execv(argv[3], argv + 3);
    perror("with_tap: could not run the program");
    return 2;
}
