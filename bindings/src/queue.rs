//! Frames queued for the tender's I/O thread, in the ring both share
//! (`docs/reference/hvt.md#ring`).
//!
//! Only writes are queued: the guest goes on while the tender sends them. A read is always a
//! hypercall, for two reasons. In the ring it would wait for all writes queued before it, and for a
//! thread that mostly sleeps when a frame arrives. And the guest could not cancel a read: the tender
//! would write into the application's memory later.
//!
//! Every wait is bounded. The guest first spins for a moment; a running I/O thread takes dozens of
//! frames in that time. Then it naps, so that the thread gets the CPU if there is only one. Each nap
//! begins with another kick, in case one got lost. After [`PATIENCE`] the frame is dropped, as
//! networks may do. Further frames are dropped at once until the tender takes frames again.

use core::sync::atomic::{AtomicBool, Ordering, fence};

use solo5_abi::hvt::ring::{ENTRIES, OUTSTANDING_MAX, Operation, Ring};

/// Longest wait for the tender in nanoseconds.
pub const PATIENCE: u64 = 1_000_000_000;
/// Longest nap in nanoseconds.
pub const NAP: u64 = 1_000_000;
/// Pauses before the first nap.
const SPINS: u32 = 1000;

/// The buffers of a queue. Every frame fits into one, so that all of an application's frames go the
/// same way and none overtakes another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffers {
    /// How many there are: a power of two, at most one for each place in the ring.
    pub count: u32,
    /// Size of each in bytes, a multiple of a cache line.
    pub size: u32,
}

impl Buffers {
    /// Most memory for all of them in bytes.
    const TOTAL_MAX: u64 = 2 << 20;
    /// The buffers take at most the heap's size divided by this.
    const SHARE: u64 = 8;
    /// With fewer buffers a queue is not worthwhile.
    const COUNT_MIN: u64 = 128;
    const LINE: u32 = 64;

    /// The buffers that a heap of `heap` bytes can spare for frames of up to `frame` bytes. `None`
    /// if memory is too scarce for a queue.
    pub fn fair(heap: u64, frame: usize) -> Option<Buffers> {
        let size = u32::try_from(frame).ok()?.checked_next_multiple_of(Self::LINE)?;
        let total = (heap / Self::SHARE).min(Self::TOTAL_MAX);
        let count = total.checked_div(size.into())?.min(ENTRIES.into());
        if count < Self::COUNT_MIN {
            return None;
        }
        let count = u32::try_from(1u64 << count.ilog2()).ok()?;
        Some(Buffers { count, size })
    }

    /// Size of all buffers together in bytes.
    pub fn total(&self) -> u64 {
        u64::from(self.count) * u64::from(self.size)
    }
}

/// The services that a queue needs from its target.
pub trait Machine {
    /// Wakes the tender's I/O thread.
    fn kick(&self);
    /// Lets another thread of the same core run for an instant.
    fn pause(&self);
    /// Gives the CPU away for up to [`NAP`]; it may return at once.
    fn nap(&self);
    /// Monotonic time in nanoseconds.
    fn now(&self) -> u64;
}

/// The guest's side of the ring.
#[derive(Debug)]
pub struct Queue<'a> {
    ring: &'a Ring,
    buffers: Buffers,
    /// Whether the last wait timed out.
    stalled: &'a AtomicBool,
}

/// A place in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    counter: u32,
    /// Offset in bytes of the buffer to use.
    pub offset: u32,
}

