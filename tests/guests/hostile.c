/*
 * hostile: hypercalls, ports and instructions that no unikernel uses; kit/hostile.h has the commands.
 * Guest memory ends at 0x200000. The tender names the fault and prints nothing else.
 */

/* The argument of each hypercall lies behind memory or over its end; then calls that do not exist. */
//@ run hvt walltime-behind: args="at 1 200000" expect="fault:Invalid guest access: gpa=0x200000, sz=8" absent=answered peer=no
//@ run hvt walltime-over-the-end: args="at 1 1ffff9" expect="fault:Invalid guest access: gpa=0x1ffff9, sz=8" absent=answered peer=no
//@ run hvt walltime-last-bytes: args="at 1 1ffff8" expect=exit:0 output=answered peer=no
//@ run hvt walltime-highest: args="at 1 ffffffff" expect="fault:Invalid guest access: gpa=0xffffffff, sz=8" absent=answered peer=no
//@ run hvt walltime-into-code: args="at 1 100000" expect="fault:Invalid guest access: gpa=0x100000, sz=8" absent=answered peer=no
//@ run hvt puts-behind: args="at 2 200000" expect="fault:Invalid guest access: gpa=0x200000, sz=16" absent=answered peer=no
//@ run hvt puts-over-the-end: args="at 2 1ffff1" expect="fault:Invalid guest access: gpa=0x1ffff1, sz=16" absent=answered peer=no
//@ run hvt poll-behind: args="at 3 7fffffff" expect="fault:Invalid guest access: gpa=0x7fffffff, sz=24" absent=answered peer=no
//@ run hvt poll-over-the-end: args="at 3 1fffe9" expect="fault:Invalid guest access: gpa=0x1fffe9, sz=24" absent=answered peer=no
//@ run hvt poll-into-page-tables: args="at 3 2000" expect="fault:Invalid guest access: gpa=0x2000, sz=24" absent=answered peer=no
//@ run hvt poll-into-code: args="at 3 100000" expect="fault:Invalid guest access: gpa=0x100000, sz=24" absent=answered peer=no
//@ run hvt halt-behind: args="at 8 200000" expect="fault:Invalid guest access: gpa=0x200000, sz=16" absent=answered peer=no
//@ run hvt halt-over-the-end: args="at 8 1ffff1" expect="fault:Invalid guest access: gpa=0x1ffff1, sz=16" absent=answered peer=no
//@ run hvt no-such-call: args="call 0" expect="fault:Invalid guest hypercall: num=0" absent=answered peer=no
//@ run hvt block-write-without-device: args="call 4 1 0 100000 200" expect="fault:Invalid guest hypercall: num=4" absent=answered peer=no
//@ run hvt block-read-without-device: args="call 5 1 0 100000 200" expect="fault:Invalid guest hypercall: num=5" absent=answered peer=no
//@ run hvt net-write-without-device: args="call 6 1 100000 40" expect="fault:Invalid guest hypercall: num=6" absent=answered peer=no
//@ run hvt net-read-without-device: args="call 7 1 100000 40" expect="fault:Invalid guest hypercall: num=7" absent=answered peer=no
//@ run hvt call-behind-the-last: needs=x86_64 args="call 9" expect="fault:Invalid guest port access: port=0x509" absent=answered peer=no

/* Not aligned: no fault. */
//@ run hvt odd-walltime: args="odd 1" expect=exit:0 output=answered
//@ run hvt odd-puts: args="odd 2 100000 0" expect=exit:0 output=answered
//@ run hvt odd-poll: args="odd 3 0" expect=exit:0 output=answered
//@ run hvt odd-halt: args="odd 8 0 7" expect=exit:7 absent=answered

