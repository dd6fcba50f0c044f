//! The registers of real devices: legacy PCI in ports, version 1 PCI in memory, and virtio-mmio in both
//! of its versions (`docs/reference/virtio.md#registers`).

use super::pci::Registers;
use super::register;
use super::ring::Ring;
use super::setup::Setup;
use super::transport::Transport;
use crate::arch::port::{in8, in16, in32, out8, out16, out32};

/// Registers in memory, which exist for good.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    start: *mut u8,
    len: u32,
}

/// Reads and writes of one width; beyond the window a read is 0 and a write does nothing.
macro_rules! accessors {
    ($read:ident, $write:ident, $number:ty) => {
        fn $read(&self, offset: u32) -> $number {
            let Some(place) = self.place(offset, size_of::<$number>() as u32) else { return 0 };
            // SAFETY: in the window and aligned. A read has effects in the device only.
            unsafe { register::$read(place) }
        }

        fn $write(&self, offset: u32, value: $number) {
            let Some(place) = self.place(offset, size_of::<$number>() as u32) else { return };
            // SAFETY: in the window and aligned. Of all that the drivers write, only queues let the
            // device write to memory, and that is memory of the drivers or lent by the application.
            unsafe { register::$write(place, value) };
        }
    };
}

impl Window {
    /// A window to `len` bytes of registers.
    fn new(setup: &mut Setup<'_>, physical: u64, len: u32) -> Option<Window> {
        Some(Window { start: setup.registers(physical, len.into())?, len })
    }

    accessors!(read8, write8, u8);
    accessors!(read16, write16, u16);
    accessors!(read32, write32, u32);

    /// Writes an address as two halves.
    fn write_address(&self, offset: u32, address: u64) {
        self.write32(offset, address as u32);
        self.write32(offset.wrapping_add(4), (address >> 32) as u32);
    }

    fn place(&self, offset: u32, size: u32) -> Option<*mut u8> {
        let end = offset.checked_add(size)?;
        let place = self.start.wrapping_add(offset as usize);
        let aligned = place.addr() & (size as usize).wrapping_sub(1) == 0;
        (end <= self.len && aligned).then_some(place)
    }
}

/// A device's registers.
#[derive(Debug)]
pub(crate) enum Hardware {
    /// Legacy PCI: the first of its ports.
    Legacy(u16),
    /// Version 1 PCI.
    Modern {
        /// Registers common to all devices.
        common: Window,
        /// Notifications.
        notify: Window,
        /// Distance in bytes between the places of notifications.
        multiplier: u32,
        /// Interrupt status.
        interrupt: Window,
        /// The device's own.
        device: Window,
    },
    /// virtio-mmio.
    Mmio {
        /// All registers.
        window: Window,
        /// Whether it has the registers of version 1; else of the legacy version.
        modern: bool,
    },
}

/// The ports of legacy PCI.
mod legacy {
    pub(super) const OFFERED: u16 = 0;
    pub(super) const ACCEPTED: u16 = 4;
    pub(super) const QUEUE_PAGE: u16 = 8;
    pub(super) const QUEUE_SIZE: u16 = 12;
    pub(super) const QUEUE_SELECT: u16 = 14;
    pub(super) const NOTIFY: u16 = 16;
    pub(super) const STATUS: u16 = 18;
    pub(super) const INTERRUPT: u16 = 19;
    /// Without MSI-X.
    pub(super) const DEVICE: u16 = 20;
}

/// The common registers of version 1 PCI.
mod common {
    pub(super) const OFFERED_SELECT: u32 = 0;
    pub(super) const OFFERED: u32 = 4;
    pub(super) const ACCEPTED_SELECT: u32 = 8;
    pub(super) const ACCEPTED: u32 = 12;
    pub(super) const STATUS: u32 = 20;
    pub(super) const GENERATION: u32 = 21;
    pub(super) const QUEUE_SELECT: u32 = 22;
    pub(super) const QUEUE_SIZE: u32 = 24;
    pub(super) const QUEUE_ENABLE: u32 = 28;
    pub(super) const QUEUE_NOTIFY: u32 = 30;
    pub(super) const QUEUE_PARTS: [u32; 3] = [32, 40, 48];
}

