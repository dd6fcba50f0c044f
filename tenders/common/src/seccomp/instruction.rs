//! The instructions that the kernel takes for a filter, and the numbers that a filter compares and
//! returns.

use solo5_abi::Arch;

/// One instruction, laid out as the kernel's `struct sock_filter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// Instructions to skip if a comparison holds.
    pub if_true: u8,
    /// Instructions to skip if it does not.
    pub if_false: u8,
    /// Operand.
    pub operand: u32,
}

/// Maximum number of instructions that the kernel accepts.
pub const INSTRUCTIONS_MAX: usize = 4096;

/// `seccomp` return value: the whole process dies of SIGSYS.
pub const KILL_PROCESS: u32 = 0x8000_0000;
/// `seccomp` return value: the call is made.
pub const ALLOW: u32 = 0x7fff_0000;
/// `seccomp` return value: the low 16 bits are the error number.
pub const ERRNO: u32 = 0x0005_0000;

pub(super) const LOAD: u16 = 0x20;
pub(super) const JUMP: u16 = 0x05;
pub(super) const JUMP_EQUAL: u16 = 0x15;
pub(super) const JUMP_GREATER: u16 = 0x25;
pub(super) const JUMP_GREATER_EQUAL: u16 = 0x35;
/// Whether a bit of the operand is set.
pub(super) const JUMP_BITS: u16 = 0x45;
/// The next four use the index register, a second register of 32 bits.
pub(super) const JUMP_GREATER_EQUAL_INDEX: u16 = 0x3d;
pub(super) const ADD_INDEX: u16 = 0x0c;
pub(super) const TO_INDEX: u16 = 0x07;
pub(super) const FROM_INDEX: u16 = 0x87;
pub(super) const RETURN: u16 = 0x06;

/// Offsets in `struct seccomp_data`.
pub(super) const DATA_NUMBER: u32 = 0;
pub(super) const DATA_ARCH: u32 = 4;
pub(super) const DATA_ARGUMENTS: u32 = 16;

/// `AUDIT_ARCH_*` of the kernel.
pub const fn audit_arch(arch: Arch) -> u32 {
    match arch {
        Arch::X86_64 => 0xc000_003e,
        Arch::Aarch64 => 0xc000_00b7,
        Arch::Ppc64le => 0xc000_0015,
    }
}
