/* virtio_devices_few: virtio_devices with the 8 devices that a microvm of QEMU has transports for. */
//@ run virtio: expect=success
#define BLOCKS 6
#define NETS 2
#include "virtio_devices.c"
