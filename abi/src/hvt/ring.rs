//! The network ring. One ring serves all interfaces of a guest; it lies in memory that guest and
//! tender share (`docs/reference/hvt.md#ring`).
//!
//! The guest *submits* frames to write and buffers to read into; the tender's I/O thread *commits*
//! the outcome of each read, in order. Writes have no commit. Counters wrap around at 2³². An entry's
//! index is its counter modulo the number of entries. Each side stores only to its own part.
//!
//! A store to `ent_tail` publishes submissions to the tender; a store to `com_tail` publishes commits
//! to the guest. The guest may reuse a write's buffer once `ent_head` has passed the write. A full
//! barrier stands between the guest's store to `ent_tail` and its load of `needs_kick`, and another
//! between the tender's store to `needs_kick` and its load of `ent_tail`. So at least one side sees
//! the other's store, and no submission waits for a tender that sleeps.

use core::sync::atomic::{AtomicI32, AtomicU32, AtomicU64};

/// Number of submissions, and of commits; a power of two.
pub const ENTRIES: u32 = 1024;
/// Most submissions that the guest may make before the tender takes one.
pub const OUTSTANDING_MAX: u32 = ENTRIES - 1;

/// The counters that the guest stores to.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct GuestPart {
    /// Submissions made.
    pub ent_tail: AtomicU32,
    /// Commits taken.
    pub com_head: AtomicU32,
}

/// The counters that the tender stores to.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct TenderPart {
    /// Submissions taken.
    pub ent_head: AtomicU32,
    /// Commits made.
    pub com_tail: AtomicU32,
    /// Not 0 if the I/O thread sleeps or is about to sleep, and needs a kick.
    pub needs_kick: AtomicU32,
}

/// A request of the guest.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Submission {
    /// An [`Operation`]; the tender skips any other number without a commit.
    pub operation: AtomicU32,
    /// The device.
    pub handle: AtomicU32,
    /// Address of the frame to write, or of the buffer to read into.
    pub data: AtomicU64,
    /// Length of that frame or buffer in bytes. The ring sets no limit; upstream's bindings queue
    /// frames of up to 2048 bytes.
    pub len: AtomicU32,
    /// A number of the guest's choice, which the commit repeats.
    pub id: AtomicU32,
    /// No meaning.
    pub reserved: AtomicU64,
}

/// The outcome of a read.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Commit {
    /// The submission's `id`.
    pub id: AtomicU32,
    /// An [`Outcome`](super::Outcome).
    pub ret: AtomicI32,
    /// Length of the frame in bytes; 0 if there is none.
    pub len: AtomicU32,
    /// No meaning.
    pub reserved: AtomicU32,
}

/// The whole ring, initially all zero.
///
/// It is little-endian, as is every architecture with this target. Its fields are atomics because
/// two sides share the memory: otherwise the compiler could tear or reorder an access.
#[derive(Debug)]
#[repr(C)]
pub struct Ring {
    /// The guest's counters.
    pub guest: GuestPart,
    /// The tender's counters.
    pub tender: TenderPart,
    /// Written by the guest.
    pub submissions: [Submission; ENTRIES as usize],
    /// Written by the tender.
    pub commits: [Commit; ENTRIES as usize],
}

impl Ring {
    /// Size in bytes.
    pub const SIZE: usize = 0xc080;

    /// A ring in its initial state.
    pub const fn new() -> Ring {
        const fn zero() -> AtomicU32 {
            AtomicU32::new(0)
        }
        Ring {
            guest: GuestPart { ent_tail: zero(), com_head: zero() },
            tender: TenderPart { ent_head: zero(), com_tail: zero(), needs_kick: zero() },
            submissions: [const {
                Submission {
                    operation: zero(),
                    handle: zero(),
                    data: AtomicU64::new(0),
                    len: zero(),
                    id: zero(),
                    reserved: AtomicU64::new(0),
                }
            }; ENTRIES as usize],
            commits: [const {
                Commit { id: zero(), ret: AtomicI32::new(0), len: zero(), reserved: zero() }
            }; ENTRIES as usize],
        }
    }

    /// The submission with this counter.
    pub fn submission(&self, counter: u32) -> &Submission {
        let [first, ..] = &self.submissions;
        // The index is always in range. `get` is used because, unlike indexing, it cannot panic.
        self.submissions.get(place(counter)).unwrap_or(first)
    }

    /// The commit with this counter.
    pub fn commit(&self, counter: u32) -> &Commit {
        let [first, ..] = &self.commits;
        self.commits.get(place(counter)).unwrap_or(first)
    }
}

impl Default for Ring {
    fn default() -> Ring {
        Ring::new()
    }
}

/// Index of the entry with this counter.
pub const fn place(counter: u32) -> usize {
    (counter % ENTRIES) as usize
}

/// What a submission asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Send the frame.
    NetWrite,
    /// Receive a frame; [`Outcome::Again`](super::Outcome::Again) if there is none.
    NetRead,
}

impl Operation {
    /// Every operation, by its number.
    pub const ALL: [Operation; 2] = [Operation::NetWrite, Operation::NetRead];

    /// The number in a submission.
    pub const fn number(self) -> u32 {
        match self {
            Operation::NetWrite => 1,
            Operation::NetRead => 2,
        }
    }

    /// The operation with this number.
    pub fn from_number(number: u32) -> Option<Operation> {
        Operation::ALL.into_iter().find(|operation| operation.number() == number)
    }
}

const _: () = {
    use core::mem::offset_of;
    assert!(cfg!(target_endian = "little"));
    assert!(size_of::<Ring>() == Ring::SIZE);
    assert!(offset_of!(Ring, guest.ent_tail) == 0 && offset_of!(Ring, guest.com_head) == 4);
    assert!(offset_of!(Ring, tender.ent_head) == 64 && offset_of!(Ring, tender.com_tail) == 68);
    assert!(offset_of!(Ring, tender.needs_kick) == 72);
    assert!(offset_of!(Ring, submissions) == 128 && offset_of!(Ring, commits) == 32896);
    assert!(size_of::<Submission>() == 32 && offset_of!(Submission, data) == 8);
    assert!(offset_of!(Submission, len) == 16 && offset_of!(Submission, id) == 20);
    assert!(size_of::<Commit>() == 16 && offset_of!(Commit, ret) == 4);
    assert!(offset_of!(Commit, len) == 8);
    assert!(ENTRIES.is_power_of_two());
};