/// The registers of virtio-mmio.
mod mmio {
    pub(super) const MAGIC: u32 = 0x00;
    pub(super) const VERSION: u32 = 0x04;
    pub(super) const TYPE: u32 = 0x08;
    pub(super) const OFFERED: u32 = 0x10;
    pub(super) const OFFERED_SELECT: u32 = 0x14;
    pub(super) const ACCEPTED: u32 = 0x20;
    pub(super) const ACCEPTED_SELECT: u32 = 0x24;
    /// Legacy.
    pub(super) const PAGE_SIZE: u32 = 0x28;
    pub(super) const QUEUE_SELECT: u32 = 0x30;
    pub(super) const QUEUE_SIZE_MAX: u32 = 0x34;
    pub(super) const QUEUE_SIZE: u32 = 0x38;
    /// Legacy.
    pub(super) const QUEUE_ALIGN: u32 = 0x3c;
    /// Legacy.
    pub(super) const QUEUE_PAGE: u32 = 0x40;
    pub(super) const QUEUE_READY: u32 = 0x44;
    pub(super) const NOTIFY: u32 = 0x50;
    pub(super) const INTERRUPT: u32 = 0x60;
    pub(super) const INTERRUPT_DONE: u32 = 0x64;
    pub(super) const STATUS: u32 = 0x70;
    pub(super) const QUEUE_PARTS: [u32; 3] = [0x80, 0x90, 0xa0];
    pub(super) const GENERATION: u32 = 0xfc;
    pub(super) const DEVICE: u32 = 0x100;
    /// `virt`.
    pub(super) const MAGIC_NUMBER: u32 = 0x7472_6976;
}

/// The page size that legacy devices are told.
const PAGE: u32 = 4096;

impl Hardware {
    /// A PCI device by its registers as a version 1 device.
    pub(crate) fn modern(setup: &mut Setup<'_>, registers: &Registers) -> Option<Hardware> {
        let mut window = |range: super::pci::Range| Window::new(setup, range.start, range.len);
        Some(Hardware::Modern {
            common: window(registers.common)?,
            notify: window(registers.notify)?,
            multiplier: registers.multiplier,
            interrupt: window(registers.interrupt)?,
            device: window(registers.device)?,
        })
    }

    /// The virtio-mmio device at a physical address, and its type; `None` if there is none.
    pub(crate) fn mmio(setup: &mut Setup<'_>, base: u64, size: u64) -> Option<(Hardware, u16)> {
        let len = u32::try_from(size).ok().filter(|len| *len > mmio::DEVICE)?;
        let window = Window::new(setup, base, len)?;
        if window.read32(mmio::MAGIC) != mmio::MAGIC_NUMBER {
            return None;
        }
        let modern = match window.read32(mmio::VERSION) {
            1 => false,
            2 => true,
            _ => return None,
        };
        // A transport without a device has type 0.
        let number = u16::try_from(window.read32(mmio::TYPE)).ok().filter(|number| *number != 0)?;
        Some((Hardware::Mmio { window, modern }, number))
    }
}

/// A port at an offset from a device's first.
fn at(base: u16, offset: u16) -> u16 {
    base.wrapping_add(offset)
}

/// The page number of a queue for a legacy device, which has 32 bits for it.
fn page(ring: &Ring) -> Option<u32> {
    let [start, ..] = ring.addresses();
    u32::try_from(start / u64::from(PAGE)).ok()
}

impl Transport for Hardware {
    fn is_modern(&self) -> bool {
        match self {
            Hardware::Legacy(_) => false,
            Hardware::Modern { .. } => true,
            Hardware::Mmio { modern, .. } => *modern,
        }
    }

    fn status(&self) -> u8 {
        match self {
            Hardware::Legacy(base) => in8(at(*base, legacy::STATUS)),
            Hardware::Modern { common, .. } => common.read8(common::STATUS),
            Hardware::Mmio { window, .. } => window.read32(mmio::STATUS) as u8,
        }
    }

    fn set_status(&self, status: u8) {
        match self {
            // SAFETY: a device uses only the queues that it was given.
            Hardware::Legacy(base) => unsafe { out8(at(*base, legacy::STATUS), status) },
            Hardware::Modern { common, .. } => common.write8(common::STATUS, status),
            Hardware::Mmio { window, .. } => window.write32(mmio::STATUS, status.into()),
        }
    }

    fn offered(&self, word: u32) -> u32 {
        match self {
            Hardware::Legacy(base) => in32(at(*base, legacy::OFFERED)),
            Hardware::Modern { common, .. } => {
                common.write32(common::OFFERED_SELECT, word);
                common.read32(common::OFFERED)
            }
            Hardware::Mmio { window, .. } => {
                window.write32(mmio::OFFERED_SELECT, word);
                window.read32(mmio::OFFERED)
            }
        }
    }

    fn accept(&self, word: u32, features: u32) {
        match self {
            // SAFETY: features change what the device does with queues that it will be given.
            Hardware::Legacy(base) => unsafe { out32(at(*base, legacy::ACCEPTED), features) },
            Hardware::Modern { common, .. } => {
                common.write32(common::ACCEPTED_SELECT, word);
                common.write32(common::ACCEPTED, features);
            }
            Hardware::Mmio { window, .. } => {
                window.write32(mmio::ACCEPTED_SELECT, word);
                window.write32(mmio::ACCEPTED, features);
            }
        }
    }

