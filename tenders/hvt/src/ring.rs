//! The network ring: frames pass without stopping the guest's CPU (`docs/reference/hvt.md#ring`).
//!
//! The tender keeps its own counters. The copies in shared memory are only for the guest, so a
//! guest that overwrites them confuses only itself. Values from the guest are read once. Too many
//! submissions, or no room for a commit, is a fault that ends the guest. This also bounds the
//! length of one turn.
//!
//! The thread that holds the lock processes the queue. Usually this is the I/O thread. The guest's
//! thread does it before a hypercall whose frame must not overtake queued ones, before it sleeps,
//! and when the guest halts. So no frame is lost at the end, and none waits forever for a wake-up
//! that the guest has not sent.

use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU32, Ordering, fence};
use std::sync::{Mutex, PoisonError};

use solo5_abi::hvt::Outcome;
use solo5_abi::hvt::ring::{ENTRIES, Operation, Ring};
use solo5_tender::memory::Allegation;

use crate::devices::Devices;
use crate::fault::GuestFault;
use crate::memory::SharedMemory;
use crate::net::{self, Received};
use crate::place::Loaded;

/// A source and sink of frames.
pub trait Frames {
    /// Sends a frame.
    fn send(&mut self, handle: u32, data: Allegation) -> Result<(), GuestFault>;
    /// Receives a frame.
    fn receive(&mut self, handle: u32, data: Allegation) -> Result<Received, GuestFault>;
}

/// The guest's network interfaces.
#[derive(Clone, Copy, Debug)]
pub struct Wire {
    /// The devices.
    pub devices: &'static Devices,
    /// Guest memory.
    pub memory: &'static SharedMemory,
}

/// The ring for the guest's network interfaces.
pub type Network = Shared<Wire>;

/// The ring that follows guest memory, together with the tender's state. `kick` is the eventfd that
/// wakes the I/O thread.
pub fn shared(
    loaded: &Loaded,
    memory: &'static SharedMemory,
    devices: &'static Devices,
    kick: RawFd,
) -> Option<&'static Network> {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let shared = Shared::new(loaded.ring()?, Wire { devices, memory }, kick, cpus);
    Some(Box::leak(Box::new(shared)))
}

impl Frames for Wire {
    fn send(&mut self, handle: u32, data: Allegation) -> Result<(), GuestFault> {
        // The ring has no answer to a write, so its outcome is dropped.
        net::send(self.devices, self.memory, handle.into(), data).map(drop)
    }

    fn receive(&mut self, handle: u32, data: Allegation) -> Result<Received, GuestFault> {
        net::receive(self.devices, self.memory, handle.into(), data)
    }
}

/// The tender's side of a ring.
#[derive(Debug)]
struct Queue<F> {
    frames: F,
    /// Number of submissions taken.
    ent_head: u32,
    /// Number of commits made.
    com_tail: u32,
}

impl<F: Frames> Queue<F> {
    /// Processes the submissions that are queued at the time of the call. Publishes progress in
    /// `taken`.
    fn drain(&mut self, ring: &Ring, taken: &AtomicU32) -> Result<(), GuestFault> {
        let tail = ring.guest.ent_tail.load(Ordering::Acquire);
        let claimed = tail.wrapping_sub(self.ent_head);
        if claimed > ENTRIES {
            return Err(GuestFault::RingSubmissions { claimed });
        }
        for _ in 0..claimed {
            let entry = ring.submission(self.ent_head);
            let handle = entry.handle.load(Ordering::Relaxed);
            let length = entry.len.load(Ordering::Relaxed);
            let data = Allegation::new(entry.data.load(Ordering::Relaxed), length.into());
            match Operation::from_number(entry.operation.load(Ordering::Relaxed)) {
                Some(Operation::NetWrite) => self.frames.send(handle, data)?,
                Some(Operation::NetRead) => {
                    let id = entry.id.load(Ordering::Relaxed);
                    let received = self.frames.receive(handle, data)?;
                    self.commit(ring, id, received)?;
                }
                None => {}
            }
            self.ent_head = self.ent_head.wrapping_add(1);
            taken.store(self.ent_head, Ordering::Relaxed);
            ring.tender.ent_head.store(self.ent_head, Ordering::Release);
        }
        Ok(())
    }

