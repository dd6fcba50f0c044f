//! aarch64: how a guest calls, its memory map and its state at entry
//! (`docs/reference/hvt.md#aarch64`).

use zerocopy::little_endian::U64;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::Hypercall;

/// Address of hypercall number 0. A call is a 32-bit store of its argument's address.
pub const HYPERCALL_BASE: u64 = 0x1_0000_0000;
/// Binary logarithm of the distance between two calls' addresses.
pub const HYPERCALL_SHIFT: u32 = 3;
/// Address of a 32-bit store, of any value, that wakes the I/O thread.
pub const KICK: u64 = HYPERCALL_BASE + 0x100;

impl Hypercall {
    /// The address that calls it.
    pub const fn mmio(self) -> u64 {
        HYPERCALL_BASE + ((self.number() as u64) << HYPERCALL_SHIFT)
    }

    /// The hypercall with this address; the low [`HYPERCALL_SHIFT`] bits are ignored. `None` if
    /// there is none; `Err` holds a reserved number.
    pub fn from_mmio(address: u64) -> Option<Result<Hypercall, u16>> {
        let number = address.checked_sub(HYPERCALL_BASE)? >> HYPERCALL_SHIFT;
        let number = u16::try_from(number).ok()?;
        Hypercall::decode(number)
    }
}

/// Addresses of the page tables, in memory that the tender does not map for the guest.
pub mod table {
    /// Level 0: one entry.
    pub const PGD: u64 = 0x1000;
    /// Level 1: one entry for each GiB of memory, and one for the hypercalls' addresses.
    pub const PUD: u64 = 0x2000;
    /// Level 2: four consecutive tables.
    pub const PMD: u64 = 0x3000;
    /// Level 3: the first 2 MiB.
    pub const PTE: u64 = 0x7000;
}

/// Attribute bits of page table entries, without the address.
pub mod page {
    /// A table of the next level.
    pub const TABLE: u64 = 0x3;
    /// A block of memory.
    pub const BLOCK: u64 = 0x0040_0000_0000_0711;
    /// A page of memory.
    pub const PAGE: u64 = 0x0040_0000_0000_0713;
    /// A read-only page.
    pub const PAGE_READ_ONLY: u64 = 0x0060_0000_0000_0793;
    /// The block that holds the hypercalls' addresses.
    pub const DEVICE: u64 = 0x0060_0000_0000_0705;
}

/// PSTATE at entry: EL1h, D, A, I and F masked.
pub const PSTATE: u64 = 0x3c5;
/// Bits set in CPACR_EL1 at entry, so that floating point is usable at once.
pub const CPACR_FPEN: u64 = 3 << 20;
/// MAIR_EL1 at entry.
pub const MAIR: u64 = 0x0000_bbff_440c_0400;
/// TCR_EL1 at entry.
pub const TCR: u64 = 0x0000_0032_b518_3518;
/// SCTLR_EL1 at entry: M, C, I.
pub const SCTLR: u64 = 0x1005;
/// Distance in bytes of SP from the end of memory at entry.
pub const STACK_OFFSET: u64 = 16;

/// The registers that a trap handler saves, and the content of a halt cookie. It begins as Linux's
/// `user_pt_regs`.
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
pub struct TrapFrame {
    /// X0 to X30.
    pub x: [U64; 31],
    /// Stack pointer.
    pub sp: U64,
    /// ELR_EL1: address of the trapping instruction.
    pub pc: U64,
    /// SPSR_EL1: the processor's state.
    pub pstate: U64,
    /// ESR_EL1: why the processor trapped.
    pub esr: U64,
    /// FAR_EL1: the address whose access was refused.
    pub far: U64,
}

impl TrapFrame {
    /// Size in bytes.
    pub const SIZE: usize = 288;
}

const _: () = {
    use super::HALT_COOKIE_MAX;
    use core::mem::offset_of;
    assert!(size_of::<TrapFrame>() == TrapFrame::SIZE && TrapFrame::SIZE <= HALT_COOKIE_MAX);
    assert!(offset_of!(TrapFrame, sp) == 248 && offset_of!(TrapFrame, esr) == 272);
    assert!(Hypercall::Halt.mmio() == 0x1_0000_0040);
    assert!(KICK == 0x1_0000_0100);
};
