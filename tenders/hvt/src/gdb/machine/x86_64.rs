//! 64-bit x86: breakpoints and steps by the debug registers, FPU and vector registers by XSAVE.

use gdbstub::target::ext::breakpoints::WatchKind;
use gdbstub_arch::x86::X86_64_SSE;
use gdbstub_arch::x86::reg::X86_64CoreRegs;
use kvm_bindings::{
    KVM_GUESTDBG_ENABLE, KVM_GUESTDBG_SINGLESTEP, KVM_GUESTDBG_USE_HW_BP, kvm_guest_debug, kvm_regs,
};
use kvm_ioctls::{VcpuFd, VmFd};
use solo5_tender::memory::Allegation;
use solo5_tender::seccomp::Rule;

use super::stop::{Cause, Hardware};
use crate::exit::{Exit, REASON_HALT};
use crate::memory::SharedMemory;
use crate::xsave::Floats;

/// How gdb numbers the registers.
pub(crate) type Description = X86_64_SSE;

/// The KVM requests that the debugger makes.
pub(crate) const REQUESTS: &[(u32, &str)] = &[
    (0x4090_ae82, "KVM_SET_REGS"),
    (0x8138_ae83, "KVM_GET_SREGS"),
    (0x4138_ae84, "KVM_SET_SREGS"),
    (0x9000_aea4, "KVM_GET_XSAVE"),
    (0x5000_aea5, "KVM_SET_XSAVE"),
    (0x4048_ae9b, "KVM_SET_GUEST_DEBUG"),
];

/// The instruction used as a software breakpoint: `hlt`. Like `int3` it is one byte long. It stops
/// the CPU on every KVM, while some KVMs cannot intercept `int3`. And `int3` stays free for the
/// guest's own use.
pub(crate) const BREAKPOINT: [u8; 1] = [0xf4];

/// Number of hardware breakpoints and watchpoints of the CPU.
pub(crate) const HARDWARE_MAX: usize = 4;

/// How many breakpoints and watchpoints the CPU has: every one has four, of any kind.
#[derive(Clone, Copy, Debug)]
pub struct Limits;

impl Limits {
    /// Those of a machine.
    pub fn of(_: &VmFd) -> Limits {
        Limits
    }

    /// Whether the CPU can have `new` besides `_others`.
    pub(crate) fn allow(self, _others: &[Option<Hardware>], new: &Hardware) -> bool {
        control(new).is_some()
    }
}

/// The system calls that [`fetch_anew`] needs: none.
pub(crate) fn rules() -> Vec<Rule> {
    Vec::new()
}

/// Does nothing: the CPU sees changes of instructions.
pub(crate) fn fetch_anew(_: &SharedMemory, _: Allegation) {}

/// Type and length of a breakpoint as in DR7, two bits each; `None` if DR7 cannot express them.
fn control(of: &Hardware) -> Option<u64> {
    // x86 cannot watch only reads.
    let kind = match of.watch {
        None => 0b00,
        Some(WatchKind::Write) => 0b01,
        Some(WatchKind::Read | WatchKind::ReadWrite) => 0b11,
    };
    let length = match (of.watch, of.length) {
        (None, _) | (_, 1) => 0b00,
        (_, 2) => 0b01,
        (_, 4) => 0b11,
        (_, 8) => 0b10,
        _ => return None,
    };
    let aligned = of.watch.is_none() || of.address.is_multiple_of(of.length);
    aligned.then_some(length << 2 | kind)
}

/// What KVM is told about where to stop the guest.
pub(crate) fn request(single_step: bool, hardware: &[Option<Hardware>]) -> kvm_guest_debug {
    let mut debug = kvm_guest_debug { control: KVM_GUESTDBG_ENABLE, ..kvm_guest_debug::default() };
    if single_step {
        debug.control |= KVM_GUESTDBG_SINGLESTEP;
    }
    let [.., dr7] = &mut debug.arch.debugreg;
    // A reserved bit that is always set.
    *dr7 = 1 << 10;
    for (index, slot) in hardware.iter().enumerate() {
        let Some(control) = slot.as_ref().and_then(control) else {
            continue;
        };
        debug.control |= KVM_GUESTDBG_USE_HW_BP;
        *dr7 |= 0b10 << (2 * index) | control << (16 + 4 * index);
    }
    for (index, slot) in hardware.iter().enumerate() {
        if let (Some(slot), Some(place)) = (slot, debug.arch.debugreg.get_mut(index)) {
            *place = slot.address;
        }
    }
    debug
}

/// What a debug exit means, if these breakpoints are armed: `dr6` is the value of DR6.
pub(crate) fn cause(
    _: &VcpuFd,
    (dr6, _): (u64, u64),
    hardware: &[Option<Hardware>; HARDWARE_MAX],
) -> Cause {
    const SINGLE_STEP: u64 = 1 << 14;
    let hit = (0..).zip(hardware).find(|(index, _)| dr6 >> index & 1 != 0);
    match hit {
        Some((_, Some(hardware))) => Cause::Hardware(*hardware),
        _ if dr6 & SINGLE_STEP != 0 => Cause::Step,
        _ => Cause::Other,
    }
}

/// Where the instruction of a software breakpoint is, if the CPU has just executed one.
pub(crate) fn executed(vcpu: &VcpuFd, exit: Exit) -> Option<u64> {
    let is_halt = exit == Exit::Other(REASON_HALT);
    is_halt.then(|| vcpu.get_regs().ok()).flatten().map(|registers| registers.rip.wrapping_sub(1))
}