    fn commit(&mut self, ring: &Ring, id: u32, received: Received) -> Result<(), GuestFault> {
        let head = ring.guest.com_head.load(Ordering::Acquire);
        if self.com_tail.wrapping_sub(head) >= ENTRIES {
            return Err(GuestFault::RingCommits);
        }
        // Upstream's ring has only one error for a read.
        let outcome = match received.outcome {
            Outcome::Unspecified => Outcome::Invalid,
            other => other,
        };
        let commit = ring.commit(self.com_tail);
        commit.id.store(id, Ordering::Relaxed);
        commit.ret.store(outcome.number(), Ordering::Relaxed);
        // A frame is not longer than its buffer, whose length has 32 bits.
        commit.len.store(received.length as u32, Ordering::Relaxed);
        self.com_tail = self.com_tail.wrapping_add(1);
        ring.tender.com_tail.store(self.com_tail, Ordering::Release);
        Ok(())
    }
}

/// A ring and the tender's side of it, shared by both threads.
#[derive(Debug)]
pub struct Shared<F> {
    ring: &'static Ring,
    queue: Mutex<Queue<F>>,
    /// Copy of the queue's `ent_head`, readable without the lock.
    taken: AtomicU32,
    /// The eventfd that a kick signals.
    kick: RawFd,
    /// How often the I/O thread polls before it sleeps.
    spins: u32,
}

/// Number of polls before the I/O thread sleeps, if the tender can use more than one CPU. They take
/// some tens of microseconds, about the cost of a sleep and a wake-up.
const SPINS: u32 = 2000;

impl<F: Frames> Shared<F> {
    /// `ring` must be zeroed memory. `cpus` is the number of CPUs that the tender can use.
    pub fn new(ring: &'static Ring, frames: F, kick: RawFd, cpus: usize) -> Shared<F> {
        Shared {
            ring,
            queue: Mutex::new(Queue { frames, ent_head: 0, com_tail: 0 }),
            taken: AtomicU32::new(0),
            kick,
            spins: if cpus > 1 { SPINS } else { 0 },
        }
    }

    /// Whether a submission is queued.
    fn is_pending(&self) -> bool {
        let tail = self.ring.guest.ent_tail.load(Ordering::Acquire);
        tail != self.taken.load(Ordering::Relaxed)
    }

    /// Processes the queue.
    fn drain(&self) -> Result<(), GuestFault> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.drain(self.ring, &self.taken)
    }

    /// Processes the queue from the guest's thread. A frame counts as taken only after it was sent.
    /// So if nothing is pending, the I/O thread is not sending a frame either.
    pub fn drain_if_pending(&self) -> Result<(), GuestFault> {
        if self.is_pending() { self.drain() } else { Ok(()) }
    }

    /// The I/O thread's loop: processes the queue until a fault ends the guest. `sleep` waits for a
    /// kick; it returns `false` on an error.
    fn serve_with(&self, sleep: impl Fn() -> bool) -> GuestFault {
        loop {
            let found = (0..=self.spins).any(|_| {
                std::hint::spin_loop();
                self.is_pending()
            });
            if !found {
                let needs_kick = &self.ring.tender.needs_kick;
                needs_kick.store(1, Ordering::Relaxed);
                // The fence orders this store before the load in `is_pending`. The guest has a
                // fence between its store to the counter and its load of the flag. So at least one
                // side sees the other's store.
                fence(Ordering::SeqCst);
                let slept = self.is_pending() || sleep();
                needs_kick.store(0, Ordering::Relaxed);
                if !slept {
                    return GuestFault::RingSleep;
                }
            }
            if let Err(fault) = self.drain() {
                return fault;
            }
        }
    }

    /// The I/O thread's loop, which sleeps on the eventfd.
    pub fn serve(&self) -> GuestFault {
        self.serve_with(|| {
            let mut kicks = [0u8; 8];
            loop {
                // SAFETY: the pointer and length are those of `kicks`.
                let got = unsafe { libc::read(self.kick, kicks.as_mut_ptr().cast(), kicks.len()) };
                let error = std::io::Error::last_os_error();
                if got < 0 && error.raw_os_error() == Some(libc::EINTR) {
                    continue;
                }
                return got == kicks.len() as isize;
            }
        })
    }
}

