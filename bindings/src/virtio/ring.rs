//! A virtqueue: the split ring of descriptors that driver and device share
//! (`docs/reference/virtio.md#queues`).
//!
//! Adversary: the device. It writes the used ring, and nothing keeps it from writing the rest of the
//! memory too. So the driver reads only the used ring, and keeps for itself what it has published. An
//! index, an id or a flag that no honest device writes is a [`Broken`] queue, never a wild access; no
//! function here loops on what a device writes.

use core::sync::atomic::{Ordering, fence};

use super::shared::Shared;

/// The device has broken the rules of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

/// A chain of descriptors that the device is done with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    /// The chain's first descriptor. The driver had published it.
    pub head: u16,
    /// Number of bytes that the device says it has written. Any number.
    pub len: u32,
}

/// What a descriptor points to, and what the device may do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// The device's address.
    pub address: u64,
    /// Length in bytes.
    pub len: u32,
    /// Whether the device writes it; else it reads.
    pub writes: bool,
}

/// Descriptors that the driver uses: those with lower indices. A queue may have more.
pub const DESCRIPTORS: u16 = 256;
/// Fewest descriptors of a usable queue.
pub const SIZE_MIN: u16 = 4;
/// Most descriptors of a queue.
pub const SIZE_MAX: u16 = 1 << 15;

const DESCRIPTOR: usize = 16;
const PAGE: usize = 4096;
const NEXT: u16 = 1;
const WRITE: u16 = 2;
/// In the available ring's flags: the device shall not interrupt.
const NO_INTERRUPT: u16 = 1;
/// In the used ring's flags: the device needs no notification.
const NO_NOTIFY: u16 = 1;

/// The driver's side of a queue.
#[derive(Debug)]
pub struct Ring {
    memory: Shared,
    /// Number of descriptors, a power of two.
    size: u16,
    /// Chains published since the start, modulo 2^16.
    published: u16,
    /// Chains taken back since the start, modulo 2^16.
    taken: u16,
    /// Bit N: the device has the chain that begins with descriptor N.
    held: [u64; DESCRIPTORS as usize / 64],
}

impl Ring {
    /// Bytes of memory for a queue of `size` descriptors. `None` if no queue has that many.
    pub fn bytes(size: u16) -> Option<usize> {
        let usable = size.is_power_of_two() && (SIZE_MIN..=SIZE_MAX).contains(&size);
        usable.then(|| used_offset(size) + 6 + 8 * usize::from(size))
    }

    /// A queue of `size` descriptors in `memory`, which is all zeros. `None` if `size` is not possible
    /// or the memory is too small for it.
    pub fn new(memory: Shared, size: u16) -> Option<Ring> {
        (Ring::bytes(size)? <= memory.len()).then_some(Ring {
            memory,
            size,
            published: 0,
            taken: 0,
            held: [0; _],
        })
    }

    /// Number of descriptors.
    pub fn size(&self) -> u16 {
        self.size
    }

    /// Number of descriptors that [`Ring::publish`] takes.
    pub fn usable(&self) -> u16 {
        self.size.min(DESCRIPTORS)
    }

    /// The device's addresses of descriptors, available ring and used ring.
    pub fn addresses(&self) -> [u64; 3] {
        let available = DESCRIPTOR * usize::from(self.size);
        [0, available, used_offset(self.size)].map(|offset| self.memory.physical(offset))
    }

    /// Asks the device for no interrupts. It may still send some.
    pub fn suppress_interrupts(&self) {
        self.memory.write16(self.available(0), NO_INTERRUPT);
    }