impl<'a> Queue<'a> {
    /// The queue of a ring and buffers.
    pub fn new(ring: &'a Ring, buffers: Buffers, stalled: &'a AtomicBool) -> Queue<'a> {
        Queue { ring, buffers, stalled }
    }

    /// How many frames the tender has not taken yet.
    fn outstanding(&self) -> u32 {
        // Acquire: the tender reads a frame before it counts the frame as taken.
        let taken = self.ring.tender.ent_head.load(Ordering::Acquire);
        let submitted = self.ring.guest.ent_tail.load(Ordering::Relaxed);
        submitted.wrapping_sub(taken)
    }

    /// The next free place. `None` if the tender takes no frames; the caller then drops its frame.
    pub fn place(&self, machine: &impl Machine) -> Option<Place> {
        let limit = self.buffers.count.min(OUTSTANDING_MAX);
        self.wait(machine, || self.outstanding() < limit).then(|| {
            let counter = self.ring.guest.ent_tail.load(Ordering::Relaxed);
            let index = counter & self.buffers.count.wrapping_sub(1);
            let offset = index.wrapping_mul(self.buffers.size);
            Place { counter, offset }
        })
    }

    /// Queues the frame that is in the place's buffer at `data`. [`Queue::wake`] has to follow, after
    /// this frame or several.
    pub fn submit(&self, place: Place, handle: u32, data: u64, len: u32) {
        let entry = self.ring.submission(place.counter);
        entry.operation.store(Operation::NetWrite.number(), Ordering::Relaxed);
        entry.handle.store(handle, Ordering::Relaxed);
        entry.data.store(data, Ordering::Relaxed);
        entry.len.store(len, Ordering::Relaxed);
        entry.id.store(place.counter, Ordering::Relaxed);
        let tail = place.counter.wrapping_add(1);
        self.ring.guest.ent_tail.store(tail, Ordering::Release);
    }

    /// Wakes the I/O thread if it sleeps.
    pub fn wake(&self, machine: &impl Machine) {
        // Either the I/O thread sees the new tail before it sleeps, or the guest sees it asleep.
        fence(Ordering::SeqCst);
        if self.ring.tender.needs_kick.load(Ordering::Relaxed) != 0 {
            machine.kick();
        }
    }

    /// Whether the I/O thread sleeps and nothing waits for it.
    pub fn is_asleep(&self) -> bool {
        self.ring.tender.needs_kick.load(Ordering::Relaxed) != 0 && self.outstanding() == 0
    }

    /// Waits until the tender has sent every frame. Returns whether it has.
    pub fn drain(&self, machine: &impl Machine) -> bool {
        self.wait(machine, || self.outstanding() == 0)
    }

    fn wait(&self, machine: &impl Machine, done: impl Fn() -> bool) -> bool {
        if done() {
            self.stalled.store(false, Ordering::Relaxed);
            return true;
        }
        if self.stalled.load(Ordering::Relaxed) {
            return false;
        }
        // The I/O thread may not know yet of what it has to take.
        self.wake(machine);
        for _ in 0..SPINS {
            machine.pause();
            if done() {
                return true;
            }
        }
        let end = machine.now().saturating_add(PATIENCE);
        while machine.now() < end {
            machine.kick();
            machine.nap();
            if done() {
                return true;
            }
        }
        self.stalled.store(true, Ordering::Relaxed);
        false
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::collections::VecDeque;
    use std::sync::{Condvar, Mutex};
    use std::vec::Vec;
    use std::{thread, vec};

    use proptest::prelude::*;

    use super::*;

    const BUFFERS: Buffers = Buffers { count: 8, size: 64 };

    /// A ring whose counters stand at `counter`.
    fn ring(counter: u32) -> Ring {
        let ring = Ring::new();
        ring.guest.ent_tail.store(counter, Ordering::Relaxed);
        ring.tender.ent_head.store(counter, Ordering::Relaxed);
        ring
    }

    /// A tender and a clock, which advance while the guest waits.
    struct Simulation<'a> {
        ring: &'a Ring,
        /// The buffers' bytes.
        memory: &'a RefCell<Vec<u8>>,
        sent: RefCell<Vec<u32>>,
        now: Cell<u64>,
        /// Frames sent at each step of a wait, in order; then `later` at each step.
        steps: RefCell<VecDeque<u32>>,
        later: u32,
        kicks: Cell<u32>,
    }

    impl Simulation<'_> {
        fn send(&self, count: u32) {
            let ring = self.ring;
            for _ in 0..count {
                let head = ring.tender.ent_head.load(Ordering::Relaxed);
                if head == ring.guest.ent_tail.load(Ordering::Relaxed) {
                    return;
                }
                let entry = ring.submission(head);
                assert_eq!(entry.operation.load(Ordering::Relaxed), 1);
                assert_eq!(entry.len.load(Ordering::Relaxed), 4);
                let at = entry.data.load(Ordering::Relaxed) as usize;
                let memory = self.memory.borrow();
                let frame = memory[at..at + 4].try_into().unwrap();
                self.sent.borrow_mut().push(u32::from_le_bytes(frame));
                ring.tender.ent_head.store(head.wrapping_add(1), Ordering::Relaxed);
            }
        }

        fn step(&self, nanos: u64) {
            self.now.set(self.now.get() + nanos);
            let count = self.steps.borrow_mut().pop_front().unwrap_or(self.later);
            self.send(count);
        }
    }

    impl Machine for Simulation<'_> {
        fn kick(&self) {
            self.kicks.set(self.kicks.get() + 1);
        }

        fn pause(&self) {
            self.step(10);
        }

        fn nap(&self) {
            self.step(NAP);
        }

        fn now(&self) -> u64 {
            self.now.get()
        }
    }

    fn simulation<'a>(ring: &'a Ring, memory: &'a RefCell<Vec<u8>>) -> Simulation<'a> {
        Simulation {
            ring,
            memory,
            sent: RefCell::default(),
            now: Cell::new(1),
            steps: RefCell::default(),
            later: 0,
            kicks: Cell::new(0),
        }
    }

    fn buffers() -> RefCell<Vec<u8>> {
        RefCell::new(vec![0; BUFFERS.total() as usize])
    }

    /// Queues a frame that is one number, and wakes the tender. Returns whether there was a place.
    fn write(queue: &Queue<'_>, machine: &Simulation<'_>, number: u32) -> bool {
        let placed = submit(queue, machine, number);
        queue.wake(machine);
        placed
    }

    /// Queues a frame that is one number. Returns whether there was a place.
    fn submit(queue: &Queue<'_>, machine: &Simulation<'_>, number: u32) -> bool {
        let Some(place) = queue.place(machine) else {
            return false;
        };
        let at = place.offset as usize;
        machine.memory.borrow_mut()[at..at + 4].copy_from_slice(&number.to_le_bytes());
        queue.submit(place, 1, place.offset.into(), 4);
        true
    }

    proptest! {
        /// Every frame is sent whole, once and in order, whatever the tender's pace and the counters'
        /// first values.
        #[test]
        fn frames_keep_their_order(
            start in prop_oneof![any::<u32>(), u32::MAX - 40..=u32::MAX],
            frames in 1u32..200,
            between in prop::collection::vec(0u32..12, 0..200),
            steps in prop::collection::vec(0u32..3, 0..400),
        ) {
            let (ring, memory, stalled) = (ring(start), buffers(), AtomicBool::new(false));
            let queue = Queue::new(&ring, BUFFERS, &stalled);
            let machine = Simulation {
                steps: RefCell::new(steps.into()),
                later: 1,
                ..simulation(&ring, &memory)
            };
            for number in 0..frames {
                machine.send(between.get(number as usize).copied().unwrap_or(0));
                prop_assert!(write(&queue, &machine, number));
            }
            prop_assert!(queue.drain(&machine));
            prop_assert_eq!(machine.sent.into_inner(), (0..frames).collect::<Vec<_>>());
        }

        #[test]
        fn buffers_take_a_fair_part(heap: u64, frame in 14usize..70_000) {
            if let Some(buffers) = Buffers::fair(heap, frame) {
                prop_assert!(buffers.total() <= heap / 8 && buffers.total() <= 2 << 20);
                prop_assert!(buffers.count.is_power_of_two());
                prop_assert!((128..=1024).contains(&buffers.count));
                prop_assert!(buffers.size as usize >= frame);
            }
        }
    }

    #[test]
    fn buffers_of_usual_guests() {
        let fair =
            |heap, frame| Buffers::fair(heap, frame).map(|buffers| (buffers.count, buffers.size));
        assert_eq!(fair(511 << 20, 1514), Some((1024, 1536)));
        assert_eq!(fair(511 << 20, 9014), Some((128, 9024)));
        assert_eq!(fair(511 << 20, 65549), None);
        assert_eq!(fair(3 << 20, 1514), Some((256, 1536)));
        assert_eq!(fair(0xf_0000, 1514), None, "2 MiB of memory");
        assert_eq!(fair(0x8_0000, 1514), None);
        assert_eq!(fair(0, 0), None);
    }

    #[test]
    fn a_tender_that_sends_nothing_costs_one_wait() {
        let (ring, memory, stalled) = (ring(7), buffers(), AtomicBool::new(false));
        let queue = Queue::new(&ring, BUFFERS, &stalled);
        let machine = simulation(&ring, &memory);
        for number in 0..BUFFERS.count {
            assert!(write(&queue, &machine, number));
        }
        assert_eq!(machine.now(), 1, "there was room");
        assert!(!write(&queue, &machine, 8));
        let waited = machine.now();
        assert!((PATIENCE..PATIENCE + 2 * NAP).contains(&waited));
        assert!(machine.kicks.get() > 900, "a lost kick is repeated");
        assert!(!write(&queue, &machine, 9) && !queue.drain(&machine));
        assert_eq!(machine.now(), waited, "further frames are dropped at once");
        machine.send(3);
        assert!(write(&queue, &machine, 10));
        machine.send(100);
        assert!(queue.drain(&machine));
        assert_eq!(*machine.sent.borrow(), [0, 1, 2, 3, 4, 5, 6, 7, 10]);
        for number in 11..20 {
            assert_eq!(write(&queue, &machine, number), number < 19);
        }
        assert!(machine.now() > waited + PATIENCE, "patience is renewed");
    }

    #[test]
    fn only_a_sleeping_thread_is_kicked() {
        let (ring, memory, stalled) = (ring(0), buffers(), AtomicBool::new(false));
        let queue = Queue::new(&ring, BUFFERS, &stalled);
        let machine = simulation(&ring, &memory);
        assert!(write(&queue, &machine, 0));
        assert_eq!(machine.kicks.get(), 0);
        assert!(!queue.is_asleep(), "it polls");
        ring.tender.needs_kick.store(1, Ordering::Relaxed);
        assert!(write(&queue, &machine, 1));
        assert_eq!(machine.kicks.get(), 1);
        assert!(!queue.is_asleep(), "it has been woken for these two");
        machine.send(2);
        assert!(queue.is_asleep());
    }

    #[test]
    fn several_frames_need_one_kick() {
        let (ring, memory, stalled) = (ring(0), buffers(), AtomicBool::new(false));
        let queue = Queue::new(&ring, BUFFERS, &stalled);
        let machine = Simulation { later: 8, ..simulation(&ring, &memory) };
        ring.tender.needs_kick.store(1, Ordering::Relaxed);
        for number in 0..BUFFERS.count {
            assert!(submit(&queue, &machine, number));
        }
        assert_eq!(machine.kicks.get(), 0);
        queue.wake(&machine);
        assert_eq!(machine.kicks.get(), 1);
        // Without a free place the tender has to know of the frames at once.
        assert!(submit(&queue, &machine, BUFFERS.count));
        assert_eq!(machine.kicks.get(), 2);
        assert_eq!(machine.now(), 11, "it did not nap");
    }

    #[test]
    fn the_ring_is_never_filled_entirely() {
        let all = Buffers { count: ENTRIES, size: 64 };
        let (ring, stalled) = (ring(u32::MAX - 5), AtomicBool::new(false));
        let memory = RefCell::new(vec![0; all.total() as usize]);
        let queue = Queue::new(&ring, all, &stalled);
        let machine = simulation(&ring, &memory);
        let queued = (0..).take_while(|number| write(&queue, &machine, *number));
        assert_eq!(queued.count(), OUTSTANDING_MAX as usize);
    }

    /// A doorbell, in place of a real tender's eventfd.
    #[derive(Default)]
    struct Bell {
        rung: Mutex<bool>,
        changed: Condvar,
    }

    impl Machine for &Bell {
        fn kick(&self) {
            *self.rung.lock().unwrap() = true;
            self.changed.notify_one();
        }

        fn pause(&self) {
            thread::yield_now();
        }

        fn nap(&self) {
            // A nap begins with another kick, which would hide that one got lost.
            panic!("the tender did not wake up");
        }

        fn now(&self) -> u64 {
            0
        }
    }

    /// Two real threads, and a tender that sleeps whenever it finds nothing to do.
    #[test]
    fn no_wake_up_is_lost() {
        const FRAMES: u32 = 20_000;
        let (ring, bell, stalled) = (ring(u32::MAX - 99), Bell::default(), AtomicBool::new(false));
        let tender = || {
            let (mut head, mut sent) = (u32::MAX - 99, 0);
            while sent < FRAMES {
                let tail = ring.guest.ent_tail.load(Ordering::Acquire);
                if tail == head {
                    ring.tender.needs_kick.store(1, Ordering::Relaxed);
                    fence(Ordering::SeqCst);
                    if ring.guest.ent_tail.load(Ordering::Relaxed) == head {
                        let mut rung = bell.rung.lock().unwrap();
                        while !*rung {
                            rung = bell.changed.wait(rung).unwrap();
                        }
                        *rung = false;
                    }
                    ring.tender.needs_kick.store(0, Ordering::Relaxed);
                    continue;
                }
                while head != tail {
                    assert_eq!(ring.submission(head).data.load(Ordering::Relaxed), sent.into());
                    (head, sent) = (head.wrapping_add(1), sent + 1);
                    ring.tender.ent_head.store(head, Ordering::Release);
                }
            }
        };
        thread::scope(|scope| {
            let tender = scope.spawn(tender);
            let queue = Queue::new(&ring, BUFFERS, &stalled);
            for number in 0..FRAMES {
                while queue.outstanding() == BUFFERS.count {
                    thread::yield_now();
                }
                let place = queue.place(&&bell).unwrap();
                queue.submit(place, 1, number.into(), 4);
                if number % 3 == 2 || number == FRAMES - 1 {
                    queue.wake(&&bell);
                }
            }
            tender.join().unwrap();
        });
        assert_eq!(queue_left(&ring), 0);
    }

    fn queue_left(ring: &Ring) -> u32 {
        let stalled = AtomicBool::new(false);
        Queue::new(ring, BUFFERS, &stalled).outstanding()
    }
}