#[cfg(test)]
mod network;

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use proptest::prelude::*;
    use solo5_abi::hvt::ring::OUTSTANDING_MAX;

    use super::*;

    /// Records sent frames; every third read receives a frame.
    #[derive(Debug, Default)]
    struct Recorder {
        sent: Vec<u64>,
        reads: u32,
    }

    impl Frames for Recorder {
        fn send(&mut self, _: u32, data: Allegation) -> Result<(), GuestFault> {
            self.sent.push(data.address);
            Ok(())
        }

        fn receive(&mut self, _: u32, _: Allegation) -> Result<Received, GuestFault> {
            self.reads += 1;
            Ok(if self.reads.is_multiple_of(3) {
                Received { outcome: Outcome::Ok, length: u64::from(self.reads) }
            } else {
                Received { outcome: Outcome::Again, length: 0 }
            })
        }
    }

    fn ring_at(counter: u32) -> &'static Ring {
        let ring: &'static Ring = Box::leak(Box::default());
        let (guest, tender) = (&ring.guest, &ring.tender);
        for place in [&guest.ent_tail, &guest.com_head, &tender.ent_head, &tender.com_tail] {
            place.store(counter, Ordering::Relaxed);
        }
        ring
    }

    fn submit(ring: &Ring, operation: u32, data: u64) {
        let tail = ring.guest.ent_tail.load(Ordering::Relaxed);
        let entry = ring.submission(tail);
        entry.operation.store(operation, Ordering::Relaxed);
        entry.data.store(data, Ordering::Relaxed);
        entry.id.store(data as u32, Ordering::Relaxed);
        ring.guest.ent_tail.store(tail.wrapping_add(1), Ordering::Release);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Write,
        Read,
        Unknown,
        Drain,
        Take,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            5 => Just(Step::Write),
            2 => Just(Step::Read),
            1 => Just(Step::Unknown),
            2 => Just(Step::Drain),
            2 => Just(Step::Take),
        ];
        prop::collection::vec(step, 0..3000)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// A guest that follows the protocol, with any initial counters: every frame is sent and
        /// every read is committed, in order.
        #[test]
        fn nothing_is_lost_and_nothing_overtakes(start: u32, steps in steps()) {
            let ring = ring_at(start);
            let taken = AtomicU32::new(start);
            let mut queue = Queue {
                frames: Recorder::default(),
                ent_head: start,
                com_tail: start,
            };
            let (mut sent, mut reads) = (Vec::new(), VecDeque::new());
            let mut number = 0;
            let take = |ring: &Ring, reads: &mut VecDeque<u32>| {
                let head = ring.guest.com_head.load(Ordering::Relaxed);
                if head != ring.tender.com_tail.load(Ordering::Acquire) && !reads.is_empty() {
                    let commit = ring.commit(head);
                    assert_eq!(Some(commit.id.load(Ordering::Relaxed)), reads.pop_front());
                    ring.guest.com_head.store(head.wrapping_add(1), Ordering::Release);
                }
            };
            ring.tender.com_tail.store(start, Ordering::Relaxed);
            for step in steps {
                let tail = ring.guest.ent_tail.load(Ordering::Relaxed);
                let full = tail.wrapping_sub(queue.ent_head) >= OUTSTANDING_MAX
                    || reads.len() >= OUTSTANDING_MAX as usize;
                number += 1;
                match step {
                    Step::Drain => queue.drain(ring, &taken).unwrap(),
                    Step::Take => take(ring, &mut reads),
                    _ if full => {}
                    Step::Write => {
                        submit(ring, 1, number);
                        sent.push(number);
                    }
                    Step::Read => {
                        submit(ring, 2, number);
                        reads.push_back(number as u32);
                    }
                    Step::Unknown => submit(ring, 7, number),
                }
            }
            queue.drain(ring, &taken).unwrap();
            while !reads.is_empty() {
                take(ring, &mut reads);
            }
            prop_assert_eq!(&queue.frames.sent, &sent);
            let tail = ring.guest.ent_tail.load(Ordering::Relaxed);
            prop_assert_eq!(ring.tender.ent_head.load(Ordering::Relaxed), tail);
            prop_assert_eq!(taken.load(Ordering::Relaxed), tail);
        }

        /// A guest that writes arbitrary values into the ring: one turn processes at most as many
        /// entries as the ring has, or names the fault.
        #[test]
        fn a_hostile_ring_is_bounded(
            rounds in prop::collection::vec((any::<u32>(), any::<u32>(), any::<u32>()), 1..8),
            operations in prop::collection::vec(0u32..4, 64),
        ) {
            let ring = ring_at(0);
            for (counter, operation) in (0..ENTRIES).zip(operations.iter().cycle()) {
                ring.submission(counter).operation.store(*operation, Ordering::Relaxed);
            }
            let taken = AtomicU32::new(0);
            let mut queue = Queue { frames: Recorder::default(), ent_head: 0, com_tail: 0 };
            for (tail, com_head, junk) in rounds {
                let tail = tail % 4096;
                ring.guest.ent_tail.store(tail, Ordering::Relaxed);
                ring.guest.com_head.store(com_head, Ordering::Relaxed);
                ring.tender.ent_head.store(junk, Ordering::Relaxed);
                ring.tender.com_tail.store(junk, Ordering::Relaxed);
                let before = queue.ent_head;
                let claimed = tail.wrapping_sub(before);
                match queue.drain(ring, &taken) {
                    Ok(()) => prop_assert_eq!(queue.ent_head, tail),
                    Err(GuestFault::RingSubmissions { claimed: told }) => {
                        prop_assert_eq!(told, claimed);
                        prop_assert!(claimed > ENTRIES);
                        prop_assert_eq!(queue.ent_head, before, "nothing was done");
                    }
                    Err(other) => prop_assert_eq!(other, GuestFault::RingCommits),
                }
                prop_assert!(queue.ent_head.wrapping_sub(before) <= ENTRIES);
            }
        }
    }

    #[test]
    fn a_full_ring_is_processed_and_one_submission_more_is_a_fault() {
        let ring = ring_at(0);
        for number in 0..1024 {
            submit(ring, 1, number);
        }
        let taken = AtomicU32::new(0);
        let mut queue = Queue { frames: Recorder::default(), ent_head: 0, com_tail: 0 };
        queue.drain(ring, &taken).unwrap();
        assert_eq!(queue.frames.sent.len(), 1024);
        ring.guest.ent_tail.store(1024 + 1025, Ordering::Relaxed);
        let fault = queue.drain(ring, &taken);
        assert_eq!(fault, Err(GuestFault::RingSubmissions { claimed: 1025 }));
        ring.guest.ent_tail.store(1023, Ordering::Relaxed);
        let fault = queue.drain(ring, &taken);
        assert_eq!(fault, Err(GuestFault::RingSubmissions { claimed: u32::MAX }));
    }

    #[test]
    fn commits_that_the_guest_never_takes_are_a_fault() {
        let ring = ring_at(0);
        let taken = AtomicU32::new(0);
        let mut queue = Queue { frames: Recorder::default(), ent_head: 0, com_tail: 0 };
        for number in 0..1024 {
            submit(ring, 2, number);
            queue.drain(ring, &taken).unwrap();
        }
        submit(ring, 2, 1024);
        assert_eq!(queue.drain(ring, &taken), Err(GuestFault::RingCommits));
    }

    /// Collects sent frames where another thread can see them.
    #[derive(Clone, Debug, Default)]
    struct Collector(Arc<Mutex<Vec<u64>>>);

    impl Frames for Collector {
        fn send(&mut self, _: u32, data: Allegation) -> Result<(), GuestFault> {
            self.0.lock().unwrap().push(data.address);
            Ok(())
        }

        fn receive(&mut self, _: u32, _: Allegation) -> Result<Received, GuestFault> {
            Err(GuestFault::Hypercall(0))
        }
    }

    /// Guest, I/O thread and hypercalls run at once. No frame is lost, duplicated or reordered, and
    /// the thread is woken whenever it asks for it.
    #[test]
    fn threads_lose_no_frame_and_no_wake_up() {
        const FRAMES: u64 = 200_000;
        for cpus in [1, 2] {
            let ring = ring_at(0);
            let kick = vmm_sys_util::eventfd::EventFd::new(0).unwrap();
            let collector = Collector::default();
            let fd = std::os::fd::AsRawFd::as_raw_fd(&kick);
            let shared: &'static Shared<Collector> =
                Box::leak(Box::new(Shared::new(ring, collector.clone(), fd, cpus)));
            let stop = Arc::new(AtomicBool::new(false));
            let kicker = kick.try_clone().unwrap();
            let thread = std::thread::spawn({
                let stop = stop.clone();
                move || shared.serve_with(|| kick.read().is_ok() && !stop.load(Ordering::Relaxed))
            });
            for number in 0..FRAMES {
                while ring
                    .guest
                    .ent_tail
                    .load(Ordering::Relaxed)
                    .wrapping_sub(ring.tender.ent_head.load(Ordering::Acquire))
                    >= OUTSTANDING_MAX
                {
                    std::thread::yield_now();
                }
                submit(ring, 1, number);
                fence(Ordering::SeqCst);
                if ring.tender.needs_kick.load(Ordering::Relaxed) != 0 {
                    kicker.write(1).unwrap();
                }
                if number % 1000 == 999 {
                    shared.drain_if_pending().unwrap();
                }
                if number % 50_000 == 0 {
                    std::thread::sleep(std::time::Duration::from_millis(2));
                }
            }
            shared.drain_if_pending().unwrap();
            let sent = collector.0.lock().unwrap();
            assert!(sent.iter().copied().eq(0..FRAMES), "{cpus} CPUs, {} frames", sent.len());
            stop.store(true, Ordering::Relaxed);
            kicker.write(1).unwrap();
            assert_eq!(thread.join().unwrap(), GuestFault::RingSleep);
        }
    }
}
