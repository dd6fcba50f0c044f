//! Driver of a virtio network device (`docs/reference/virtio.md#net`).
//!
//! Frames are copied from and to buffers that the driver keeps: an application may do with its memory
//! what it likes as soon as a call returns. No call waits for a frame to arrive. A frame to send waits
//! up to [`PATIENCE`] for a buffer and is then dropped, as networks may do; further ones are dropped at
//! once until the device takes frames again. A device that breaks the rules of a queue is reset, and
//! every later call fails.

use super::ring::{Broken, Buffer, Ring};
use super::shared::Shared;
use super::transport::{self, Failure, Machine, Transport};

/// Longest wait for a buffer in nanoseconds.
pub const PATIENCE: u64 = 1_000_000_000;

/// Features: the MTU, the address.
const MTU: u64 = 1 << 3;
const MAC: u64 = 1 << 5;
/// Offsets of the device's registers.
const MAC_AT: u32 = 0;
const MTU_AT: u32 = 10;
/// The MTU of Ethernet, and the smallest of IPv4.
const MTU_DEFAULT: u16 = 1500;
const MTU_MIN: u16 = 68;

const RECEIVE: u16 = 0;
const TRANSMIT: u16 = 1;
/// Header of Ethernet, and a VLAN's tag in bytes.
const ETHERNET: usize = 14;
const VLAN: usize = 4;
/// The device's header in bytes, before each frame.
const HEADER_MODERN: usize = 12;
const HEADER_LEGACY: usize = 10;
/// Memory for the frames of one direction in bytes, and bounds on their number.
const DIRECTION: usize = 256 << 10;
const FRAMES_MIN: usize = 16;
const FRAMES_MAX: usize = 128;
const PAGE: usize = 4096;

/// Why no frame was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nothing {
    /// None has arrived.
    Yet,
    /// The device is broken.
    Broken,
}

/// One direction: a queue and its buffers.
#[derive(Debug)]
struct Direction {
    ring: Ring,
    token: u32,
    memory: Shared,
    /// Number of buffers.
    count: u16,
    /// Number of changes that the device was not told of.
    untold: u16,
}

impl Direction {
    /// Makes a direction whose frames have up to `chain` descriptors each.
    fn new(
        transport: &impl Transport,
        machine: &mut impl Machine,
        queue: u16,
        slot: usize,
        chain: u16,
    ) -> Result<Direction, Failure> {
        let (ring, token) = transport::make_queue(transport, machine, queue)?;
        let wanted = DIRECTION.checked_div(slot).unwrap_or(0).clamp(FRAMES_MIN, FRAMES_MAX) as u16;
        let count = ring.usable().checked_div(chain).unwrap_or(0).min(wanted);
        let pages = slot.saturating_mul(count.into()).div_ceil(PAGE);
        let memory = machine.pages(pages).ok_or(Failure::Memory)?;
        Ok(Direction { ring, token, memory, count, untold: 0 })
    }

    /// Tells the device of changes, if it wants to know.
    fn tell(&mut self, transport: &impl Transport, queue: u16) {
        if self.untold != 0 {
            self.untold = 0;
            if self.ring.wants_notification() {
                transport.notify(queue, self.token);
            }
        }
    }
}

/// A network device.
#[derive(Debug)]
pub struct Nic<T> {
    transport: T,
    receive: Direction,
    transmit: Direction,
    /// Size of a buffer in bytes, the device's header included.
    slot: usize,
    header: usize,
    /// What the device offers.
    pub offered: u64,
    /// Its address; `None` if the host gave it none.
    pub mac: Option<[u8; 6]>,
    /// The MTU of its network.
    pub mtu: u16,
    /// The buffer for the next frame to send.
    next: u16,
    /// Whether the last wait for a buffer timed out.
    stalled: bool,
    broken: bool,
    /// Whether a read has told of it.
    told: bool,
}

