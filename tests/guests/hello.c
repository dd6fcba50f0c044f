/*
 * hello: prints the command line it was given; SUCCESS if that is Hello_Solo5. Since 0.10.1 upstream's
 * loader names the fault of an image.
 */
//@ run spt hvt virtio xen: args="Hello_Solo5" expect=success
//@ run spt hvt no-arguments: expect=exit:0 output="Command line is: ''\n" absent=SUCCESS
//@ run spt hvt words: args="'a b' '' 'c'" expect=exit:0 output="Command line is: 'a b  c'\n"
//@ run spt hvt options-after-image: args="--mem=1 --net:x=y" expect=exit:0 output="Command line is: '--mem=1 --net:x=y'\n"
//@ run spt hvt level-warn: args="--solo5:warn Hello_Solo5" expect=success absent="Solo5: Bindings version"
//@ run spt hvt level-error: args="--solo5:error Hello_Solo5" expect=success absent="Solo5: Bindings version"
//@ run spt hvt level-info: args="--solo5:info Hello_Solo5" expect=success output="Solo5: Bindings version" output="Solo5: solo5_exit(0) called"
//@ run spt hvt level-debug: args="--solo5:debug Hello_Solo5" expect=success output="Solo5: Bindings version"
//@ run spt hvt last-level-wins: args="--solo5:quiet --solo5:info Hello_Solo5" expect=success output="Solo5: Bindings version"
//@ run spt hvt unknown-level: args="--solo5:quietx" expect=exit:0 output="Solo5: Bindings version" output="Command line is: '--solo5:quietx'\n"
//@ run spt hvt level-after-argument: args="x --solo5:quiet" expect=exit:0 output="Command line is: 'x --solo5:quiet'\n"
//@ run spt hvt memory-map: expect=exit:0 output="Solo5: Memory map: 2 MB addressable:\nSolo5:   reserved @ (0x0 - 0xfffff)\n"
//@ run spt hvt no-separator: options="--mem=2" separator=no args="Hello_Solo5" expect=success
//@ run spt one-mebibyte: mem=1 expect=exit:1 output="e_entry does not fall within the memory allocation range (" output=">= 1048576)" peer=0.10.1
//@ run spt five-gibibytes: mem=5120 args="Hello_Solo5" expect=success peer=no
//@ run spt bad-memory-size: options="--mem=0" expect=exit:1 output="Malformed argument to --mem"
//@ run spt memory-size-suffix: options="--mem=2foo" expect=exit:1 output="Malformed argument to --mem" peer=no
//@ run spt negative-memory-size: options="--mem=-1" expect=exit:1 output="Malformed argument to --mem" peer=no
//@ run spt hvt unknown-option: options="--no-such-option" expect=exit:1 output="Invalid option: `--no-such-option'" output="usage: "
//@ run spt hvt undeclared-device: options="--net:service0=tap100" expect=exit:1 output="Resource not declared in manifest: 'service0'"
#include "kit.h"

int solo5_app_main(const struct solo5_start_info *info)
{
    title("test_hello");
    say("Hello, World\nCommand line is: '");
    say(info->cmdline);
    say("'\n");
    return strcmp(info->cmdline, "Hello_Solo5") == 0 ? succeed() : SOLO5_EXIT_SUCCESS;
}
