//! A device in memory, for the drivers' tests: honest, silent, failing, or wild.
//!
//! Its view of memory is that of the tests' process, so an honest double follows the addresses that the
//! driver gives it. A wild one writes into the memory that it shares with the driver, and follows none.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::vec;
use std::vec::Vec;

use super::ring::Ring;
use super::shared::Shared;
use super::transport::{Machine, Transport, status};

/// Memory of the machine in bytes.
pub(crate) const MEMORY: usize = 8 << 20;
const PAGE: usize = 4096;
const TOKEN: u32 = 7;
/// Time that passes with each pause and each look at the clock, in nanoseconds.
const PAUSE: u64 = 10_000_000;
const LOOK: u64 = 100;

/// What a device is.
#[derive(Clone, Debug)]
pub(crate) struct Nature {
    pub(crate) features: u64,
    pub(crate) config: Vec<u8>,
    pub(crate) queue_size: u16,
    pub(crate) legacy: bool,
    /// Does not offer version 1, although it is no legacy device.
    pub(crate) old: bool,
    pub(crate) refuses_features: bool,
    pub(crate) resets: bool,
    /// Pages that the machine has.
    pub(crate) pages: usize,
}

impl Default for Nature {
    fn default() -> Nature {
        Nature {
            features: 0,
            config: vec![0; 64],
            queue_size: 256,
            legacy: false,
            old: false,
            refuses_features: false,
            resets: true,
            pages: MEMORY / PAGE,
        }
    }
}

/// What a device does with what it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Honest,
    Nothing,
    /// Ends requests with this status.
    Status(u8),
    /// Writes whatever this seed says.
    Wild(u64),
}

/// A buffer of a chain: address, length, and whether the device writes it.
type Chained = (u64, usize, bool);

#[derive(Clone, Copy, Debug)]
struct Queue {
    size: u16,
    addresses: [u64; 3],
    taken: u16,
    used: u16,
}

#[derive(Debug)]
struct State {
    nature: Nature,
    answer: Answer,
    status: u8,
    now: u64,
    was_reset: bool,
    queues: [Option<Queue>; 2],
    memory: Vec<u64>,
    pages_taken: usize,
    content: Vec<u8>,
    requests: usize,
    sent: VecDeque<Vec<u8>>,
    generation: u32,
}

/// A device, and the machine around it.
#[derive(Debug)]
pub(crate) struct World(RefCell<State>);

/// The device's registers.
#[derive(Debug)]
pub(crate) struct Double<'a>(&'a World);

/// The machine.
#[derive(Debug)]
pub(crate) struct Around<'a>(&'a World);

impl World {
    pub(crate) fn new(nature: Nature) -> World {
        let units = u64::from_le_bytes(nature.config[..8].try_into().unwrap()).min(8192);
        World(RefCell::new(State {
            nature,
            answer: Answer::Honest,
            status: 0xf,
            now: 1_000_000_000,
            was_reset: false,
            queues: [None; 2],
            memory: vec![0; MEMORY / 8],
            pages_taken: 0,
            content: vec![0; units as usize * 512],
            requests: 0,
            sent: VecDeque::new(),
            generation: 0,
        }))
    }

    pub(crate) fn transport(&self) -> Double<'_> {
        Double(self)
    }

    pub(crate) fn machine(&self) -> Around<'_> {
        Around(self)
    }

    pub(crate) fn answer(&self, answer: Answer) {
        self.0.borrow_mut().answer = answer;
    }

    pub(crate) fn content(&self) -> Vec<u8> {
        self.0.borrow().content.clone()
    }

    pub(crate) fn requests(&self) -> usize {
        self.0.borrow().requests
    }

    pub(crate) fn pages_taken(&self) -> usize {
        self.0.borrow().pages_taken
    }

    /// Whether it was reset after it had run.
    pub(crate) fn was_reset(&self) -> bool {
        self.0.borrow().was_reset
    }

    /// Takes the frames that were sent.
    pub(crate) fn sent(&self) -> Vec<Vec<u8>> {
        self.0.borrow_mut().sent.drain(..).collect()
    }

    pub(crate) fn next_sent(&self) -> Option<Vec<u8>> {
        self.0.borrow_mut().sent.pop_front()
    }

    /// Works off what it has been given.
    pub(crate) fn catch_up(&self) {
        self.0.borrow_mut().work();
    }

    /// A frame arrives from the network.
    pub(crate) fn arrive(&self, frame: &[u8]) {
        let mut state = self.0.borrow_mut();
        let header = if state.nature.legacy { 10 } else { 12 };
        let Some((head, chain)) = state.next_chain(0) else { return };
        let (address, len, _) = chain[0];
        let bytes = [&vec![0; header], frame].concat();
        let fits = bytes.len() <= len;
        if fits {
            write(address, &bytes);
        }
        state.finish(0, head, if fits { bytes.len() } else { 0 });
    }

    /// Says of the first queue that far more was used than published.
    pub(crate) fn claim_everything(&self) {
        let queue = self.0.borrow().queues[0].unwrap();
        write(queue.addresses[2] + 2, &20_000u16.to_le_bytes());
    }
}

