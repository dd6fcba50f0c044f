/*
 * net_mtu: the MTU is the tap's, the MAC address the operator's or a fresh local one. Since 0.7.3
 * upstream says why it cannot attach a tap, and since 0.10.0 it asks the tap for its MTU.
 */
//@ run spt hvt virtio: tap.service0=10.0.0.1/24,mtu=9000 expect=success output="MTU is 9000\n" peer=0.10.0
//@ run spt hvt ordinary: tap.service0=10.0.0.1/24 expect=success output="MTU is 1500\n"
//@ run spt hvt mac: tap.service0=10.0.0.1/24 options="--net-mac:service0=02:0:00:aB:cd:7" args=v expect=success output="020000abcd07\n"
//@ run spt hvt mac-before: options="--net-mac:service0=02:00:00:00:00:07" tap.service0=10.0.0.1/24 args=v expect=success output="020000000007\n"
//@ run spt hvt mac-alone: options="--net-mac:service0=02:00:00:00:00:07" expect=exit:1 output="Device 'service0' of type NET_BASIC declared but not attached."
//@ run spt hvt mac-malformed: tap.service0=10.0.0.1/24 options="--net-mac:service0=02:00:00:00:07" expect=exit:1 output="Invalid option: `--net-mac:service0=02:00:00:00:07'"
//@ run spt hvt inherited-descriptor: tap.service0=10.0.0.1/24,mtu=4000,descriptor expect=success output="MTU is 4000\n" peer=no
//@ run spt hvt closed-descriptor: options="--net:service0=@999" expect=exit:1 output="Could not attach interface: @999: Bad file descriptor" peer=0.7.3
//@ run spt hvt own-descriptor: options="--net:service0=@3" expect=exit:1 output="Could not attach interface: @3: " absent="MTU is" peer=0.10.0
//@ run spt hvt not-a-descriptor: options="--net:service0=@xx" expect=exit:1 output="Could not attach interface: @xx: Invalid argument" peer=0.7.3
#include "kit.h"

int solo5_app_main(const struct solo5_start_info *info)
{
    solo5_handle_t handle;
    struct solo5_net_info net_info;

    title("test_net_mtu");
    CHECK(solo5_net_acquire("service0", &handle, &net_info) == SOLO5_R_OK);
    /* unicast, locally administered */
    CHECK((net_info.mac_address[0] & 0x03) == 0x02);
    if (info->cmdline[0] == 'v') {
        for (int i = 0; i < SOLO5_NET_ALEN; i++)
            say_hex(net_info.mac_address[i], 2);
        say("\n");
    }
    say("MTU is ");
    say_decimal(net_info.mtu);
    say("\n");
    return succeed();
}
