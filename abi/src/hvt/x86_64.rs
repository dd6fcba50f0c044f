//! x86_64: how a guest calls, its memory map and its state at entry (`docs/reference/hvt.md`).

use zerocopy::little_endian::U64;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::Hypercall;

/// Port of hypercall number 0. A call is a 32-bit `out` of its argument's address.
pub const HYPERCALL_PORT: u16 = 0x500;
/// Port of a 32-bit `out`, of any value, that wakes the I/O thread.
pub const KICK_PORT: u16 = 0x600;

impl Hypercall {
    /// The port that calls it.
    pub const fn port(self) -> u16 {
        HYPERCALL_PORT + self.number()
    }

    /// The hypercall with this port. `None` if there is none; `Err` holds a reserved number.
    pub fn from_port(port: u16) -> Option<Result<Hypercall, u16>> {
        let number = port.checked_sub(HYPERCALL_PORT)?;
        Hypercall::decode(number)
    }
}

/// Addresses of the tender's tables, in memory that it does not map for the guest.
pub mod table {
    /// The [`GDT`](super::GDT).
    pub const GDT: u64 = 0x1000;
    /// Page map level 4: one entry.
    pub const PML4: u64 = 0x2000;
    /// Page directory pointers: [`DIRECTORIES`] entries, always present.
    pub const PDPT: u64 = 0x3000;
    /// Page directories: [`DIRECTORIES`] of them, consecutive.
    pub const DIRECTORY: u64 = 0x4000;
    /// How many page directories there are: one for each GiB of [`MEMORY_MAX`](crate::hvt::MEMORY_MAX).
    pub const DIRECTORIES: usize = 4;
    /// Page table of the first 2 MiB.
    pub const PAGES: u64 = 0x8000;
    /// Entries in each table.
    pub const ENTRIES: usize = 512;
    /// End of the memory for tables.
    pub const END: u64 = 0x9000;
}

/// Bits of page table entries.
pub mod page {
    /// Mapped.
    pub const PRESENT: u64 = 1 << 0;
    /// Can be written to.
    pub const WRITABLE: u64 = 1 << 1;
    /// In a page directory: the entry maps a page of 2 MiB instead of a page table.
    pub const LARGE: u64 = 1 << 7;
    /// Cannot be executed; permitted only with [`EFER_NXE`](super::EFER_NXE).
    pub const NO_EXECUTE: u64 = 1 << 63;
}

/// Segment descriptors at entry: null, code, data.
pub const GDT: [u64; 3] = [0, 0x00af_9900_0000_ffff, 0x00cf_9300_0000_ffff];
/// Selector of the code segment.
pub const SELECTOR_CODE: u16 = 0x08;
/// Selector of the data segment: in SS, DS, ES, FS and GS.
pub const SELECTOR_DATA: u16 = 0x10;

/// RFLAGS at entry: interrupts are disabled, and the guest leaves them so.
pub const RFLAGS: u64 = 0x2;
/// CR0 at entry: PE, NE, WP, PG.
pub const CR0: u64 = 0x8001_0021;
/// CR4 at entry: PAE, OSFXSR, OSXMMEXCPT, so that SSE is usable at once.
pub const CR4: u64 = 0x620;
/// EFER at entry: LME, LMA.
pub const EFER: u64 = 0x500;
/// Bit of EFER that permits [`page::NO_EXECUTE`]. Upstream's tender does not set it.
pub const EFER_NXE: u64 = 1 << 11;
/// Distance in bytes of RSP from the end of memory at entry. The stack looks as if a `call` had
/// pushed a return address.
pub const STACK_OFFSET: u64 = 8;

/// The registers that a trap handler saves, and the content of a halt cookie.
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
    /// The address whose access caused a page fault.
    pub cr2: U64,
    /// The error code, 0 for traps without one.
    pub error_code: U64,
    /// Address of the trapping instruction.
    pub rip: U64,
    /// Code segment.
    pub cs: U64,
    /// Flags.
    pub rflags: U64,
    /// Stack pointer.
    pub rsp: U64,
    /// Stack segment.
    pub ss: U64,
}

impl TrapFrame {
    /// Size in bytes.
    pub const SIZE: usize = 56;
}

const _: () = {
    use super::{BOOT_INFO_BASE, HALT_COOKIE_MAX, MEMORY_GRANULE, MEMORY_MAX};
    assert!(Hypercall::Halt.port() == 0x508);
    assert!(size_of::<TrapFrame>() == TrapFrame::SIZE && TrapFrame::SIZE <= HALT_COOKIE_MAX);
    assert!(table::DIRECTORY + table::DIRECTORIES as u64 * 0x1000 == table::PAGES);
    assert!(table::END <= BOOT_INFO_BASE);
    assert!(table::DIRECTORIES as u64 * table::ENTRIES as u64 * MEMORY_GRANULE == MEMORY_MAX);
};