/// Reads from the process's memory at an address that the driver gave.
fn read<const N: usize>(address: u64) -> [u8; N] {
    let at = std::ptr::with_exposed_provenance::<[u8; N]>(address as usize);
    // SAFETY: the driver of the test gave the address of its own memory, and bytes have no alignment.
    unsafe { at.read_unaligned() }
}

/// Writes to the process's memory at an address that the driver gave.
fn write(address: u64, bytes: &[u8]) {
    let at = std::ptr::with_exposed_provenance_mut::<u8>(address as usize);
    // SAFETY: the driver of the test gave the address of that much memory of its own.
    unsafe { at.copy_from(bytes.as_ptr(), bytes.len()) };
}

fn bytes_at(address: u64, len: usize) -> Vec<u8> {
    (0..len as u64).map(|offset| read::<1>(address + offset)[0]).collect()
}

impl State {
    /// The next chain of a queue: its head, and its buffers.
    fn next_chain(&mut self, index: usize) -> Option<(u16, Vec<Chained>)> {
        let queue = self.queues[index].as_mut()?;
        let [descriptors, available, _] = queue.addresses;
        if u16::from_le_bytes(read(available + 2)) == queue.taken {
            return None;
        }
        let place = u64::from(queue.taken % queue.size);
        queue.taken = queue.taken.wrapping_add(1);
        let head = u16::from_le_bytes(read(available + 4 + 2 * place));
        let mut chain = Vec::new();
        let mut at = head;
        loop {
            let descriptor = descriptors + 16 * u64::from(at);
            let flags = u16::from_le_bytes(read(descriptor + 12));
            chain.push((
                u64::from_le_bytes(read(descriptor)),
                u32::from_le_bytes(read(descriptor + 8)) as usize,
                flags & 2 != 0,
            ));
            if flags & 1 == 0 {
                return Some((head, chain));
            }
            at = u16::from_le_bytes(read(descriptor + 14));
        }
    }

    fn finish(&mut self, index: usize, head: u16, len: usize) {
        let queue = self.queues[index].as_mut().unwrap();
        let element = queue.addresses[2] + 4 + 8 * u64::from(queue.used % queue.size);
        write(element, &u32::from(head).to_le_bytes());
        write(element + 4, &(len as u32).to_le_bytes());
        queue.used = queue.used.wrapping_add(1);
        write(queue.addresses[2] + 2, &queue.used.to_le_bytes());
    }

    fn work(&mut self) {
        let forced = match self.answer {
            Answer::Honest => None,
            Answer::Status(status) => Some(status),
            Answer::Nothing => return,
            Answer::Wild(seed) => return self.scribble(seed),
        };
        if self.queues[1].is_some() {
            let header = if self.nature.legacy { 10 } else { 12 };
            while let Some((head, chain)) = self.next_chain(1) {
                let bytes: Vec<u8> =
                    chain.iter().flat_map(|(at, len, _)| bytes_at(*at, *len)).collect();
                assert!(chain.iter().all(|(_, _, writes)| !writes));
                assert!(bytes[..header].iter().all(|byte| *byte == 0));
                self.sent.push_back(bytes[header..].to_vec());
                self.finish(1, head, 0);
            }
            return;
        }
        while let Some((head, chain)) = self.next_chain(0) {
            self.requests += 1;
            let (status_at, status_len, _) = *chain.last().unwrap();
            assert_eq!(status_len, 1);
            let status = forced.unwrap_or_else(|| self.serve(&chain[..chain.len() - 1]));
            write(status_at, &[status]);
            self.finish(0, head, 1);
        }
    }

    /// Serves a disk's request; returns its status.
    fn serve(&mut self, chain: &[Chained]) -> u8 {
        let header = chain[0].0;
        let kind = u32::from_le_bytes(read(header));
        let start = u64::from_le_bytes(read(header + 8)) as usize * 512;
        let Some((at, len, writes)) = chain.get(1).copied() else {
            return if kind == 4 { 0 } else { 2 };
        };
        match kind {
            8 => {
                assert!(writes && len == 20);
                write(at, b"double\0rest");
                0
            }
            0 | 1 if start + len > self.content.len() || len % 512 != 0 => 1,
            0 => {
                assert!(writes);
                write(at, &self.content[start..start + len]);
                0
            }
            1 => {
                assert!(!writes);
                self.content[start..start + len].copy_from_slice(&bytes_at(at, len));
                0
            }
            _ => 2,
        }
    }

