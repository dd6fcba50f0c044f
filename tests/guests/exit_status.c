/* exit_status: the tender exits with the guest's status, or its low byte. */
//@ run spt hvt zero: args="0" expect=exit:0 output="Solo5: solo5_exit(0) called"
//@ run spt hvt virtio seven: args="7" expect=exit:7
//@ run spt hvt virtio low-byte: args="300" expect=exit:44 output="Solo5: solo5_exit(300) called"
//@ run spt hvt virtio reserved: args="255" expect=exit:255
//@ run spt hvt virtio aborted: args="abort" expect=exit:255 output="Solo5: solo5_abort() called"
#include "kit.h"

int solo5_app_main(const struct solo5_start_info *info)
{
    title("test_exit_status");
    if (strcmp(info->cmdline, "abort") == 0)
        solo5_abort();
    solo5_exit((int)to_number(info->cmdline));
}