impl<T: Transport> Nic<T> {
    /// Takes over a device.
    pub fn new(transport: T, machine: &mut impl Machine) -> Result<Nic<T>, Failure> {
        let (offered, accepted) = transport::negotiate(&transport, machine, MTU | MAC)?;
        let (mac, mtu) = transport::consistent(&transport, || {
            let has = |feature| accepted & feature != 0;
            let byte = |offset| transport.config8(MAC_AT + offset);
            let mac = has(MAC).then(|| [0, 1, 2, 3, 4, 5].map(byte));
            (mac, if has(MTU) { transport.config16(MTU_AT) } else { MTU_DEFAULT })
        });
        if mtu < MTU_MIN {
            return Err(Failure::Properties);
        }
        let header = if transport.is_modern() { HEADER_MODERN } else { HEADER_LEGACY };
        let slot = (header + ETHERNET + usize::from(mtu) + VLAN).next_multiple_of(64);
        let mut receive = Direction::new(&transport, machine, RECEIVE, slot, 1)?;
        let transmit = Direction::new(&transport, machine, TRANSMIT, slot, 2)?;
        transmit.ring.suppress_interrupts();
        for index in 0..receive.count {
            let address = receive.memory.physical(slot.wrapping_mul(index.into()));
            receive.ring.publish(index, &[Buffer { address, len: slot as u32, writes: true }]);
        }
        transport::start(&transport);
        receive.untold = receive.count;
        receive.tell(&transport, RECEIVE);
        Ok(Nic {
            transport,
            receive,
            transmit,
            slot,
            header,
            offered,
            mac,
            mtu,
            next: 0,
            stalled: false,
            broken: false,
            told: false,
        })
    }

    /// Ends the device's interrupt, and returns whether a read has something to tell.
    pub fn poll(&mut self) -> bool {
        self.transport.acknowledge();
        if self.broken {
            return !self.told;
        }
        self.receive.tell(&self.transport, RECEIVE);
        self.receive.ring.has_used()
    }

    /// Receives a frame of up to `size` bytes into `buf`; longer ones are dropped. Returns its length.
    ///
    /// # Safety
    ///
    /// `size` bytes at `buf` are the caller's to write.
    pub unsafe fn read(
        &mut self,
        machine: &impl Machine,
        buf: *mut u8,
        size: usize,
    ) -> Result<usize, Nothing> {
        // Frames that are dropped end the loop as well: a fast sender of them would keep it going.
        for _ in 0..self.receive.count {
            let used = match self.take(machine)? {
                Some(used) => used,
                None => break,
            };
            let offset = self.slot.wrapping_mul(used.head.into());
            let len = usize::try_from(used.len).unwrap_or(usize::MAX);
            let frame = len
                .checked_sub(self.header)
                .filter(|frame| len <= self.slot && *frame >= ETHERNET && *frame <= size);
            // SAFETY: the caller's promise, for at most `size` bytes; the buffers are the driver's.
            let copied = frame.filter(|frame| unsafe {
                self.receive.memory.copy_out(offset.wrapping_add(self.header), buf, *frame)
            });
            let address = self.receive.memory.physical(offset);
            let buffer = Buffer { address, len: self.slot as u32, writes: true };
            self.receive.ring.publish(used.head, &[buffer]);
            self.receive.untold = self.receive.untold.saturating_add(1);
            if self.receive.untold > self.receive.count / 2 {
                self.receive.tell(&self.transport, RECEIVE);
            }
            if let Some(frame) = copied {
                return Ok(frame);
            }
        }
        self.receive.tell(&self.transport, RECEIVE);
        Err(Nothing::Yet)
    }

    fn take(&mut self, machine: &impl Machine) -> Result<Option<super::ring::Used>, Nothing> {
        if !self.broken
            && let Ok(used) = self.receive.ring.take()
        {
            return Ok(used);
        }
        self.give_up(machine);
        self.told = true;
        Err(Nothing::Broken)
    }

    /// Sends a frame, or drops it. [`Nic::submitted`] has to follow.
    ///
    /// # Safety
    ///
    /// `size` bytes at `buf` can be read.
    pub unsafe fn submit(
        &mut self,
        machine: &impl Machine,
        buf: *const u8,
        size: usize,
    ) -> Result<(), Broken> {
        let Some(index) = self.place(machine)? else { return Ok(()) };
        let offset = self.slot.wrapping_mul(index.into());
        let memory = self.transmit.memory;
        for byte in 0..self.header {
            memory.write8(offset.wrapping_add(byte), 0);
        }
        let data = offset.wrapping_add(self.header);
        let room = self.slot.saturating_sub(self.header);
        // SAFETY: the caller's promise; the buffers are the driver's.
        if size > room || !unsafe { memory.copy_in(data, buf, size) } {
            return Ok(());
        }
        let header =
            Buffer { address: memory.physical(offset), len: self.header as u32, writes: false };
        let frame = Buffer { address: memory.physical(data), len: size as u32, writes: false };
        self.transmit.ring.publish(index.wrapping_mul(2), &[header, frame]);
        self.transmit.untold = self.transmit.untold.saturating_add(1);
        Ok(())
    }

