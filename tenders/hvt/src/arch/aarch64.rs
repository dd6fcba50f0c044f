//! 64-bit Arm: page tables in [`layout`], [`registers`], and the CPU's initial state
//! (`docs/reference/hvt.md#aarch64`). There is no interrupt controller and no PSCI.

#[cfg(feature = "debug")]
pub mod core_file;
pub mod layout;
pub(crate) mod registers;

use std::arch::asm;

use kvm_bindings::kvm_vcpu_init;
use kvm_ioctls::{IoEventAddress, Kvm, VcpuFd, VmFd};
use solo5_abi::hvt::BOOT_INFO_BASE;
use solo5_abi::hvt::aarch64::{self as arm, table};
use solo5_tender::error::Error;

pub use self::layout::tables;
pub use self::registers::{
    PC, READ_REGISTERS, Registers, SP, TrapFrame, pc, registers, sp, trap_address, trap_pc,
    trap_sp, write_registers, write_trap,
};
use self::registers::{core, set, system};
use crate::kvm_error::failed;
use crate::layout::Executable;

/// Where the content of [`tables`] goes.
pub const TABLES: u64 = table::PGD;

/// Lowest address whose stores are hypercalls, if any are.
pub const CALLS: Option<u64> = Some(arm::HYPERCALL_BASE);

/// The kick.
pub const KICK: IoEventAddress = IoEventAddress::Mmio(arm::KICK);

/// What KVM supports: nothing that a guest needs is optional.
#[derive(Debug)]
pub struct Support;

impl Support {
    /// What this machine can have.
    pub fn find(_: &Kvm, _: &VmFd) -> Result<Support, Error> {
        Ok(Support)
    }

    /// What every machine can have, if KVM says.
    pub fn probe(_: &Kvm) -> Option<Support> {
        Some(Support)
    }

    /// Whether page table entries can have the no-execute bit.
    pub fn has_no_execute(&self) -> bool {
        true
    }
}

/// Sets the CPU's initial state, for an image with this entry point and memory of `guest` bytes.
pub fn set_cpu(
    vm: &VmFd,
    vcpu: &VcpuFd,
    _: &Support,
    _: Executable<'_>,
    (entry, guest): (u64, u64),
) -> Result<(), Error> {
    let mut target = kvm_vcpu_init::default();
    vm.get_preferred_target(&mut target).map_err(failed("ARM_PREFERRED_TARGET"))?;
    vcpu.vcpu_init(&target).map_err(failed("ARM_VCPU_INIT"))?;
    let floating_point = registers::get(vcpu, system::CPACR).map_err(failed("GET_ONE_REG"))?;
    let values = [
        (system::CPACR, floating_point | arm::CPACR_FPEN),
        (system::MAIR, arm::MAIR),
        (system::TCR, arm::TCR),
        (system::TTBR0, table::PGD),
        (system::SCTLR, arm::SCTLR),
        (core::PSTATE, arm::PSTATE),
        (core::SP_EL1, guest.saturating_sub(arm::STACK_OFFSET)),
        (core::PC, entry),
        (core::x(0), BOOT_INFO_BASE),
    ];
    values
        .into_iter()
        .try_for_each(|(register, value)| set(vcpu, register, value))
        .map_err(failed("SET_ONE_REG"))
}

/// Frequency of the CPU's counter in Hz; not 0.
pub fn counter_frequency(_: &VcpuFd) -> Result<u64, Error> {
    let frequency: u64;
    // SAFETY: Linux lets every program read the register.
    unsafe { asm!("mrs {}, cntfrq_el0", out(reg) frequency, options(nostack, nomem)) };
    if frequency == 0 { Err(Error::KvmClock) } else { Ok(frequency) }
}