    /// Gives the device the chain of `buffers`, in the descriptors from `head` on. Returns `false`, and
    /// does nothing, if the descriptors do not exist, or the device has the chain of `head` already.
    pub fn publish(&mut self, head: u16, buffers: &[Buffer]) -> bool {
        let end = usize::from(head).saturating_add(buffers.len());
        if buffers.is_empty() || end > usize::from(self.usable()) || self.holds(head) {
            return false;
        }
        for (index, buffer) in (head..).zip(buffers) {
            let offset = DESCRIPTOR * usize::from(index);
            let next = index.wrapping_add(1);
            let more = usize::from(next) < end;
            let flags = if more { NEXT } else { 0 } | if buffer.writes { WRITE } else { 0 };
            self.memory.write64(offset, buffer.address);
            self.memory.write32(offset + 8, buffer.len);
            self.memory.write16(offset + 12, flags);
            self.memory.write16(offset + 14, if more { next } else { 0 });
        }
        let place = usize::from(self.published & self.size.wrapping_sub(1));
        self.memory.write16(self.available(4 + 2 * place), head);
        self.published = self.published.wrapping_add(1);
        self.mark(head, true);
        // Buffers, descriptors and ring come before the index that tells of them.
        fence(Ordering::Release);
        self.memory.write16(self.available(2), self.published);
        true
    }

    /// Whether the device waits for a notification of what was published.
    pub fn wants_notification(&self) -> bool {
        // Either the device sees the new index, or this sees that the device sleeps.
        fence(Ordering::SeqCst);
        self.memory.read16(used_offset(self.size)) & NO_NOTIFY == 0
    }

    /// Whether the device has the chain of `head`.
    pub fn holds(&self, head: u16) -> bool {
        let word = self.held.get(usize::from(head / 64));
        word.is_some_and(|word| word >> (head % 64) & 1 != 0)
    }

    /// Whether [`Ring::take`] has something to say.
    pub fn has_used(&self) -> bool {
        self.memory.read16(used_offset(self.size) + 2) != self.taken
    }

    /// Takes back the next chain that the device is done with.
    pub fn take(&mut self) -> Result<Option<Used>, Broken> {
        let used = used_offset(self.size);
        let done = self.memory.read16(used + 2).wrapping_sub(self.taken);
        if done == 0 {
            return Ok(None);
        }
        if done > self.published.wrapping_sub(self.taken) {
            return Err(Broken);
        }
        // The index comes before the element that it tells of.
        fence(Ordering::Acquire);
        let place = usize::from(self.taken & self.size.wrapping_sub(1));
        let id = self.memory.read32(used + 4 + 8 * place);
        let len = self.memory.read32(used + 8 + 8 * place);
        let head = u16::try_from(id).ok().filter(|head| self.holds(*head)).ok_or(Broken)?;
        self.taken = self.taken.wrapping_add(1);
        self.mark(head, false);
        Ok(Some(Used { head, len }))
    }

    fn available(&self, offset: usize) -> usize {
        DESCRIPTOR * usize::from(self.size) + offset
    }

    fn mark(&mut self, head: u16, held: bool) {
        let Some(word) = self.held.get_mut(usize::from(head / 64)) else { return };
        let bit = 1 << (head % 64);
        if held { *word |= bit } else { *word &= !bit }
    }
}

