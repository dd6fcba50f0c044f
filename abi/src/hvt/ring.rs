//! The network ring: one for all interfaces of a guest, in memory both sides share
//! (`docs/reference/hvt.md#ring`).
//!
//! The guest *submits* frames to write and buffers to read into; the tender's I/O thread *commits*
//! the outcome of each read, in order. Writes have no commit. Counters run freely, modulo 2³²; the
//! place of an entry is its counter's low bits. Each side stores only to its own part.
//!
//! A submission is visible to the tender once `ent_tail` is; a commit to the guest once `com_tail`
//! is. `ent_head` tells the guest up to where buffers of writes are free again. Between the guest's
//! store to `ent_tail` and its load of `needs_kick` there is a full barrier, and between the tender's
//! store to `needs_kick` and its load of `ent_tail` too: so one of them sees the other's.

use core::sync::atomic::{AtomicI32, AtomicU32, AtomicU64};

/// Entries of either kind; a power of two.
pub const ENTRIES: u32 = 1024;
/// Most submissions the tender has not taken yet.
pub const OUTSTANDING_MAX: u32 = ENTRIES - 1;

/// What the guest stores to.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct GuestPart {
    /// Submissions made.
    pub ent_tail: AtomicU32,
    /// Commits taken.
    pub com_head: AtomicU32,
}

/// What the tender stores to.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct TenderPart {
    /// Submissions taken.
    pub ent_head: AtomicU32,
    /// Commits made.
    pub com_tail: AtomicU32,
    /// Not 0: the I/O thread sleeps, or is about to, and wants to be kicked.
    pub needs_kick: AtomicU32,
}

/// What the guest wants done.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Submission {
    /// An [`Operation`]; another number is skipped without a commit.
    pub operation: AtomicU32,
    /// The device.
    pub handle: AtomicU32,
    /// Address of the frame, or of room for one.
    pub data: AtomicU64,
    /// Length in bytes of either. The ring sets no limit; upstream's bindings queue up to 2048.
    pub len: AtomicU32,
    /// A number of the guest's choice.
    pub id: AtomicU32,
    /// No meaning.
    pub reserved: AtomicU64,
}

/// What has come of a read.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Commit {
    /// The submission's.
    pub id: AtomicU32,
    /// An [`Outcome`](super::Outcome).
    pub ret: AtomicI32,
    /// Length of the frame in bytes; 0 if there is none.
    pub len: AtomicU32,
    /// No meaning.
    pub reserved: AtomicU32,
}

/// The whole ring, all zero at first.
///
/// Little-endian as every architecture with this target is. Atomics are for memory two sides share:
/// a torn or reordered access would otherwise be the compiler's right.
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

    /// A ring in its first state.
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

    /// The place of the submission with this counter.
    pub fn submission(&self, counter: u32) -> &Submission {
        let [first, ..] = &self.submissions;
        // The remainder is always in range; `get` only says so without a panic.
        self.submissions.get(place(counter)).unwrap_or(first)
    }

    /// The place of the commit with this counter.
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
    /// Receive a frame, or tell that there is none.
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
