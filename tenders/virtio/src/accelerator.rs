//! Whether guests can run on this host's KVM.
//!
//! That `/dev/kvm` can be opened says little. On some hosts KVM interprets a guest's privileged code
//! and knows no vector instructions, so a guest stops at its first one and QEMU waits for ever. So a
//! machine of one page is made, whose CPU executes such an instruction and halts.

use kvm_bindings::{kvm_regs, kvm_userspace_memory_region};
use kvm_ioctls::{Kvm, VcpuExit};
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use solo5_tender::error::Error;
use solo5_tender::safeguard::kvm_lack;
use solo5_tender::sys::Errno;

/// The version of KVM's API.
const API_VERSION: i32 = 12;
const PAGE: usize = 4096;
/// Where the page lies in the machine.
const ADDRESS: u16 = 0x1000;
/// Where in the page the instruction's operand lies.
const OPERAND: u16 = 0x80;
/// The state of the vector unit after a reset.
const MXCSR: u32 = 0x1f80;
/// The bit of CR4 that switches vector instructions on.
const CR4_OSFXSR: u64 = 1 << 9;

/// Whether the first vector instruction of a guest works under KVM.
pub fn runs_guests() -> bool {
    flaw().is_none()
}

/// Why KVM does not run guests on this host.
pub fn flaw() -> Option<&'static str> {
    match try_out() {
        Some(true) => None,
        Some(false) => Some("it is there, and stops at the first vector instruction"),
        None => Some(lack().unwrap_or("it makes no machine")),
    }
}

/// Why this process cannot use KVM.
pub fn lack() -> Option<&'static str> {
    match require() {
        Ok(()) => None,
        Err(Error::KvmOpen { error }) => Some(kvm_lack(error)),
        Err(_) => Some("it has another version"),
    }
}

/// Checks that KVM can be opened, for a user who asks for it by name.
///
/// # Errors
///
/// Why not.
pub fn require() -> Result<(), Error> {
    let errno = |error: kvm_ioctls::Error| Errno::from_raw_os_error(error.errno());
    let kvm = Kvm::new().map_err(|error| Error::KvmOpen { error: errno(error) })?;
    match kvm.get_api_version() {
        API_VERSION => Ok(()),
        have => Err(Error::KvmVersion { have }),
    }
}

/// Runs the machine; `None` if it cannot be made.
fn try_out() -> Option<bool> {
    let kvm = Kvm::new().ok().filter(|kvm| kvm.get_api_version() == API_VERSION)?;
    let vm = kvm.create_vm().ok()?;
    let page = page()?;
    let region = kvm_userspace_memory_region {
        slot: 0,
        flags: 0,
        guest_phys_addr: ADDRESS.into(),
        memory_size: PAGE as u64,
        userspace_addr: page as u64,
    };
    // SAFETY: `page` is a mapping of its own, which is unmapped only after the machine is gone.
    unsafe { vm.set_user_memory_region(region) }.ok()?;
    let mut vcpu = vm.create_vcpu(0).ok()?;
    let mut special = vcpu.get_sregs().ok()?;
    special.cs.base = 0;
    special.cs.selector = 0;
    special.cr4 |= CR4_OSFXSR;
    vcpu.set_sregs(&special).ok()?;
    // Bit 1 of the flags is always set.
    let general = kvm_regs { rip: ADDRESS.into(), rflags: 2, ..kvm_regs::default() };
    vcpu.set_regs(&general).ok()?;
    let halted = matches!(vcpu.run(), Ok(VcpuExit::Hlt));
    drop((vcpu, vm));
    // SAFETY: no machine and no reference uses the mapping any more.
    let _ = unsafe { munmap(page.cast(), PAGE) };
    Some(halted)
}

/// A page with `ldmxcsr [OPERAND]` and `hlt` in the machine's 16-bit code.
fn page() -> Option<*mut u8> {
    let rights = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a new mapping at an address that the kernel chooses replaces nothing.
    let page = unsafe { mmap_anonymous(std::ptr::null_mut(), PAGE, rights, MapFlags::PRIVATE) };
    let page = page.ok()?.cast::<u8>();
    let mut content = [0; PAGE];
    let [low, high] = (ADDRESS + OPERAND).to_le_bytes();
    let parts = [(0, &[0x0f, 0xae, 0x16, low, high, 0xf4][..]), (OPERAND, &MXCSR.to_le_bytes())];
    for (at, bytes) in parts {
        let place = content.iter_mut().skip(at.into());
        place.zip(bytes).for_each(|(to, from)| *to = *from);
    }
    // SAFETY: the mapping has this size, is new, and nothing else refers to it.
    unsafe { page.copy_from_nonoverlapping(content.as_ptr(), PAGE) };
    Some(page)
}
