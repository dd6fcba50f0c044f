//! QEMU's configuration device: the command line that a machine would give a Linux kernel
//! (`docs/reference/virtio.md#mmio`).

use crate::arch::port::{in8, out16};

const SELECTOR: u16 = 0x510;
const DATA: u16 = 0x511;

const KEY_SIGNATURE: u16 = 0x00;
const KEY_LINE_SIZE: u16 = 0x14;
const KEY_LINE: u16 = 0x15;

fn read(key: u16, to: &mut [u8]) {
    // SAFETY: selecting an item changes only what the data port gives.
    unsafe { out16(SELECTOR, key) };
    for byte in to {
        *byte = in8(DATA);
    }
}

/// Reads the command line into `to`; returns its length, 0 if there is none or no such device.
pub(crate) fn command_line(to: &mut [u8]) -> usize {
    let mut signature = [0; 4];
    read(KEY_SIGNATURE, &mut signature);
    if signature != *b"QEMU" {
        return 0;
    }
    let mut size = [0; 4];
    read(KEY_LINE_SIZE, &mut size);
    let size = (u32::from_le_bytes(size) as usize).min(to.len());
    let Some(line) = to.get_mut(..size) else { return 0 };
    read(KEY_LINE, line);
    line.iter().position(|byte| *byte == 0).unwrap_or(size)
}
