//! A wrapper around KVM (`docs/reference/hvt.md#cpu`). Outside the debugger, no other file uses
//! `kvm-ioctls`.

use std::os::fd::{AsRawFd, RawFd};

use kvm_bindings::{
    KVM_EXIT_DEBUG, KVM_EXIT_FAIL_ENTRY, KVM_EXIT_INTERNAL_ERROR, KVM_EXIT_IO, KVM_EXIT_IO_OUT,
    KVM_EXIT_MMIO, kvm_run, kvm_userspace_memory_region,
};
use kvm_ioctls::{Cap, Kvm, NoDatamatch, VcpuFd, VmFd};
use solo5_tender::arch::system_call;
use solo5_tender::error::Error;
use solo5_tender::safeguard::kvm_lack;
use vmm_sys_util::eventfd::EventFd;

use crate::arch::{self, Registers, Support};
use crate::exit::Exit;
use crate::filter::KVM_RUN;
use crate::kvm_error::{errno, failed};
use crate::layout::Executable;

/// The version of KVM's API.
const API_VERSION: i32 = 12;

/// A machine with one CPU.
#[derive(Debug)]
pub struct Machine {
    vm: VmFd,
    vcpu: VcpuFd,
    support: Support,
}

impl Machine {
    /// Makes a machine without memory.
    pub fn new() -> Result<Machine, Error> {
        let open = |error| Error::KvmOpen { error: errno(error) };
        let kvm = Kvm::new().map_err(open)?;
        let have = kvm.get_api_version();
        if have != API_VERSION {
            return Err(Error::KvmVersion { have });
        }
        let vm = kvm.create_vm().map_err(failed("CREATE_VM"))?;
        if !vm.check_extension(Cap::UserMemory) {
            let what = "KVM_CAP_USER_MEMORY";
            return Err(Error::KvmLacks { what });
        }
        let support = Support::find(&kvm, &vm)?;
        let vcpu = vm.create_vcpu(0).map_err(failed("CREATE_VCPU"))?;
        Ok(Machine { vm, vcpu, support })
    }

    /// What KVM supports of this architecture.
    pub fn support(&self) -> &Support {
        &self.support
    }

    /// Makes host addresses `host .. host + size` the guest's memory from guest address 0.
    ///
    /// # Safety
    ///
    /// These addresses are one mapping that holds no object of this program and lasts until the
    /// process ends.
    pub unsafe fn set_memory(&self, host: usize, size: u64) -> Result<(), Error> {
        let region = kvm_userspace_memory_region {
            slot: 0,
            flags: 0,
            guest_phys_addr: 0,
            memory_size: size,
            userspace_addr: host as u64,
        };
        // SAFETY: the caller's promise.
        let set = unsafe { self.vm.set_user_memory_region(region) };
        set.map_err(failed("SET_USER_MEMORY_REGION"))
    }

    /// Makes a kick signal `kick` instead of stopping the CPU.
    pub fn kick(&self, kick: &EventFd) -> Result<(), Error> {
        let done = self.vm.register_ioevent(kick, &arch::KICK, NoDatamatch);
        done.map_err(|error| Error::RingOff { what: "KVM_IOEVENTFD", error: errno(error) })
    }

    /// Whether KVM can signal an eventfd on a write (ioeventfd).
    pub fn can_kick(&self) -> bool {
        self.vm.check_extension(Cap::Ioeventfd)
    }

    /// Sets the CPU's initial state, for an image with this entry point and `guest` bytes of memory.
    pub fn set_cpu(&self, executable: Executable<'_>, entry: u64, guest: u64) -> Result<(), Error> {
        arch::set_cpu(&self.vm, &self.vcpu, &self.support, executable, (entry, guest))
    }

    /// Frequency of the CPU's counter in Hz; not 0.
    pub fn counter_frequency(&self) -> Result<u64, Error> {
        arch::counter_frequency(&self.vcpu)
    }

    /// The `kvm-ioctls` handle, for the debugger.
    pub fn kvm(&self) -> &VmFd {
        &self.vm
    }