    fn queue_size(&self, queue: u16) -> u16 {
        match self {
            Hardware::Legacy(base) => {
                // SAFETY: selects the queue that the next accesses are for.
                unsafe { out16(at(*base, legacy::QUEUE_SELECT), queue) };
                in16(at(*base, legacy::QUEUE_SIZE))
            }
            Hardware::Modern { common, .. } => {
                common.write16(common::QUEUE_SELECT, queue);
                common.read16(common::QUEUE_SIZE)
            }
            Hardware::Mmio { window, .. } => {
                window.write32(mmio::QUEUE_SELECT, queue.into());
                u16::try_from(window.read32(mmio::QUEUE_SIZE_MAX)).unwrap_or(u16::MAX)
            }
        }
    }

    fn can_shrink(&self) -> bool {
        !matches!(self, Hardware::Legacy(_))
    }

    fn set_queue(&self, queue: u16, ring: &Ring) -> Option<u32> {
        match self {
            Hardware::Legacy(base) => {
                let page = page(ring)?;
                // SAFETY: selects the queue that the next access is for.
                unsafe { out16(at(*base, legacy::QUEUE_SELECT), queue) };
                // SAFETY: the queue is memory that the drivers have for good.
                unsafe { out32(at(*base, legacy::QUEUE_PAGE), page) };
                Some(0)
            }
            Hardware::Modern { common, notify, multiplier, .. } => {
                common.write16(common::QUEUE_SELECT, queue);
                common.write16(common::QUEUE_SIZE, ring.size());
                for (register, address) in common::QUEUE_PARTS.into_iter().zip(ring.addresses()) {
                    common.write_address(register, address);
                }
                let number = u32::from(common.read16(common::QUEUE_NOTIFY));
                let place = number.checked_mul(*multiplier)?;
                notify.place(place, 2)?;
                common.write16(common::QUEUE_ENABLE, 1);
                Some(place)
            }
            Hardware::Mmio { window, modern } => {
                window.write32(mmio::QUEUE_SELECT, queue.into());
                window.write32(mmio::QUEUE_SIZE, ring.size().into());
                if *modern {
                    for (register, address) in mmio::QUEUE_PARTS.into_iter().zip(ring.addresses()) {
                        window.write_address(register, address);
                    }
                    window.write32(mmio::QUEUE_READY, 1);
                } else {
                    let page = page(ring)?;
                    window.write32(mmio::PAGE_SIZE, PAGE);
                    window.write32(mmio::QUEUE_ALIGN, PAGE);
                    window.write32(mmio::QUEUE_PAGE, page);
                }
                Some(0)
            }
        }
    }

    fn notify(&self, queue: u16, token: u32) {
        match self {
            // SAFETY: the device does what the queue's descriptors say, which the drivers wrote.
            Hardware::Legacy(base) => unsafe { out16(at(*base, legacy::NOTIFY), queue) },
            Hardware::Modern { notify, .. } => notify.write16(token, queue),
            Hardware::Mmio { window, .. } => window.write32(mmio::NOTIFY, queue.into()),
        }
    }

    fn acknowledge(&self) {
        match self {
            // A read is enough.
            Hardware::Legacy(base) => _ = in8(at(*base, legacy::INTERRUPT)),
            Hardware::Modern { interrupt, .. } => _ = interrupt.read8(0),
            Hardware::Mmio { window, .. } => {
                let pending = window.read32(mmio::INTERRUPT);
                if pending != 0 {
                    window.write32(mmio::INTERRUPT_DONE, pending);
                }
            }
        }
    }

    fn config8(&self, offset: u32) -> u8 {
        match self {
            Hardware::Legacy(base) => in8(at(*base, legacy::DEVICE).wrapping_add(offset as u16)),
            Hardware::Modern { device, .. } => device.read8(offset),
            Hardware::Mmio { window, .. } => window.read8(mmio::DEVICE.wrapping_add(offset)),
        }
    }

    fn config16(&self, offset: u32) -> u16 {
        match self {
            Hardware::Legacy(base) => in16(at(*base, legacy::DEVICE).wrapping_add(offset as u16)),
            Hardware::Modern { device, .. } => device.read16(offset),
            Hardware::Mmio { window, .. } => window.read16(mmio::DEVICE.wrapping_add(offset)),
        }
    }

    fn config32(&self, offset: u32) -> u32 {
        match self {
            Hardware::Legacy(base) => in32(at(*base, legacy::DEVICE).wrapping_add(offset as u16)),
            Hardware::Modern { device, .. } => device.read32(offset),
            Hardware::Mmio { window, .. } => window.read32(mmio::DEVICE.wrapping_add(offset)),
        }
    }

    fn generation(&self) -> u32 {
        match self {
            Hardware::Modern { common, .. } => common.read8(common::GENERATION).into(),
            Hardware::Mmio { window, modern: true } => window.read32(mmio::GENERATION),
            // Legacy devices have none.
            _ => 0,
        }
    }
}
