//! The hvt target: hypercalls and boot information (`docs/reference/hvt.md`).
//!
//! | file | agreement |
//! |---|---|
//! | this file | numbers of hypercalls, their arguments, boot information |
//! | [`ring`] | frames to and from the tender's I/O thread, in shared memory |
//! | [`x86_64`], [`aarch64`] | how a guest calls, its memory map, its registers at entry |
//!
//! Addresses are guest physical addresses. The guest's virtual addresses are the same.

use zerocopy::little_endian::{I32, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

pub mod aarch64;
pub mod ring;
pub mod x86_64;

/// The ABI version, which the image's ABI note must state exactly. The ring was added without a new
/// version.
pub const ABI_VERSION: u32 = 2;
/// Lowest legal load address and entry point.
pub const GUEST_MIN_BASE: u64 = 0x10_0000;
/// Unit of guest memory in bytes: its size is a multiple of this, and not 0.
pub const MEMORY_GRANULE: u64 = 0x20_0000;
/// Most guest memory in bytes, the ring's reservation included.
pub const MEMORY_MAX: u64 = 1 << 32;
/// Address of [`BootInfo`].
pub const BOOT_INFO_BASE: u64 = 0x1_0000;
/// Size in bytes of the region at [`Halt::cookie`]; the cookie need not fill it.
pub const HALT_COOKIE_MAX: usize = 512;

/// A hypercall. Number 0 is reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hypercall {
    /// Tells the wall-clock time: [`Walltime`].
    Walltime,
    /// Writes to the console: [`Puts`].
    Puts,
    /// Waits for input or a deadline: [`Poll`].
    Poll,
    /// Writes to a block device: [`Block`].
    BlockWrite,
    /// Reads from a block device: [`Block`].
    BlockRead,
    /// Sends a frame: [`Net`].
    NetWrite,
    /// Receives a frame: [`Net`].
    NetRead,
    /// Ends the guest: [`Halt`].
    Halt,
    /// Makes what was written to a block device durable: [`BlockFlush`].
    BlockFlush,
}

impl Hypercall {
    /// Every hypercall, by its number.
    pub const ALL: [Hypercall; 9] = [
        Hypercall::Walltime,
        Hypercall::Puts,
        Hypercall::Poll,
        Hypercall::BlockWrite,
        Hypercall::BlockRead,
        Hypercall::NetWrite,
        Hypercall::NetRead,
        Hypercall::Halt,
        Hypercall::BlockFlush,
    ];
    /// One more than the highest number of a hypercall of Solo5 0.12. All numbers below are
    /// hypercalls' or reserved.
    pub const MAX: u16 = 9;

    /// The hypercall's number.
    pub const fn number(self) -> u16 {
        match self {
            Hypercall::Walltime => 1,
            Hypercall::Puts => 2,
            Hypercall::Poll => 3,
            Hypercall::BlockWrite => 4,
            Hypercall::BlockRead => 5,
            Hypercall::NetWrite => 6,
            Hypercall::NetRead => 7,
            Hypercall::Halt => 8,
            Hypercall::BlockFlush => 64,
        }
    }

    /// The hypercall with this number.
    pub fn from_number(number: u16) -> Option<Hypercall> {
        Hypercall::ALL.into_iter().find(|call| call.number() == number)
    }

    /// The hypercall with this number. `None` if there is none; `Err` holds a reserved number.
    pub(crate) fn decode(number: u16) -> Option<Result<Hypercall, u16>> {
        let call = Hypercall::from_number(number);
        call.map(Ok).or((number < Hypercall::MAX).then_some(Err(number)))
    }

    /// Size in bytes of its argument.
    pub const fn argument_size(self) -> usize {
        match self {
            Hypercall::Walltime => size_of::<Walltime>(),
            Hypercall::Puts => size_of::<Puts>(),
            Hypercall::Poll => size_of::<Poll>(),
            Hypercall::BlockWrite | Hypercall::BlockRead => size_of::<Block>(),
            Hypercall::NetWrite | Hypercall::NetRead => size_of::<Net>(),
            Hypercall::Halt => size_of::<Halt>(),
            Hypercall::BlockFlush => size_of::<BlockFlush>(),
        }
    }
}