    /// Tells the device of the frames of [`Nic::submit`].
    pub fn submitted(&mut self) {
        if !self.broken {
            self.transmit.tell(&self.transport, TRANSMIT);
        }
    }

    /// Waits until the device has taken every frame, for up to [`PATIENCE`].
    pub fn drain(&mut self, machine: &impl Machine) {
        self.submitted();
        transport::wait(machine, PATIENCE, || {
            self.reclaim().is_err() || (0..self.transmit.count).all(|index| self.is_free(index))
        });
    }

    /// A free buffer for a frame to send; `None` if the device takes no frames.
    fn place(&mut self, machine: &impl Machine) -> Result<Option<u16>, Broken> {
        if self.broken {
            return Err(Broken);
        }
        let mut found = self.free(machine)?;
        if found.is_none() {
            self.transmit.tell(&self.transport, TRANSMIT);
            if !self.stalled {
                transport::wait(machine, PATIENCE, || self.transmit.ring.has_used());
            }
            found = self.free(machine)?;
        }
        self.stalled = found.is_none();
        Ok(found)
    }

    /// A free buffer, if there is one now.
    fn free(&mut self, machine: &impl Machine) -> Result<Option<u16>, Broken> {
        let count = self.transmit.count;
        if !self.is_free(self.next) && self.reclaim().is_err() {
            self.give_up(machine);
            return Err(Broken);
        }
        for _ in 0..count {
            let index = self.next;
            let after = index.wrapping_add(1);
            self.next = if after < count { after } else { 0 };
            if self.is_free(index) {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }

    fn is_free(&self, index: u16) -> bool {
        !self.transmit.ring.holds(index.wrapping_mul(2))
    }

    /// Takes back every frame that the device has sent.
    fn reclaim(&mut self) -> Result<(), Broken> {
        for _ in 0..self.transmit.count {
            if self.transmit.ring.take()?.is_none() {
                break;
            }
        }
        Ok(())
    }

    /// Resets the device for good.
    pub fn give_up(&mut self, machine: &impl Machine) {
        if !self.broken {
            self.broken = true;
            transport::reset(&self.transport, machine);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;
    use crate::virtio::double::{Answer, Double, MEMORY, Nature, World};

    const ADDRESS: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];

    fn nature(mtu: u16) -> Nature {
        let mut config = vec![0; 64];
        config[..6].copy_from_slice(&ADDRESS);
        config[10..12].copy_from_slice(&mtu.to_le_bytes());
        Nature { features: MTU | MAC, config, ..Nature::default() }
    }

    fn nic(world: &World) -> Nic<Double<'_>> {
        Nic::new(world.transport(), &mut world.machine()).unwrap()
    }

    fn send(nic: &mut Nic<Double<'_>>, world: &World, frame: &[u8]) -> Result<(), Broken> {
        // SAFETY: a buffer of this length.
        unsafe { nic.submit(&world.machine(), frame.as_ptr(), frame.len()) }
    }

    fn receive(nic: &mut Nic<Double<'_>>, world: &World, size: usize) -> Result<Vec<u8>, Nothing> {
        let mut frame = vec![0; size];
        // SAFETY: a buffer of this length.
        let len = unsafe { nic.read(&world.machine(), frame.as_mut_ptr(), size) }?;
        frame.truncate(len);
        Ok(frame)
    }

    #[test]
    fn frames_of_every_size_go_both_ways() {
        for (legacy, mtu) in
            [(false, 1500), (true, 1500), (false, 9000), (false, 65535), (true, 68)]
        {
            let world = World::new(Nature { legacy, ..nature(mtu) });
            let mut nic = nic(&world);
            assert_eq!((nic.mac, nic.mtu), (Some(ADDRESS), mtu));
            let longest = usize::from(mtu) + 14;
            for len in [14, 60, longest - 1, longest] {
                let frame: Vec<u8> = (0..len).map(|n| (n * 7) as u8).collect();
                assert_eq!(send(&mut nic, &world, &frame), Ok(()));
                nic.submitted();
                assert_eq!(world.sent(), std::slice::from_ref(&frame), "{mtu} {len}");
                assert!(!nic.poll());
                world.arrive(&frame);
                assert!(nic.poll());
                assert_eq!(receive(&mut nic, &world, longest), Ok(frame));
                assert_eq!(receive(&mut nic, &world, longest), Err(Nothing::Yet));
            }
        }
    }

    #[test]
    fn a_long_flood_goes_both_ways_in_order() {
        let world = World::new(nature(1500));
        let mut nic = nic(&world);
        for number in 0..70_000u32 {
            let mut frame = [0; 60];
            frame[14..18].copy_from_slice(&number.to_le_bytes());
            assert_eq!(send(&mut nic, &world, &frame), Ok(()));
            nic.submitted();
            world.arrive(&frame);
            if number % 50 == 49 {
                for _ in 0..50 {
                    let read = receive(&mut nic, &world, 1514).unwrap();
                    assert_eq!(world.next_sent(), Some(read));
                }
            }
        }
    }

    #[test]
    fn a_frame_that_is_too_long_for_the_caller_is_dropped() {
        let world = World::new(nature(1500));
        let mut nic = nic(&world);
        world.arrive(&[1; 1518]);
        world.arrive(&[2; 13]);
        world.arrive(&[3; 60]);
        assert_eq!(receive(&mut nic, &world, 1514), Ok(vec![3; 60]));
        world.arrive(&[1; 1518]);
        assert_eq!(receive(&mut nic, &world, 1518), Ok(vec![1; 1518]), "tagged by a VLAN");
    }

    #[test]
    fn a_device_that_sends_nothing_costs_one_wait() {
        let world = World::new(nature(1500));
        let mut nic = nic(&world);
        world.answer(Answer::Nothing);
        let (machine, start) = (world.machine(), world.machine().now());
        for _ in 0..1000 {
            assert_eq!(send(&mut nic, &world, &[0; 60]), Ok(()));
        }
        let took = machine.now() - start;
        assert!((PATIENCE..PATIENCE + 100_000_000).contains(&took), "{took}");
        world.answer(Answer::Honest);
        nic.submitted();
        world.catch_up();
        assert_eq!(send(&mut nic, &world, &[9; 60]), Ok(()));
        nic.submitted();
        assert_eq!(world.sent().last(), Some(&vec![9; 60]), "it goes on");
        nic.drain(&machine);
        assert!((0..nic.transmit.count).all(|index| nic.is_free(index)));
    }

    #[test]
    fn an_mtu_that_ip_cannot_use_is_refused() {
        for mtu in [0, 67] {
            let world = World::new(nature(mtu));
            let outcome = Nic::new(world.transport(), &mut world.machine());
            assert_eq!(outcome.err(), Some(Failure::Properties));
        }
        let world = World::new(Nature { features: 0, ..nature(0) });
        let nic = nic(&world);
        assert_eq!((nic.mac, nic.mtu), (None, 1500));
    }

    #[test]
    fn a_broken_device_is_told_of_once() {
        let world = World::new(nature(1500));
        let mut nic = nic(&world);
        world.claim_everything();
        assert!(nic.poll());
        assert_eq!(receive(&mut nic, &world, 1514), Err(Nothing::Broken));
        assert!(world.was_reset() && !nic.poll());
        assert_eq!(send(&mut nic, &world, &[0; 60]), Err(Broken));
        assert_eq!(receive(&mut nic, &world, 1514), Err(Nothing::Broken));
    }

    proptest! {
        /// A device that writes anything into its registers and the shared memory gets frames lost or
        /// the device reset, in bounded time, and nothing else.
        #[test]
        fn a_hostile_device_loses_frames(
            features: u64,
            config in prop::collection::vec(any::<u8>(), 64),
            queue_size in prop_oneof![any::<u16>(), Just(256u16)],
            legacy: bool,
            seeds in prop::collection::vec(any::<u64>(), 1..40),
        ) {
            let features = features | 1 << 32;
            let wild = Nature { features, config, queue_size, legacy, ..Nature::default() };
            let world = World::new(wild);
            if let Ok(mut nic) = Nic::new(world.transport(), &mut world.machine()) {
                let machine = world.machine();
                let longest = usize::from(nic.mtu) + 14;
                let frame = vec![5; longest];
                for seed in seeds {
                    world.answer(Answer::Wild(seed));
                    let start = machine.now();
                    let _ = send(&mut nic, &world, &frame);
                    nic.submitted();
                    nic.poll();
                    if let Ok(read) = receive(&mut nic, &world, longest) {
                        prop_assert!((14..=longest).contains(&read.len()));
                    }
                    prop_assert!(machine.now() - start < 4 * PATIENCE);
                }
                prop_assert!(world.pages_taken() * 4096 <= MEMORY);
            }
        }
    }
}