/// Offset of the used ring: behind descriptors and available ring, at the next page, as legacy devices
/// want it.
fn used_offset(size: u16) -> usize {
    (DESCRIPTOR * usize::from(size) + 6 + 2 * usize::from(size)).next_multiple_of(PAGE)
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    struct Memory(Vec<u64>);

    impl Memory {
        fn new(size: u16) -> Memory {
            Memory(vec![0; Ring::bytes(size).unwrap() / 8 + 1])
        }

        fn shared(&mut self) -> Shared {
            // SAFETY: the tests use the memory through the result only, while `self` lives.
            unsafe { Shared::new(self.0.as_mut_ptr().cast(), self.0.len() * 8, 0x10_0000) }
        }
    }

    fn buffer(address: u64) -> Buffer {
        Buffer { address, len: 100, writes: true }
    }

    #[test]
    fn a_queue_of_256_has_the_layout_of_the_standard() {
        // Section 2.7.2 of Virtual I/O Device 1.2, and its legacy interface with pages of 4096 bytes.
        assert_eq!(Ring::bytes(256), Some(8192 + 6 + 8 * 256));
        let mut memory = Memory::new(256);
        let ring = Ring::new(memory.shared(), 256).unwrap();
        assert_eq!(ring.addresses(), [0x10_0000, 0x10_1000, 0x10_2000]);
    }

    #[test]
    fn sizes_are_powers_of_two() {
        for size in [0, 1, 2, 3, 5, 255, 257, 32767, 32769, u16::MAX] {
            assert_eq!(Ring::bytes(size), None, "{size}");
        }
        let mut memory = Memory::new(4);
        assert!(Ring::new(memory.shared(), 256).is_none(), "too little memory");
    }

    #[test]
    fn chains_go_out_and_come_back() {
        let mut memory = Memory::new(4);
        let shared = memory.shared();
        let mut ring = Ring::new(shared, 4).unwrap();
        let used = used_offset(4);
        // Far enough that all indices wrap around.
        for turn in 0..70_000u32 {
            let read = Buffer { writes: false, ..buffer(0x5000) };
            assert!(ring.publish(1, &[read, buffer(0x6000)]));
            assert!(!ring.publish(1, &[buffer(0x7000)]), "the device has it");
            assert_eq!([shared.read64(16), shared.read64(32)], [0x5000, 0x6000]);
            assert_eq!([shared.read16(28), shared.read16(30)], [NEXT, 2]);
            assert_eq!([shared.read16(44), shared.read16(46)], [WRITE, 0]);
            let next = (turn as u16).wrapping_add(1);
            assert_eq!(shared.read16(64 + 2), next);
            assert_eq!(ring.take(), Ok(None));
            shared.write32(used + 4 + 8 * (turn as usize % 4), 1);
            shared.write32(used + 8 + 8 * (turn as usize % 4), turn);
            shared.write16(used + 2, next);
            assert!(ring.has_used());
            assert_eq!(ring.take(), Ok(Some(Used { head: 1, len: turn })));
            assert!(!ring.has_used());
        }
    }

    #[test]
    fn chains_are_in_the_queue() {
        let mut memory = Memory::new(4);
        let mut ring = Ring::new(memory.shared(), 4).unwrap();
        assert!(!ring.publish(3, &[buffer(0); 2]));
        assert!(!ring.publish(4, &[buffer(0)]));
        assert!(!ring.publish(u16::MAX, &[buffer(0); 2]));
        assert!(!ring.publish(0, &[]));
        assert!(ring.publish(3, &[buffer(0)]));
    }

    #[test]
    fn notifications_are_asked_for_by_a_flag() {
        let mut memory = Memory::new(4);
        let shared = memory.shared();
        let ring = Ring::new(shared, 4).unwrap();
        assert!(ring.wants_notification());
        shared.write16(used_offset(4), NO_NOTIFY);
        assert!(!ring.wants_notification());
        ring.suppress_interrupts();
        assert_eq!(shared.read16(64), NO_INTERRUPT);
    }

    proptest! {
        /// The device writes any bytes anywhere between the driver's calls. Each chain comes back at
        /// most once, and only if it was published.
        #[test]
        fn a_hostile_device_gets_nothing_but_a_broken_queue(
            size in prop::sample::select(vec![4u16, 8, 256, 1024]),
            steps in prop::collection::vec(
                (any::<u16>(), 0..4usize, any::<[u16; 4]>(), any::<bool>()),
                1..200,
            ),
        ) {
            let mut memory = Memory::new(size);
            let shared = memory.shared();
            let used = used_offset(size);
            let mut ring = Ring::new(shared, size).unwrap();
            let mut out = std::collections::BTreeSet::new();
            for (head, count, [index, id, high, at], honest) in steps {
                let head = head % (size + 2);
                if ring.publish(head, &vec![buffer(7); count]) {
                    prop_assert!(out.insert(head));
                }
                let near = ring.taken.wrapping_add(index % 3);
                shared.write16(used + 2, if honest { near } else { index });
                let id = u32::from(id % (size + 2)) | if honest { 0 } else { u32::from(high) << 16 };
                for place in 0..usize::from(size) {
                    shared.write32(used + 4 + 8 * place, id);
                }
                // Whatever else it writes is not read.
                shared.write16(usize::from(at) & !1 & (used - 2), high);
                for _ in 0..3 {
                    match ring.take() {
                        Ok(Some(Used { head, .. })) => prop_assert!(out.remove(&head)),
                        Ok(None) | Err(Broken) => break,
                    }
                }
            }
        }
    }
}