/* Pointers and lengths in the argument. */
//@ run hvt puts-data-behind: args="call 2 200000 1" expect="fault:Invalid guest access: gpa=0x200000, sz=1" absent=answered peer=no
//@ run hvt puts-data-behind-empty: args="call 2 200000 0" expect="fault:Invalid guest access: gpa=0x200000, sz=0" absent=answered peer=no
//@ run hvt puts-data-over-the-end: args="call 2 1fffff 2" expect="fault:Invalid guest access: gpa=0x1fffff, sz=2" absent=answered peer=no
//@ run hvt puts-data-highest: args="call 2 ffffffffffffffff 1" expect="fault:Invalid guest access: gpa=0xffffffffffffffff, sz=1" absent=answered peer=no
//@ run hvt puts-data-4g: args="call 2 100100000 1" expect="fault:Invalid guest access: gpa=0x100100000, sz=1" absent=answered peer=no
//@ run hvt puts-data-noncanonical: args="call 2 8000000000000000 1" expect="fault:Invalid guest access: gpa=0x8000000000000000, sz=1" absent=answered peer=no
//@ run hvt puts-length-highest: args="call 2 100000 ffffffffffffffff" expect="fault:Invalid guest access: gpa=0x100000, sz=18446744073709551615" absent=answered peer=no
//@ run hvt puts-length-wraps-to-0: args="call 2 100000 fffffffffff00000" expect="fault:Invalid guest access: gpa=0x100000, sz=18446744073708503040" absent=answered peer=no
//@ run hvt puts-length-wraps-inside: args="call 2 100000 fffffffffff80000" expect="fault:Invalid guest access: gpa=0x100000, sz=18446744073709027328" absent=answered peer=no
//@ run hvt puts-length-signed: args="call 2 100000 8000000000000000" expect="fault:Invalid guest access: gpa=0x100000, sz=9223372036854775808" absent=answered peer=no
//@ run hvt poll-forever: args="wait 3 ffffffffffffffff" signal=TERM expect=exit:1 output="solo5-hvt: Exiting on signal 15\n" absent=answered peer=no
//@ run hvt halt-cookie-behind: args="call 8 200000 ff" expect="fault:Invalid guest access: gpa=0x200000, sz=512" absent=answered peer=no
//@ run hvt halt-cookie-over-the-end: args="call 8 1ffe01 ff" expect="fault:Invalid guest access: gpa=0x1ffe01, sz=512" absent=answered peer=no
//@ run hvt halt-cookie-highest: args="call 8 ffffffffffffffff ff" expect="fault:Invalid guest access: gpa=0xffffffffffffffff, sz=512" absent=answered peer=no
//@ run hvt halt-cookie-wraps: args="call 8 fffffffffffffe00 ff" expect="fault:Invalid guest access: gpa=0xfffffffffffffe00, sz=512" absent=answered peer=no
//@ run hvt halt-status-high: args="call 8 0 12c" expect=exit:44 absent=answered
//@ run hvt halt-status-negative: args="call 8 0 fffffffe" expect=exit:254 absent=answered

/* Ports. */
//@ run hvt out-diagnostic: needs=x86_64 args="out 80" expect="fault:Invalid guest port access: port=0x80" absent=answered peer=no
//@ run hvt out-pci: needs=x86_64 args="out cf8" expect="fault:Invalid guest port access: port=0xcf8" absent=answered peer=no
//@ run hvt out-below: needs=x86_64 args="out 4ff" expect="fault:Invalid guest port access: port=0x4ff" absent=answered peer=no
//@ run hvt out-kick-without-ring: needs=x86_64 args="out 600" expect="fault:Invalid guest port access: port=0x600" absent=answered peer=no
//@ run hvt out-highest: needs=x86_64 args="out ffff" expect="fault:Invalid guest port access: port=0xffff" absent=answered peer=no
//@ run hvt outw: needs=x86_64 args="outw 502" expect="fault:Invalid guest port access: port=0x502" absent=answered peer=no
//@ run hvt outb: needs=x86_64 args="outb 502" expect="fault:Invalid guest port access: port=0x502" absent=answered peer=no
//@ run hvt outb-keyboard: needs=x86_64 args="outb 64" expect="fault:Invalid guest port access: port=0x64" absent=answered peer=no
//@ run hvt in: needs=x86_64 args="in 502" expect="fault:Invalid guest port access: port=0x502" absent=answered peer=no
//@ run hvt inw: needs=x86_64 args="inw 502" expect="fault:Invalid guest port access: port=0x502" absent=answered peer=no
//@ run hvt inb: needs=x86_64 args="inb 502" expect="fault:Invalid guest port access: port=0x502" absent=answered peer=no
//@ run hvt in-pci: needs=x86_64 args="in cfc" expect="fault:Invalid guest port access: port=0xcfc" absent=answered peer=no
//@ run hvt rep-ins: needs=x86_64 args="rep-ins 502" expect="fault:Invalid guest port access: port=0x502" absent=answered peer=no
//@ run hvt rep-outs: needs=x86_64 args="rep-outs 80" expect="fault:Invalid guest port access: port=0x80" absent=answered peer=no
/* KVM reports these one by one, or all at once: then it is no hypercall. */
//@ run hvt rep-outs-calls: needs=x86_64 args="rep-outs 502" expect="fault:Invalid guest *" absent=answered peer=no