    /// Writes anything into the shared memory, most of it where it matters.
    fn scribble(&mut self, seed: u64) {
        let mut state = seed ^ self.now | 1;
        let mut random = |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        self.generation = random(3) as u32;
        self.status = if random(8) == 0 { random(256) as u8 } else { self.status };
        for queue in self.queues.iter_mut().flatten() {
            let used = queue.addresses[2];
            for _ in 0..4 {
                let element = used + 4 + 8 * random(queue.size.into());
                let id = if random(4) == 0 { random(1 << 32) } else { random(300) } as u32;
                write(element, &id.to_le_bytes());
                let len = if random(4) == 0 { random(1 << 32) } else { random(3000) } as u32;
                write(element + 4, &len.to_le_bytes());
            }
            // The element that the driver looks at next names the first chain, often.
            let next = used + 4 + 8 * u64::from(queue.used % queue.size);
            if random(3) != 0 {
                write(next, &0u32.to_le_bytes());
            }
            queue.used = match random(6) {
                0 => random(1 << 16) as u16,
                1 | 2 => queue.used,
                _ => queue.used.wrapping_add(1),
            };
            write(used + 2, &queue.used.to_le_bytes());
            write(used, &(random(4) as u16).to_le_bytes());
        }
        let bytes = (self.pages_taken * PAGE) as u64;
        let start = self.memory.as_mut_ptr().expose_provenance() as u64;
        for _ in 0..8 {
            if bytes != 0 {
                write(start + random(bytes), &[random(4) as u8]);
            }
        }
    }
}

impl Transport for Double<'_> {
    fn is_modern(&self) -> bool {
        !self.0.0.borrow().nature.legacy
    }

    fn status(&self) -> u8 {
        self.0.0.borrow().status
    }

    fn set_status(&self, bits: u8) {
        let mut state = self.0.0.borrow_mut();
        if bits == 0 {
            state.was_reset = state.status & status::DRIVER_OK != 0 && bits == 0;
            state.queues = [None; 2];
            if !state.nature.resets {
                return;
            }
        }
        let refused = if state.nature.refuses_features { status::FEATURES_OK } else { 0 };
        state.status = bits & !refused;
    }

    fn offered(&self, word: u32) -> u32 {
        let nature = &self.0.0.borrow().nature;
        let version = if nature.old || nature.legacy { 0 } else { 1u64 << 32 };
        ((nature.features | version) >> (32 * word)) as u32
    }

    fn accept(&self, word: u32, features: u32) {
        assert_eq!(features & !self.offered(word), 0);
    }

    fn queue_size(&self, _: u16) -> u16 {
        self.0.0.borrow().nature.queue_size
    }

    fn can_shrink(&self) -> bool {
        !self.0.0.borrow().nature.legacy
    }

    fn set_queue(&self, queue: u16, ring: &Ring) -> Option<u32> {
        let addresses = ring.addresses();
        self.0.0.borrow_mut().queues[usize::from(queue)] =
            Some(Queue { size: ring.size(), addresses, taken: 0, used: 0 });
        Some(TOKEN)
    }

    fn notify(&self, _: u16, token: u32) {
        assert_eq!(token, TOKEN);
        self.0.catch_up();
    }

    fn acknowledge(&self) {}

    fn config8(&self, offset: u32) -> u8 {
        self.0.0.borrow().nature.config.get(offset as usize).copied().unwrap_or(0)
    }

    fn config16(&self, offset: u32) -> u16 {
        u16::from_le_bytes([0, 1].map(|byte| self.config8(offset + byte)))
    }

    fn config32(&self, offset: u32) -> u32 {
        u32::from_le_bytes([0, 1, 2, 3].map(|byte| self.config8(offset + byte)))
    }

    fn generation(&self) -> u32 {
        let mut state = self.0.0.borrow_mut();
        if let Answer::Wild(_) = state.answer {
            state.generation = state.generation.wrapping_add(1);
        }
        state.generation
    }
}

impl Machine for Around<'_> {
    fn now(&self) -> u64 {
        let mut state = self.0.0.borrow_mut();
        state.now += LOOK;
        state.now
    }

    fn pause(&self) {
        let mut state = self.0.0.borrow_mut();
        state.now += PAUSE;
        state.work();
    }

    fn pages(&mut self, count: usize) -> Option<Shared> {
        let mut state = self.0.0.borrow_mut();
        let taken = state.pages_taken.checked_add(count)?;
        if taken > state.nature.pages {
            return None;
        }
        let start = state.memory.as_mut_ptr().cast::<u8>().wrapping_add(state.pages_taken * PAGE);
        state.pages_taken = taken;
        // SAFETY: pages of the world's memory, which lives as long as the test's driver and is used
        // through this and the double only.
        Some(unsafe { Shared::new(start, count * PAGE, start.expose_provenance() as u64) })
    }
}