/// Outcome of a hypercall, or of a frame read through the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Done.
    Ok,
    /// Not possible now.
    Again,
    /// An argument is not valid.
    Invalid,
    /// Any other failure.
    Unspecified,
}

impl Outcome {
    /// Every outcome, by its number.
    pub const ALL: [Outcome; 4] =
        [Outcome::Ok, Outcome::Again, Outcome::Invalid, Outcome::Unspecified];

    /// The number in a `ret` field.
    pub const fn number(self) -> i32 {
        match self {
            Outcome::Ok => 0,
            Outcome::Again => 1,
            Outcome::Invalid => 2,
            Outcome::Unspecified => 3,
        }
    }

    /// The outcome in a `ret` field. An unknown number is [`Outcome::Unspecified`].
    pub fn from_number(number: i32) -> Outcome {
        Outcome::ALL
            .into_iter()
            .find(|outcome| outcome.number() == number)
            .unwrap_or(Outcome::Unspecified)
    }
}

/// Argument of [`Hypercall::Walltime`].
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
    Unaligned,
)]
#[repr(C)]
pub struct Walltime {
    /// Out: nanoseconds since 1970-01-01 UTC.
    pub nsecs: U64,
}

/// Argument of [`Hypercall::Puts`], which has no outcome.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
    Unaligned,
)]
#[repr(C)]
pub struct Puts {
    /// In: address of the bytes to write.
    pub data: U64,
    /// In: how many bytes.
    pub len: U64,
}

/// Argument of [`Hypercall::Poll`].
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
    Unaligned,
)]
#[repr(C)]
pub struct Poll {
    /// In: longest wait in nanoseconds, counted from the call.
    pub timeout_nsecs: U64,
    /// Out: bit N is set if the device with handle N can be read.
    pub ready_set: U64,
    /// Out: number of bits set in `ready_set`.
    pub ret: I32,
    /// No meaning.
    pub padding: U32,
}

/// Argument of [`Hypercall::BlockWrite`] and [`Hypercall::BlockRead`].
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
    Unaligned,
)]
#[repr(C)]
pub struct Block {
    /// In: the device.
    pub handle: U64,
    /// In: offset on the device in bytes.
    pub offset: U64,
    /// In: address of the bytes to write, or of the buffer to read into.
    pub data: U64,
    /// In: how many bytes.
    pub len: U64,
    /// Out: an [`Outcome`].
    pub ret: I32,
    /// No meaning.
    pub padding: U32,
}

/// Argument of [`Hypercall::BlockFlush`].
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
    Unaligned,
)]
#[repr(C)]
pub struct BlockFlush {
    /// In: the device.
    pub handle: U64,
    /// Out: an [`Outcome`].
    pub ret: I32,
    /// No meaning.
    pub padding: U32,
}

/// Argument of [`Hypercall::NetWrite`] and [`Hypercall::NetRead`].
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
    Unaligned,
)]
#[repr(C)]
pub struct Net {
    /// In: the device.
    pub handle: U64,
    /// In: address of the frame.
    pub data: U64,
    /// In: length of the frame to write, or size of the buffer to read into, in bytes. Out, after
    /// a read that is `Ok`: length of the frame.
    pub len: U64,
    /// Out: an [`Outcome`].
    pub ret: I32,
    /// No meaning.
    pub padding: U32,
}

/// Argument of [`Hypercall::Halt`], which does not return.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
    Unaligned,
)]
#[repr(C)]
pub struct Halt {
    /// In: address of [`HALT_COOKIE_MAX`] bytes that describe a fault, or 0.
    pub cookie: U64,
    /// In: the guest's exit status.
    pub exit_status: I32,
    /// No meaning.
    pub padding: U32,
}

