//! Boot information and memory map of the spt target (`docs/reference/spt.md`).

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The ABI version, which the image's ABI note must state exactly.
pub const ABI_VERSION: u32 = 2;
/// Lowest legal load address and entry point.
pub const GUEST_MIN_BASE: u64 = 0x10_0000;
/// Lowest host address at which guest memory is mapped.
pub const HOST_MEM_BASE: u64 = 0x1_0000;
/// Address of [`BootInfo`].
pub const BOOT_INFO_BASE: u64 = HOST_MEM_BASE + 0x1000;
/// `data` of the epoll event that stands for the internal timerfd.
pub const INTERNAL_TIMERFD: u64 = 0xffff_fffe;

/// Boot information, at [`BOOT_INFO_BASE`]. The manifest and the command line follow it without
/// padding. Pointers are absolute addresses.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct BootInfo {
    /// End address of guest memory.
    pub mem_size: U64,
    /// End of the highest loaded segment with file content, rounded up to its alignment.
    pub kernel_end: U64,
    /// Address of the NUL-terminated command line.
    pub cmdline: U64,
    /// Address of the manifest, in which the tender has filled in the device properties.
    pub mft: U64,
    /// Host descriptor of the epoll set.
    pub epollfd: U32,
    /// Host descriptor of the internal timer.
    pub timerfd: U32,
}

impl BootInfo {
    /// Size in bytes.
    pub const SIZE: usize = 40;
}

const _: () = {
    assert!(size_of::<BootInfo>() == BootInfo::SIZE);
    assert!(core::mem::offset_of!(BootInfo, kernel_end) == 8);
    assert!(core::mem::offset_of!(BootInfo, cmdline) == 16);
    assert!(core::mem::offset_of!(BootInfo, mft) == 24);
    assert!(core::mem::offset_of!(BootInfo, epollfd) == 32);
    assert!(core::mem::offset_of!(BootInfo, timerfd) == 36);
};
