//! 64-bit Arm: breakpoints by the instruction `brk`, by debug registers and by single steps, all of which KVM reports with
//! the syndrome of the exception (Arm's manual, D17.2.37, ESR_ELx).
//!
//! While a debugger is there, KVM takes every debug exception of the guest. A `brk` that is none of the debugger's is
//! handed on to the guest.

mod description;
mod exception;
mod points;

use kvm_bindings::{
    KVM_CAP_GUEST_DEBUG_HW_BPS, KVM_CAP_GUEST_DEBUG_HW_WPS, KVM_GUESTDBG_ENABLE,
    KVM_GUESTDBG_SINGLESTEP, KVM_GUESTDBG_USE_HW, KVM_GUESTDBG_USE_SW_BP, kvm_guest_debug,
};
use kvm_ioctls::{VcpuFd, VmFd};
use solo5_tender::memory::Allegation;
use solo5_tender::seccomp::calls::MADVISE;
use solo5_tender::seccomp::{Condition, Rule, Test};

pub(crate) use self::description::{All, Description};
use super::stop::{Cause, Hardware};
use crate::arch::registers::{core, get, get_bytes, set, system};
use crate::exit::Exit;
use crate::memory::SharedMemory;

type Result<T> = std::result::Result<T, kvm_ioctls::Error>;

/// The KVM requests that the debugger makes.
pub(crate) const REQUESTS: &[(u32, &str)] =
    &[(0x4010_aeac, "KVM_SET_ONE_REG"), (0x4208_ae9b, "KVM_SET_GUEST_DEBUG")];

/// The instruction that is a software breakpoint: `brk #0`, as gdb's own.
pub(crate) const BREAKPOINT: [u8; 4] = 0xd420_0000u32.to_le_bytes();

/// Most breakpoints of a CPU, and most watchpoints.
const EACH_MAX: usize = 16;

/// Most breakpoints and watchpoints together.
pub(crate) const HARDWARE_MAX: usize = 2 * EACH_MAX;

/// Classes of exceptions, those of a lower level.
const BREAKPOINT_HIT: u64 = 0x30;
const STEP_DONE: u64 = 0x32;
const WATCHPOINT_HIT: u64 = 0x34;
const BRK: u64 = 0x3c;

/// The class of exceptions with this syndrome.
fn class(syndrome: u64) -> u64 {
    syndrome >> 26 & 0x3f
}

/// How many breakpoints and watchpoints the CPU has.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    breakpoints: usize,
    watchpoints: usize,
}

impl Limits {
    /// Those of a machine.
    pub fn of(vm: &VmFd) -> Limits {
        let number = |capability: u32| {
            let found = vm.check_extension_raw(capability.into());
            usize::try_from(found).unwrap_or(0).min(EACH_MAX)
        };
        Limits {
            breakpoints: number(KVM_CAP_GUEST_DEBUG_HW_BPS),
            watchpoints: number(KVM_CAP_GUEST_DEBUG_HW_WPS),
        }
    }

    /// Whether the CPU can have `new` besides `others`.
    pub(crate) fn allow(self, others: &[Option<Hardware>], new: &Hardware) -> bool {
        let is_alike = |other: &&Hardware| other.watch.is_some() == new.watch.is_some();
        let (can, most) = match new.watch {
            None => (new.address.is_multiple_of(BREAKPOINT.len() as u64), self.breakpoints),
            Some(kind) => {
                let can = points::watchpoint(new.address, new.length, kind).is_some();
                (can, self.watchpoints)
            }
        };
        can && others.iter().flatten().filter(is_alike).count() < most
    }
}

/// The system calls that [`fetch_anew`] needs.
pub(crate) fn rules() -> Vec<Rule> {
    let advice = Condition::new(2, "advice", Test::low(libc::MADV_DONTNEED as u32));
    let advice = advice.meaning("MADV_DONTNEED");
    vec![Rule::allow(MADVISE, vec![advice], "gdb: a changed instruction")]
}

/// Makes the guest fetch instructions there as they are now.
///
/// A CPU's instruction cache need not see what is written to memory, and the instruction that cleans it reaches only one of
/// two mappings if that cache has lines by virtual addresses. KVM cleans the caches for whatever page it puts into the
/// machine's tables for execution. So the tables lose the page, and KVM has to put it there anew.
pub(crate) fn fetch_anew(memory: &SharedMemory, at: Allegation) {
    // SAFETY: a guest with a debugger has its memory from `backing`, and `map` has mapped that as shared.
    unsafe { memory.map_anew(at) };
}

/// What KVM is told about where to stop the guest.
pub(crate) fn request(single_step: bool, hardware: &[Option<Hardware>]) -> kvm_guest_debug {
    let mut debug = kvm_guest_debug {
        control: KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP,
        ..kvm_guest_debug::default()
    };
    if single_step {
        debug.control |= KVM_GUESTDBG_SINGLESTEP;
    }
    let arch = &mut debug.arch;
    let breakpoints = hardware.iter().flatten().filter(|hardware| hardware.watch.is_none());
    for ((value, control), of) in arch.dbg_bvr.iter_mut().zip(&mut arch.dbg_bcr).zip(breakpoints) {
        (*value, *control) = (of.address, points::BREAKPOINT);
        debug.control |= KVM_GUESTDBG_USE_HW;
    }
    let watchpoints = hardware
        .iter()
        .flatten()
        .filter_map(|of| of.watch.and_then(|kind| points::watchpoint(of.address, of.length, kind)));
    for ((value, control), watchpoint) in
        arch.dbg_wvr.iter_mut().zip(&mut arch.dbg_wcr).zip(watchpoints)
    {
        (*value, *control) = watchpoint;
        debug.control |= KVM_GUESTDBG_USE_HW;
    }
    debug
}