/// Bit of [`BootInfo::host_features`]: the tender offers a ring.
pub const FEATURE_RING_IO: u32 = 1 << 0;

/// Boot information, at [`BOOT_INFO_BASE`]. The guest's entry point gets its address as argument.
/// Tenders put the manifest and the command line right after it, but a guest must find both through
/// the fields.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
    Unaligned,
)]
#[repr(C)]
pub struct BootInfo {
    /// Guest memory in bytes, without the ring's reservation.
    pub mem_size: U64,
    /// End of the highest loaded segment, rounded up to its alignment.
    pub kernel_end: U64,
    /// Frequency of the CPU's counter in Hz, not 0.
    pub cpu_cycle_freq: U64,
    /// Address of the NUL-terminated command line.
    pub cmdline: U64,
    /// Address of the manifest, in which the tender has filled in the device properties.
    pub mft: U64,
    /// Bits for what the tender offers: [`FEATURE_RING_IO`].
    pub host_features: U32,
    /// Not used by either side; written 0.
    pub guest_features: U32,
    /// Address of the [`ring::Ring`], or 0.
    pub net_ring: U64,
}

impl BootInfo {
    /// Size in bytes.
    pub const SIZE: usize = 56;
    /// Size in bytes up to release 0.10, where there was no ring.
    pub const SIZE_WITHOUT_RING: usize = 40;

    /// Address of the ring the tender offers, if it offers one. `at` is the address of this structure.
    ///
    /// A tender without rings puts the manifest where newer tenders have `host_features` and
    /// `net_ring`. A guest then reads the manifest's version as the offer of a ring, and the name of
    /// the reserved entry as the ring's address. That name is empty only by convention, so it is not
    /// enough to test for address 0: this method also refuses the offer if the manifest begins in
    /// these fields (`docs/reference/hvt.md#ring-offer`).
    pub fn ring_offered(&self, at: u64) -> Option<u64> {
        let distance = self.mft.get().checked_sub(at);
        let fields = Self::SIZE_WITHOUT_RING as u64..Self::SIZE as u64;
        let is_manifest = distance.is_some_and(|distance| fields.contains(&distance));
        let address = self.net_ring.get();
        let aligned = address.checked_rem(align_of::<ring::Ring>() as u64) == Some(0);
        let offered = self.host_features.get() & FEATURE_RING_IO != 0 && address != 0;
        (offered && aligned && !is_manifest).then_some(address)
    }
}

const _: () = {
    use core::mem::offset_of;
    assert!(size_of::<Walltime>() == 8);
    assert!(size_of::<Puts>() == 16 && offset_of!(Puts, len) == 8);
    assert!(size_of::<Poll>() == 24);
    assert!(offset_of!(Poll, ready_set) == 8 && offset_of!(Poll, ret) == 16);
    assert!(size_of::<Block>() == 40);
    assert!(offset_of!(Block, offset) == 8 && offset_of!(Block, data) == 16);
    assert!(offset_of!(Block, len) == 24 && offset_of!(Block, ret) == 32);
    assert!(size_of::<Net>() == 32 && offset_of!(Net, data) == 8);
    assert!(offset_of!(Net, len) == 16 && offset_of!(Net, ret) == 24);
    assert!(size_of::<Halt>() == 16 && offset_of!(Halt, exit_status) == 8);
    assert!(size_of::<BootInfo>() == BootInfo::SIZE);
    assert!(offset_of!(BootInfo, kernel_end) == 8);
    assert!(offset_of!(BootInfo, cpu_cycle_freq) == 16);
    assert!(offset_of!(BootInfo, cmdline) == 24 && offset_of!(BootInfo, mft) == 32);
    assert!(offset_of!(BootInfo, host_features) == BootInfo::SIZE_WITHOUT_RING);
    assert!(offset_of!(BootInfo, guest_features) == 44 && offset_of!(BootInfo, net_ring) == 48);
    assert!(size_of::<BlockFlush>() == 16 && offset_of!(BlockFlush, ret) == 8);
};
