//! Frames queued for the tender's I/O thread, in the ring both share (`spec/20` §4).
//!
//! Only frames to write are queued: the guest goes on while the tender sends them. A read is always
//! a hypercall. Read through the ring it would wait behind all queued writes, and for a thread that
//! most often sleeps when there is something to read; and a read given up for lack of an answer
//! could not be taken back: it would write into the application's memory later.
//!
//! No wait is endless. It spins for a moment, in which a running I/O thread takes dozens of frames;
//! then it naps, so that the thread gets a CPU if there is only one; and each nap begins with another
//! kick, should one have got lost. If nothing helps for [`PATIENCE`], the frame is dropped, as
//! networks do, and so are further ones, at once, until the tender takes frames again.

use core::sync::atomic::{AtomicBool, Ordering, fence};

use solo5_abi::hvt::ring::{FRAME_MAX, OUTSTANDING_MAX, Operation, Ring};

/// Longest wait for the tender in nanoseconds.
pub const PATIENCE: u64 = 1_000_000_000;
/// Longest nap in nanoseconds.
pub const NAP: u64 = 1_000_000;
/// Pauses before the first nap.
const SPINS: u32 = 1000;

/// Most buffers for frames: one for each place in the ring.
const SLOTS_MAX: u64 = solo5_abi::hvt::ring::ENTRIES as u64;
/// Fewest buffers a queue is worth having with.
const SLOTS_MIN: u64 = 64;
/// What part of the heap the buffers may take: one in so many.
const SHARE: u64 = 8;

/// How many buffers of [`FRAME_MAX`] bytes are fair to take from a heap of `size` bytes: a power of
/// two. `None` if memory is too scarce for a queue.
pub fn slots(size: u64) -> Option<u32> {
    let slots = (size / SHARE / FRAME_MAX as u64).min(SLOTS_MAX);
    if slots < SLOTS_MIN {
        return None;
    }
    u32::try_from(1u64 << slots.ilog2()).ok()
}

/// What a queue asks of the machine around it.
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
    /// Buffers there are, a power of two.
    slots: u32,
    /// Whether the last wait was in vain.
    stalled: &'a AtomicBool,
}

/// A place in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    counter: u32,
    /// Index of the buffer to use.
    pub slot: u32,
}

impl<'a> Queue<'a> {
    /// The queue of a ring and `slots` buffers, a power of two up to the ring's number of entries.
    pub fn new(ring: &'a Ring, slots: u32, stalled: &'a AtomicBool) -> Queue<'a> {
        Queue {
            ring,
            slots,
            stalled,
        }
    }

    /// How many frames the tender has not taken yet.
    fn outstanding(&self) -> u32 {
        // Acquire: what the tender has read of a frame, it has read before.
        let taken = self.ring.tender.ent_head.load(Ordering::Acquire);
        let submitted = self.ring.guest.ent_tail.load(Ordering::Relaxed);
        submitted.wrapping_sub(taken)
    }

    /// The next free place. `None`: the tender does not take frames, and this one is to be dropped.
    pub fn place(&self, machine: &impl Machine) -> Option<Place> {
        let limit = self.slots.min(OUTSTANDING_MAX);
        self.wait(machine, || self.outstanding() < limit).then(|| {
            let counter = self.ring.guest.ent_tail.load(Ordering::Relaxed);
            let slot = counter & self.slots.wrapping_sub(1);
            Place { counter, slot }
        })
    }

    /// Queues the frame that is in the place's buffer at `data`, and wakes the I/O thread if it
    /// sleeps.
    pub fn submit(&self, place: Place, handle: u32, data: u64, len: u32, machine: &impl Machine) {
        let entry = self.ring.submission(place.counter);
        entry
            .operation
            .store(Operation::NetWrite.number(), Ordering::Relaxed);
        entry.handle.store(handle, Ordering::Relaxed);
        entry.data.store(data, Ordering::Relaxed);
        entry.len.store(len, Ordering::Relaxed);
        entry.id.store(place.counter, Ordering::Relaxed);
        let tail = place.counter.wrapping_add(1);
        self.ring.guest.ent_tail.store(tail, Ordering::Release);
        // Either the I/O thread sees the new tail before it sleeps, or this sees that it sleeps.
        fence(Ordering::SeqCst);
        if self.ring.tender.needs_kick.load(Ordering::Relaxed) != 0 {
            machine.kick();
        }
    }

    /// Waits until the tender has sent every frame; whether it has.
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