/* Instructions, and accesses that memory does not permit. */
//@ run hvt halt: needs=x86_64 args=halt expect="fault:KVM: unhandled exit: exit_reason=0x5, rip=0x*" absent=answered peer=no
//@ run hvt triple-fault: needs=x86_64 args=crash expect="fault:KVM: unhandled exit: exit_reason=0x8, rip=0x*" absent=answered peer=no
//@ run hvt endless-loop-sigterm: args="--solo5:quiet spin" signal=TERM expect=exit:1 only="Waiting for a signal\nsolo5-hvt: Exiting on signal 15\n" peer=no
//@ run hvt endless-loop-sigint: args="--solo5:quiet spin" signal=INT expect=exit:1 only="Waiting for a signal\nsolo5-hvt: Exiting on signal 2\n" peer=no
//@ run hvt undefined-instruction: needs=x86_64 args=ud2 expect=abort output="trap: type=#UD" absent=answered
//@ run hvt read-address-0: needs=x86_64 args="peek 0" expect=abort output="trap: type=#PF" output="cr2=0x0" absent=answered peer=no
//@ run hvt read-page-tables: needs=x86_64 args="peek 2000" expect=abort output="trap: type=#PF" output="cr2=0x2000" absent=answered peer=no
//@ run hvt write-page-tables: needs=x86_64 args="poke 2000" expect=abort output="trap: type=#PF" output="cr2=0x2000" absent=answered peer=no
//@ run hvt write-boot-info: needs=x86_64 args="poke 10000" expect=abort output="trap: type=#PF" output="cr2=0x10000" absent=answered peer=no
//@ run hvt read-behind-memory: needs=x86_64 args="peek 200000" expect=abort output="trap: type=#PF" output="cr2=0x200000" absent=answered peer=no
//@ run hvt read-4g: needs=x86_64 args="peek 100000000" expect=abort output="trap: type=#PF" output="cr2=0x100000000" absent=answered peer=no
//@ run hvt read-noncanonical: needs=x86_64 args="peek 8000000000000000" expect=abort output="trap: type=#GP" absent=answered peer=no
//@ run hvt write-code: needs=x86_64 args="poke 100100" expect="fault:KVM: host/guest translation fault: rip=0x*" absent=answered peer=no
//@ run hvt execute-stack: needs=x86_64 args="jump 1f0000" expect=abort output="trap: type=#PF" output="cr2=0x1f0000" absent=answered peer=no
//@ run hvt execute-boot-info: needs=x86_64 args="jump 10000" expect=abort output="trap: type=#PF" output="cr2=0x10000" absent=answered peer=no

//@ run hvt arm-undefined-instruction: needs=aarch64 args=ud2 expect=abort output="trap: type=#UNDEF" absent=answered peer=no
//@ run hvt arm-read-address-0: needs=aarch64 args="peek 0" expect=abort output="trap: type=#DABT" output="far=0x0" absent=answered peer=no
//@ run hvt arm-read-page-tables: needs=aarch64 args="peek 2000" expect=abort output="trap: type=#DABT" output="far=0x2000" absent=answered peer=no
//@ run hvt arm-write-page-tables: needs=aarch64 args="poke 2000" expect=abort output="trap: type=#DABT" output="far=0x2000" absent=answered peer=no
//@ run hvt arm-write-boot-info: needs=aarch64 args="poke 10000" expect=abort output="trap: type=#DABT" output="far=0x10000" absent=answered peer=no
//@ run hvt arm-read-behind-memory: needs=aarch64 args="peek 200000" expect=abort output="trap: type=#DABT" output="far=0x200000" absent=answered peer=no
//@ run hvt arm-read-4g: needs=aarch64 args="peek 100000000" expect="fault:Invalid guest mmio access: mmio=0x100000000 len=1" absent=answered peer=no
//@ run hvt arm-write-code: needs=aarch64 args="poke 100100" expect="fault:KVM: host/guest translation fault: pc=0x*" absent=answered peer=no
//@ run hvt arm-execute-stack: needs=aarch64 args="jump 1f0000" expect=abort output="trap: type=#IABT" output="far=0x1f0000" absent=answered peer=no
//@ run hvt arm-execute-boot-info: needs=aarch64 args="jump 10000" expect=abort output="trap: type=#IABT" output="far=0x10000" absent=answered peer=no

/* Model-specific registers: the guest gets #GP for a missing one, and KVM's own are missing. */
//@ run hvt msr-unknown: needs=x86_64 args="rdmsr 12345678" expect=abort output="trap: type=#GP" absent=answered peer=no
//@ run hvt msr-write-unknown: needs=x86_64 args="wrmsr 12345678" expect=abort output="trap: type=#GP" absent=answered peer=no
//@ run hvt msr-vmx: needs=x86_64 args="wrmsr 480" expect=abort output="trap: type=#GP" absent=answered peer=no
//@ run hvt msr-x2apic: needs=x86_64 args="rdmsr 802" expect=abort output="trap: type=#GP" absent=answered peer=no
//@ run hvt msr-kvm-clock: needs=x86_64 args="wrmsr 4b564d01" expect=abort output="trap: type=#GP" absent=answered peer=no
//@ run hvt msr-kvm-wall-clock: needs=x86_64 args="wrmsr 4b564d00" expect=abort output="trap: type=#GP" absent=answered peer=no
//@ run hvt msr-kvm-steal-time: needs=x86_64 args="wrmsr 4b564d03" expect=abort output="trap: type=#GP" absent=answered peer=no
//@ run hvt msr-hyper-v: needs=x86_64 args="wrmsr 40000001" expect=abort output="trap: type=#GP" absent=answered peer=no
//@ run hvt msr-all: needs=x86_64 args=probe expect=exit:0 output=answered absent=trap peer=no
#include "hostile.h"

int solo5_app_main(const struct solo5_start_info *info)
{
    return hostile(info);
}
