/*
 * hostile_blk: block hypercalls that no unikernel makes; kit/hostile.h has the commands. The device
 * has the handle 1 and 0x1000 bytes. An offset outside the device is an error (2); a bad pointer
 * ends the guest. A huge length is an error upstream since 0.10.0; before that, its tender ends.
 */

/* call 4|5 HANDLE OFFSET DATA LENGTH */
//@ run hvt write-argument-behind: block.storage=4KiB args="at 4 200000" expect="fault:Invalid guest access: gpa=0x200000, sz=40" absent=answered peer=no
//@ run hvt read-argument-over-the-end: block.storage=4KiB args="at 5 1fffd9" expect="fault:Invalid guest access: gpa=0x1fffd9, sz=40" absent=answered peer=no
//@ run hvt read-argument-in-code: block.storage=4KiB args="at 5 100000" expect="fault:Invalid guest access: gpa=0x100000, sz=40" absent=answered peer=no
//@ run hvt odd: block.storage=4KiB args="odd 5 1 0 180000 200" expect=exit:0 output="ret 0, answered"
//@ run hvt handle-0: block.storage=4KiB args="call 4 0 0 180000 200" expect=exit:0 output="ret 2, answered" unchanged=storage
//@ run hvt handle-behind: block.storage=4KiB args="call 4 2 0 180000 200" expect=exit:0 output="ret 2, answered" unchanged=storage
//@ run hvt handle-64: block.storage=4KiB args="call 4 40 0 180000 200" expect=exit:0 output="ret 2, answered" unchanged=storage
//@ run hvt handle-high-half: block.storage=4KiB args="call 4 100000001 0 180000 200" expect=exit:0 output="ret 2, answered" unchanged=storage peer=no
//@ run hvt handle-highest: block.storage=4KiB args="call 4 ffffffffffffffff 0 180000 200" expect=exit:0 output="ret 2, answered" unchanged=storage peer=no
//@ run hvt offset-at-end: block.storage=4KiB args="call 5 1 1000 180000 200" expect=exit:0 output="ret 2, answered"
//@ run hvt offset-over-the-end: block.storage=4KiB args="call 4 1 e01 180000 200" expect=exit:0 output="ret 2, answered" unchanged=storage
//@ run hvt offset-highest: block.storage=4KiB args="call 4 1 ffffffffffffffff 180000 200" expect=exit:0 output="ret 2, answered" unchanged=storage
//@ run hvt offset-wraps: block.storage=4KiB args="call 4 1 fffffffffffffe00 180000 200" expect=exit:0 output="ret 2, answered" unchanged=storage
//@ run hvt offset-wraps-inside: block.storage=4KiB args="call 4 1 fffffffffffffe00 180000 400" expect=exit:0 output="ret 2, answered" unchanged=storage
//@ run hvt length-over-the-end: block.storage=4KiB args="call 4 1 0 180000 1001" expect=exit:0 output="ret 2, answered" unchanged=storage
//@ run hvt length-highest: block.storage=4KiB args="call 5 1 0 180000 ffffffffffffffff" expect=exit:0 output="ret 2, answered" peer=0.10.0
//@ run hvt length-signed: block.storage=4KiB args="call 5 1 0 180000 8000000000000000" expect=exit:0 output="ret 2, answered" peer=0.10.0
//@ run hvt length-0: block.storage=4KiB args="call 5 1 0 180000 0" expect=exit:0 output="ret 0, answered"
//@ run hvt data-behind: block.storage=4KiB args="call 5 1 0 200000 200" expect="fault:Invalid guest access: gpa=0x200000, sz=512" absent=answered peer=no
//@ run hvt data-over-the-end: block.storage=4KiB args="call 5 1 0 1ffe01 200" expect="fault:Invalid guest access: gpa=0x1ffe01, sz=512" absent=answered peer=no
//@ run hvt data-highest: block.storage=4KiB args="call 4 1 0 ffffffffffffffff 200" expect="fault:Invalid guest access: gpa=0xffffffffffffffff, sz=512" absent=answered unchanged=storage peer=no
//@ run hvt data-wraps: block.storage=4KiB args="call 4 1 0 fffffffffffffe00 200" expect="fault:Invalid guest access: gpa=0xfffffffffffffe00, sz=512" absent=answered unchanged=storage peer=no
//@ run hvt data-4g: block.storage=4KiB args="call 4 1 0 100100000 200" expect="fault:Invalid guest access: gpa=0x100100000, sz=512" absent=answered unchanged=storage peer=no
//@ run hvt data-last-bytes: block.storage=4KiB args="call 4 1 0 1ff000 1000" expect=exit:0 output="ret 0, answered" peer=no
//@ run hvt read-over-code: block.storage=4KiB args="call 5 1 0 100000 200" expect="fault:Invalid guest access: gpa=0x100000, sz=512" absent=answered peer=no
//@ run hvt read-over-page-tables: block.storage=4KiB args="call 5 1 0 2000 200" expect="fault:Invalid guest access: gpa=0x2000, sz=512" absent=answered peer=no
//@ run hvt read-below-the-image: block.storage=4KiB args="call 5 1 0 ffe00 200" expect="fault:Invalid guest access: gpa=0xffe00, sz=512" absent=answered peer=no
//@ run hvt write-from-boot-info: block.storage=4KiB args="call 4 1 0 10000 200" expect=exit:0 output="ret 0, answered" peer=no
//@ run hvt write-read-only: block.storage=4KiB options="--block-access:storage=read-only" args="call 4 1 0 180000 200" expect=exit:0 output="ret 3, answered" unchanged=storage peer=no
/* The data that is read replaces the argument itself. The tender then stores its answer there. */
//@ run hvt read-over-argument: block.storage=4KiB args="call 5 1 0 self 28" expect=exit:0 output="ret 0, answered" peer=no
//@ run hvt net-call: block.storage=4KiB args="call 6 1 180000 40" expect="fault:Invalid guest hypercall: num=6" absent=answered peer=no
#include "hostile.h"

int solo5_app_main(const struct solo5_start_info *info)
{
    return hostile(info);
}
