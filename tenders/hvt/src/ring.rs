//! The network ring: frames without leaving the guest (`docs/reference/hvt.md#ring`).
//!
//! A queue's counters are kept here; those in shared memory are only published, so a guest that
//! overwrites them confuses nobody but itself. What a guest says is read once. More submissions
//! than there are places, or no place for a commit, is a fault that ends the guest, and bounds how
//! long one turn takes.
//!
//! Whoever holds the lock does what is queued: the I/O thread as a rule, the guest's own thread
//! before a hypercall whose frame must not overtake, before it sleeps, and when the guest halts. So
//! nothing is lost at the end, and a wake-up that never comes delays no frame for ever.

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

/// Where frames go to and come from.
pub trait Frames {
    /// Sends a frame.
    fn send(&mut self, handle: u32, data: Allegation) -> Result<(), GuestFault>;
    /// Receives a frame.
    fn receive(&mut self, handle: u32, data: Allegation) -> Result<Received, GuestFault>;
}

/// The guest's interfaces.
#[derive(Clone, Copy, Debug)]
pub struct Wire {
    /// The devices.
    pub devices: &'static Devices,
    /// Guest memory.
    pub memory: &'static SharedMemory,
}

/// The ring of the guest's interfaces.
pub type Network = Shared<Wire>;

/// The ring that follows guest memory, with the tender's end of it. `kick` wakes the I/O thread.
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
        // Nobody waits for the outcome of a write.
        net::send(self.devices, self.memory, handle.into(), data).map(drop)
    }

    fn receive(&mut self, handle: u32, data: Allegation) -> Result<Received, GuestFault> {
        net::receive(self.devices, self.memory, handle.into(), data)
    }
}

/// The tender's end of a ring.
#[derive(Debug)]
struct Queue<F> {
    frames: F,
    /// Submissions taken.
    ent_head: u32,
    /// Commits made.
    com_tail: u32,
}

impl<F: Frames> Queue<F> {
    /// Does what was queued when it was called. `taken` is told of each submission.
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
        // Upstream's ring knows one error of a read.
        let outcome = match received.outcome {
            Outcome::Unspecified => Outcome::Invalid,
            other => other,
        };
        let commit = ring.commit(self.com_tail);
        commit.id.store(id, Ordering::Relaxed);
        commit.ret.store(outcome.number(), Ordering::Relaxed);
        // A frame is not longer than the room for it, which has 32 bits.
        commit.len.store(received.length as u32, Ordering::Relaxed);
        self.com_tail = self.com_tail.wrapping_add(1);
        ring.tender.com_tail.store(self.com_tail, Ordering::Release);
        Ok(())
    }
}

/// A ring with the tender's end of it, for both threads.
#[derive(Debug)]
pub struct Shared<F> {
    ring: &'static Ring,
    queue: Mutex<Queue<F>>,
    /// The queue's `ent_head`, to be read without the lock.
    taken: AtomicU32,
    /// The eventfd that a kick adds to.
    kick: RawFd,
    /// How often the I/O thread looks before it sleeps.
    spins: u32,
}

/// Looks of the I/O thread before it sleeps, where the guest has a CPU of its own: some tens of
/// microseconds, about what it costs to sleep and be woken.
const SPINS: u32 = 2000;

impl<F: Frames> Shared<F> {
    /// For a ring whose memory is all zero.
    pub fn new(ring: &'static Ring, frames: F, kick: RawFd, cpus: usize) -> Shared<F> {
        Shared {
            ring,
            queue: Mutex::new(Queue { frames, ent_head: 0, com_tail: 0 }),
            taken: AtomicU32::new(0),
            kick,
            spins: if cpus > 1 { SPINS } else { 0 },
        }
    }

    /// Whether something is queued.
    fn is_pending(&self) -> bool {
        let tail = self.ring.guest.ent_tail.load(Ordering::Acquire);
        tail != self.taken.load(Ordering::Relaxed)
    }

    /// Does what is queued.
    fn drain(&self) -> Result<(), GuestFault> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.drain(self.ring, &self.taken)
    }

    /// Does what is queued, from the guest's own thread. A frame counts as taken only once it was
    /// sent, so if nothing is pending, nothing is on its way either.
    pub fn drain_if_pending(&self) -> Result<(), GuestFault> {
        if self.is_pending() { self.drain() } else { Ok(()) }
    }

    /// Does what gets queued, as the I/O thread, until the guest does what ends it. `sleep` waits
    /// for a kick; it returns `false` if it cannot.
    fn serve_with(&self, sleep: impl Fn() -> bool) -> GuestFault {
        loop {
            let found = (0..=self.spins).any(|_| {
                std::hint::spin_loop();
                self.is_pending()
            });
            if !found {
                let needs_kick = &self.ring.tender.needs_kick;
                needs_kick.store(1, Ordering::Relaxed);
                // Between this store and the load in `is_pending`, as between the guest's store to
                // the counter and its load of the flag: one of the two sees the other's.
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

    /// Does what gets queued, as the I/O thread.
    pub fn serve(&self) -> GuestFault {
        self.serve_with(|| {
            let mut kicks = [0u8; 8];
            loop {
                // SAFETY: as many bytes as there is room for.
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
mod tests {
    use std::collections::VecDeque;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use proptest::prelude::*;
    use solo5_abi::hvt::ring::OUTSTANDING_MAX;

    use super::*;

    /// Records what is sent; has every third frame to receive.
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

        /// A guest that keeps to the protocol, from counters anywhere: every frame is sent, in
        /// order, and every read is committed, in order.
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

        /// A guest that writes anything anywhere in the ring: one turn does at most as much as the
        /// ring holds, or names the fault.
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
    fn a_full_ring_is_done_and_one_more_is_a_fault() {
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
    fn reads_nobody_takes_the_commits_of_are_a_fault() {
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

    /// Collects what is sent where another thread can see it.
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

    /// Guest, I/O thread, and the guest's hypercalls at once: nothing lost, nothing twice, in order,
    /// and the thread is woken whenever it says it must be.
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