/// What a debug exit means, if these breakpoints are armed.
pub(crate) fn cause(
    vcpu: &VcpuFd,
    (syndrome, address): (u64, u64),
    hardware: &[Option<Hardware>; HARDWARE_MAX],
) -> Cause {
    let armed = hardware.iter().flatten();
    let found = match class(syndrome) {
        STEP_DONE => return Cause::Step,
        BREAKPOINT_HIT => {
            let pc = get(vcpu, core::PC).ok();
            armed.filter(|of| of.watch.is_none()).find(|of| Some(of.address) == pc)
        }
        WATCHPOINT_HIT => points::nearest(armed.filter(|of| of.watch.is_some()), address),
        _ => None,
    };
    found.map_or(Cause::Other, |found| Cause::Hardware(*found))
}

/// Where the instruction `brk` is, if one has stopped the CPU.
pub(crate) fn executed(vcpu: &VcpuFd, exit: Exit) -> Option<u64> {
    match exit {
        Exit::Debug { cause, .. } if class(cause) == BRK => get(vcpu, core::PC).ok(),
        _ => None,
    }
}

/// The CPU is still at the breakpoint.
pub(crate) fn go_back(_: &VcpuFd, _: u64) -> bool {
    true
}

/// Enters the guest's own handler for its instruction `brk`, as the CPU does where there is no debugger; false if that
/// is not possible.
pub(crate) fn pass_on(vcpu: &VcpuFd, exit: Exit) -> bool {
    let Exit::Debug { cause, .. } = exit else {
        return false;
    };
    enter_handler(vcpu, cause).is_ok_and(|done| done)
}

/// Takes the exception with this syndrome to EL1; false if the guest's mode has no handler for it there.
fn enter_handler(vcpu: &VcpuFd, syndrome: u64) -> Result<bool> {
    let (pc, pstate) = (get(vcpu, core::PC)?, get(vcpu, core::PSTATE)?);
    let Some(offset) = exception::handler(pstate) else {
        return Ok(false);
    };
    let (vectors, sctlr) = (get(vcpu, system::VBAR)?, get(vcpu, system::SCTLR)?);
    set(vcpu, system::ESR, syndrome)?;
    set(vcpu, core::ELR_EL1, pc)?;
    set(vcpu, core::SPSR_EL1, pstate & !exception::STEP)?;
    set(vcpu, core::PSTATE, exception::entered(pstate, sctlr))?;
    set(vcpu, core::PC, vectors.wrapping_add(offset))?;
    Ok(true)
}

/// Reads the registers.
pub(crate) fn read(vcpu: &VcpuFd, regs: &mut All) -> Result<()> {
    let pstate = get(vcpu, core::PSTATE)?;
    for (number, x) in (0..).zip(&mut regs.x) {
        *x = get(vcpu, core::x(number))?;
    }
    regs.sp = get(vcpu, core::sp(pstate))?;
    regs.pc = get(vcpu, core::PC)?;
    regs.cpsr = pstate as u32;
    for (number, v) in (0..).zip(&mut regs.v) {
        *v = u128::from_ne_bytes(get_bytes(vcpu, core::v(number))?);
    }
    regs.fpsr = u32::from_ne_bytes(get_bytes(vcpu, core::FPSR)?);
    regs.fpcr = u32::from_ne_bytes(get_bytes(vcpu, core::FPCR)?);
    Ok(())
}

/// Writes those registers that differ from the CPU's: gdb writes all of them even to change one.
pub(crate) fn write(vcpu: &VcpuFd, regs: &All) -> Result<()> {
    let mut old = All::default();
    read(vcpu, &mut old)?;
    let put = |register, new: &[u8], old: &[u8]| match new == old {
        true => Ok(()),
        false => vcpu.set_one_reg(register, new).map(drop),
    };
    // First what KVM may refuse: a mode that the guest cannot be in.
    let pstate = get(vcpu, core::PSTATE)?;
    let new = pstate >> 32 << 32 | u64::from(regs.cpsr);
    put(core::PSTATE, &new.to_ne_bytes(), &pstate.to_ne_bytes())?;
    // gdb's value is that of the stack pointer that was in use.
    put(core::sp(pstate), &regs.sp.to_ne_bytes(), &old.sp.to_ne_bytes())?;
    put(core::PC, &regs.pc.to_ne_bytes(), &old.pc.to_ne_bytes())?;
    for ((number, new), old) in (0..).zip(&regs.x).zip(&old.x) {
        put(core::x(number), &new.to_ne_bytes(), &old.to_ne_bytes())?;
    }
    for ((number, new), old) in (0..).zip(&regs.v).zip(&old.v) {
        put(core::v(number), &new.to_ne_bytes(), &old.to_ne_bytes())?;
    }
    put(core::FPSR, &regs.fpsr.to_ne_bytes(), &old.fpsr.to_ne_bytes())?;
    put(core::FPCR, &regs.fpcr.to_ne_bytes(), &old.fpcr.to_ne_bytes())
}