/// Sets the CPU back to the breakpoint at `at`, which it has executed.
pub(crate) fn go_back(vcpu: &VcpuFd, at: u64) -> bool {
    let set = |mut registers: kvm_regs| {
        registers.rip = at;
        vcpu.set_regs(&registers)
    };
    vcpu.get_regs().and_then(set).is_ok()
}

/// Does nothing: a guest that halts is ended, with or without a debugger.
pub(crate) fn pass_on(_: &VcpuFd, _: Exit) -> bool {
    false
}

/// Reads the registers.
pub(crate) fn read(vcpu: &VcpuFd, regs: &mut X86_64CoreRegs) -> Result<(), kvm_ioctls::Error> {
    let general = vcpu.get_regs()?;
    let special = vcpu.get_sregs()?;
    let area = vcpu.get_xsave()?;
    let float = Floats::read(&area.region);
    regs.regs = [
        general.rax,
        general.rbx,
        general.rcx,
        general.rdx,
        general.rsi,
        general.rdi,
        general.rbp,
        general.rsp,
        general.r8,
        general.r9,
        general.r10,
        general.r11,
        general.r12,
        general.r13,
        general.r14,
        general.r15,
    ];
    regs.rip = general.rip;
    regs.eflags = general.rflags as u32;
    regs.segments.cs = special.cs.selector.into();
    regs.segments.ss = special.ss.selector.into();
    regs.segments.ds = special.ds.selector.into();
    regs.segments.es = special.es.selector.into();
    regs.segments.fs = special.fs.selector.into();
    regs.segments.gs = special.gs.selector.into();
    regs.st = float.st;
    regs.fpu.fctrl = float.control.into();
    regs.fpu.fstat = float.status.into();
    regs.fpu.ftag = full_tags(float.tags);
    regs.fpu.fioff = float.last_ip as u32;
    regs.fpu.fooff = float.last_dp as u32;
    regs.fpu.fop = float.opcode.into();
    for (to, from) in regs.xmm.iter_mut().zip(float.xmm) {
        *to = u128::from_le_bytes(from);
    }
    regs.mxcsr = float.mxcsr;
    Ok(())
}

/// Writes the registers.
pub(crate) fn write(vcpu: &VcpuFd, regs: &X86_64CoreRegs) -> Result<(), kvm_ioctls::Error> {
    let mut general = vcpu.get_regs()?;
    [
        general.rax,
        general.rbx,
        general.rcx,
        general.rdx,
        general.rsi,
        general.rdi,
        general.rbp,
        general.rsp,
        general.r8,
        general.r9,
        general.r10,
        general.r11,
        general.r12,
        general.r13,
        general.r14,
        general.r15,
    ] = regs.regs;
    general.rip = regs.rip;
    general.rflags = regs.eflags.into();
    let mut area = vcpu.get_xsave()?;
    let mut float = Floats::read(&area.region);
    float.st = regs.st;
    float.control = regs.fpu.fctrl as u16;
    float.status = regs.fpu.fstat as u16;
    float.tags = short_tags(regs.fpu.ftag);
    for (to, from) in float.xmm.iter_mut().zip(regs.xmm) {
        *to = from.to_le_bytes();
    }
    float.mxcsr = regs.mxcsr;
    vcpu.set_regs(&general)?;
    // gdb writes all registers even to change one. If these are unchanged, skip the call.
    if float != Floats::read(&area.region) {
        float.write(&mut area.region);
        // SAFETY: the kernel reads as many bytes as it has written above.
        unsafe { vcpu.set_xsave(&area) }?;
    }
    Ok(())
}

/// Converts the x87 tag word from one bit per register, set if it is not empty, to gdb's two bits
/// per register.
fn full_tags(short: u8) -> u32 {
    (0..8).fold(0, |tags, index| {
        let tag = if short >> index & 1 != 0 { 0b00 } else { 0b11 };
        tags | tag << (2 * index)
    })
}

/// The reverse of [`full_tags`].
fn short_tags(full: u32) -> u8 {
    (0..8).fold(0, |tags, index| tags | u8::from(full >> (2 * index) & 0b11 != 0b11) << index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn breakpoints_are_encoded_as_in_dr7() {
        let control = |watch, address, length| super::control(&Hardware { address, length, watch });
        assert_eq!(control(None, 0x10_0001, 1), Some(0));
        assert_eq!(control(Some(WatchKind::Write), 0x1000, 4), Some(0b1101));
        assert_eq!(control(Some(WatchKind::Write), 0x1000, 8), Some(0b1001));
        assert_eq!(control(Some(WatchKind::Read), 0x1000, 2), Some(0b0111));
        assert_eq!(control(Some(WatchKind::ReadWrite), 0x1000, 1), Some(0b0011));
        assert_eq!(control(Some(WatchKind::Write), 0x1001, 4), None, "not aligned");
        assert_eq!(control(Some(WatchKind::Write), 0x1000, 3), None);
        assert_eq!(control(Some(WatchKind::Write), 0x1000, 0), None);
    }

    #[test]
    fn tag_words_convert_both_ways() {
        assert_eq!(full_tags(0), 0xffff);
        assert_eq!(full_tags(1), 0xfffc);
        for short in 0..=u8::MAX {
            assert_eq!(short_tags(full_tags(short)), short);
        }
    }
}