    /// Keeps only the CPU; its descriptor keeps the machine alive.
    pub fn into_vcpu(self) -> Vcpu {
        Vcpu(self.vcpu)
    }
}

/// What KVM supports.
///
/// # Errors
///
/// Why this process cannot use it.
pub fn probe() -> Result<Support, &'static str> {
    let kvm = Kvm::new().map_err(|error| kvm_lack(errno(error)))?;
    if kvm.get_api_version() != API_VERSION {
        return Err("it has another version");
    }
    Support::probe(&kvm).ok_or("it does not say what it supports")
}

/// The guest's CPU.
#[derive(Debug)]
pub struct Vcpu(VcpuFd);

impl Vcpu {
    /// Its descriptor.
    pub fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// Runs the CPU until it stops. Does not allocate.
    pub fn run(&mut self) -> Exit {
        // Not `VcpuFd::run`, which decodes the exit too, for far more kinds of machine.
        let arguments = [self.fd() as usize, KVM_RUN as usize, 0, 0, 0, 0];
        // SAFETY: the descriptor is a CPU's. The call writes guest memory and the area shared with KVM.
        let result = unsafe { system_call(libc::SYS_ioctl, arguments) };
        let run = self.0.get_kvm_run();
        match -result as i32 {
            0 => decoded(run),
            libc::EINTR | libc::EAGAIN => Exit::Again,
            libc::EFAULT => Exit::Translation,
            error => Exit::Failed(error),
        }
    }

    /// Finishes the access that stopped the CPU last, and does not run the guest on.
    pub fn finish(&mut self) -> Exit {
        self.0.set_kvm_immediate_exit(1);
        let exit = self.run();
        self.0.set_kvm_immediate_exit(0);
        exit
    }

    /// Its general registers.
    pub fn registers(&self) -> Option<Registers> {
        arch::registers(&self.0)
    }

    /// The flag that makes [`Vcpu::run`] return at once, to be set by a signal handler.
    pub fn immediate_exit(&mut self) -> *mut u8 {
        &raw mut self.0.get_kvm_run().immediate_exit
    }

    /// Clears the flag of [`Vcpu::immediate_exit`].
    pub fn clear_immediate_exit(&mut self) {
        self.0.set_kvm_immediate_exit(0);
    }

    /// The `kvm-ioctls` handle, for the debugger.
    pub fn kvm(&self) -> &VcpuFd {
        &self.0
    }
}

/// Decodes the exit that KVM reports.
fn decoded(run: &mut kvm_run) -> Exit {
    match run.exit_reason {
        KVM_EXIT_IO => {
            // SAFETY: the exit reason tells which member is valid, and it consists only of
            // integers.
            let io = unsafe { run.__bindgen_anon_1.io };
            let write = u32::from(io.direction) == KVM_EXIT_IO_OUT;
            Exit::Port {
                port: io.port,
                write,
                size: io.size,
                count: io.count,
                value: if io.size == 4 && io.count == 1 {
                    port_value(run, io.data_offset)
                } else {
                    0
                },
            }
        }
        KVM_EXIT_MMIO => {
            // SAFETY: as above.
            let mmio = unsafe { run.__bindgen_anon_1.mmio };
            let (address, write, size) = (mmio.phys_addr, mmio.is_write != 0, mmio.len);
            if arch::CALLS.is_none_or(|calls| address < calls) {
                return Exit::Mmio { address, write };
            }
            let [a, b, c, d, ..] = mmio.data;
            let value = if write && size == 4 { u32::from_le_bytes([a, b, c, d]) } else { 0 };
            Exit::Device { address, write, size, value }
        }
        KVM_EXIT_DEBUG => {
            // SAFETY: as above.
            let debug = unsafe { run.__bindgen_anon_1.debug }.arch;
            #[cfg(target_arch = "x86_64")]
            let (cause, address) = (debug.dr6, 0);
            #[cfg(target_arch = "aarch64")]
            let (cause, address) =
                (u64::from(debug.hsr_high) << 32 | u64::from(debug.hsr), debug.far);
            Exit::Debug { cause, address }
        }
        KVM_EXIT_FAIL_ENTRY => {
            // SAFETY: as above.
            let entry = unsafe { run.__bindgen_anon_1.fail_entry };
            Exit::Entry(entry.hardware_entry_failure_reason)
        }
        KVM_EXIT_INTERNAL_ERROR => {
            // SAFETY: as above.
            let internal = unsafe { run.__bindgen_anon_1.internal };
            Exit::Internal(internal.suberror)
        }
        reason => Exit::Other(reason),
    }
}

