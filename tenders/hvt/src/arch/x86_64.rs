//! 64-bit x86: [`cpuid`], page tables and initial state in [`layout`], [`registers`].

#[cfg(feature = "debug")]
pub mod core_file;
pub mod cpuid;
pub mod layout;
mod registers;

use kvm_bindings::{CpuId, KVM_CAP_ENFORCE_PV_FEATURE_CPUID, kvm_cpuid_entry2, kvm_enable_cap};
use kvm_ioctls::{Cap, IoEventAddress, Kvm, VcpuFd, VmFd};
use solo5_abi::hvt::x86_64::{KICK_PORT, table};
use solo5_tender::error::Error;
use solo5_tender::sys::Errno;

pub use self::layout::tables;
pub use self::registers::{
    PC, READ_REGISTERS, Registers, SP, TrapFrame, pc, registers, sp, trap_address, trap_pc,
    trap_sp, write_registers, write_trap,
};
use crate::kvm_error::failed;
use crate::layout::Executable;

/// Where the content of [`tables`] goes.
pub const TABLES: u64 = table::GDT;

/// Lowest address whose stores are hypercalls, if any are.
pub const CALLS: Option<u64> = None;

/// The kick.
pub const KICK: IoEventAddress = IoEventAddress::Pio(KICK_PORT as u64);

/// Maximum number of CPUID entries; upstream's 100 may not be enough.
const CPUID_MAX: usize = 256;

/// What KVM supports: CPUID entries.
#[derive(Debug)]
pub struct Support(CpuId);

impl Support {
    /// What this machine can have.
    pub fn find(kvm: &Kvm, vm: &VmFd) -> Result<Support, Error> {
        if !vm.check_extension(Cap::GetTscKhz) {
            let what = "KVM_CAP_GET_TSC_KHZ";
            return Err(Error::KvmLacks { what });
        }
        let supported = kvm.get_supported_cpuid(CPUID_MAX);
        supported.map(Support).map_err(failed("GET_SUPPORTED_CPUID"))
    }

    /// What every machine can have, if KVM says.
    pub fn probe(kvm: &Kvm) -> Option<Support> {
        kvm.get_supported_cpuid(CPUID_MAX).ok().map(Support)
    }

    /// The CPUID entries.
    fn entries(&self) -> &[kvm_cpuid_entry2] {
        self.0.as_slice()
    }

    /// Whether page table entries can have the no-execute bit.
    pub fn has_no_execute(&self) -> bool {
        cpuid::has_no_execute(self.entries())
    }
}

/// Sets the CPU's initial state, for an image with this entry point and memory of `guest` bytes.
pub fn set_cpu(
    _: &VmFd,
    vcpu: &VcpuFd,
    support: &Support,
    executable: Executable<'_>,
    (entry, guest): (u64, u64),
) -> Result<(), Error> {
    let shown = CpuId::from_entries(&cpuid::masked(support.entries()))
        .map_err(|_| Error::KvmCall { name: "SET_CPUID2", error: Errno::NOMEM })?;
    // Disables KVM's paravirtual devices that CPUID does not announce. Not every KVM supports
    // this. That is acceptable, because these devices only write to guest memory.
    let _ = vcpu.enable_cap(&kvm_enable_cap {
        cap: KVM_CAP_ENFORCE_PV_FEATURE_CPUID,
        args: [1, 0, 0, 0],
        ..kvm_enable_cap::default()
    });
    vcpu.set_cpuid2(&shown).map_err(failed("SET_CPUID2"))?;
    vcpu.set_sregs(&layout::special_registers(executable)).map_err(failed("SET_SREGS"))?;
    vcpu.set_regs(&layout::registers(entry, guest)).map_err(failed("SET_REGS"))
}

/// Frequency of the CPU's counter in Hz; not 0.
pub fn counter_frequency(vcpu: &VcpuFd) -> Result<u64, Error> {
    match vcpu.get_tsc_khz() {
        Ok(0) => Err(Error::KvmClock),
        Ok(kilohertz) => Ok(u64::from(kilohertz) * 1000),
        Err(error) if error.errno() == libc::EIO => Err(Error::KvmClock),
        Err(error) => Err(failed("GET_TSC_KHZ")(error)),
    }
}