/// The 4 bytes at `offset` of the area shared with KVM.
fn port_value(run: &kvm_run, offset: u64) -> u32 {
    let area = std::ptr::from_ref(run).cast::<u8>();
    // SAFETY: the offset comes from the kernel, which has put the operand there; `kvm-ioctls` has
    // mapped the whole area.
    let from = unsafe { area.add(offset as usize) };
    // SAFETY: these are the operand's 4 bytes, and nothing writes to them while the CPU is stopped.
    unsafe { from.cast::<u32>().read_unaligned() }
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use kvm_bindings::KVM_EXIT_HLT;
    use solo5_tender::sys::Errno;

    use super::*;

    /// What KVM reports for a port access of the given kind; the operand is 0x1122_3344.
    fn port(direction: u32, size: u8, count: u32) -> kvm_run {
        let mut run = kvm_run { exit_reason: KVM_EXIT_IO, ..kvm_run::default() };
        // SAFETY: every bit pattern is a valid value of this member.
        let io = unsafe { &mut run.__bindgen_anon_1.io };
        (io.port, io.direction, io.size, io.count) = (0x501, direction as u8, size, count);
        io.data_offset = offset_of!(kvm_run, s) as u64;
        // SAFETY: as above.
        let operand = unsafe { &mut run.s.padding };
        for (to, byte) in operand.iter_mut().zip(0x1122_3344u32.to_ne_bytes()) {
            *to = byte as _;
        }
        run
    }

    #[test]
    fn a_port_access_carries_its_operand_if_it_has_32_bits() {
        let exit =
            |write, size, count, value| Exit::Port { port: 0x501, write, size, count, value };
        let run = |direction, size, count| decoded(&mut port(direction, size, count));
        assert_eq!(run(KVM_EXIT_IO_OUT, 4, 1), exit(true, 4, 1, 0x1122_3344));
        assert_eq!(run(0, 4, 1), exit(false, 4, 1, 0x1122_3344));
        assert_eq!(run(KVM_EXIT_IO_OUT, 2, 1), exit(true, 2, 1, 0), "another size");
        assert_eq!(run(KVM_EXIT_IO_OUT, 4, 2), exit(true, 4, 2, 0), "a repetition");
    }

    #[test]
    fn other_exits_keep_what_kvm_says() {
        let reason = |exit_reason| kvm_run { exit_reason, ..kvm_run::default() };
        let mut run = reason(KVM_EXIT_MMIO);
        run.__bindgen_anon_1.mmio.phys_addr = 0x4000_0000;
        run.__bindgen_anon_1.mmio.is_write = 1;
        assert_eq!(decoded(&mut run), Exit::Mmio { address: 0x4000_0000, write: true });
        let mut run = reason(KVM_EXIT_FAIL_ENTRY);
        run.__bindgen_anon_1.fail_entry.hardware_entry_failure_reason = 0x8000_0021;
        assert_eq!(decoded(&mut run), Exit::Entry(0x8000_0021));
        let mut run = reason(KVM_EXIT_INTERNAL_ERROR);
        run.__bindgen_anon_1.internal.suberror = 1;
        assert_eq!(decoded(&mut run), Exit::Internal(1));
        assert_eq!(decoded(&mut reason(KVM_EXIT_HLT)), Exit::Other(KVM_EXIT_HLT));
    }

    #[test]
    fn a_failed_call_is_named_with_its_error() {
        let error = failed("SET_REGS")(kvm_ioctls::Error::new(libc::EINVAL));
        assert_eq!(error, Error::KvmCall { name: "SET_REGS", error: Errno::INVAL });
    }
}
