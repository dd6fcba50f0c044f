//! The registers in a core file.

use std::os::fd::RawFd;

use kvm_bindings::{kvm_regs, kvm_sregs};
use kvm_ioctls::VcpuFd;
use solo5_abi::hvt::x86_64::TrapFrame;
use solo5_tender::seccomp::calls::IOCTL;
use solo5_tender::seccomp::{Condition, Rule, Test};

/// `EM_X86_64`
pub const MACHINE: u16 = 62;
/// How many registers there are.
pub const REGISTERS: usize = 27;

/// `KVM_GET_SREGS`
const KVM_GET_SREGS: u32 = 0x8138_ae83;

/// The system calls that reading them needs besides those of the guest's thread.
pub fn rules(vcpu: RawFd) -> Vec<Rule> {
    let registers = Condition::new(1, "request", Test::low(KVM_GET_SREGS));
    let registers = registers.meaning("KVM_GET_SREGS");
    let cpu = Condition::descriptor(vcpu, "the CPU");
    vec![Rule::allow(IOCTL, vec![cpu, registers], "dumpcore: registers")]
}

/// The guest's current registers, or those of `trap`, in the order of Linux's `user_regs_struct`. `load`
/// reads guest memory.
pub fn registers(
    vcpu: &VcpuFd,
    trap: Option<&TrapFrame>,
    load: impl Fn(u64) -> Option<u64>,
) -> [u64; REGISTERS] {
    let special = vcpu.get_sregs().unwrap_or_default();
    let mut general = vcpu.get_regs().unwrap_or_default();
    if trap.is_some() {
        general.rbp = interrupted_frame(load, &general);
    }
    ordered(general, &special, trap)
}

/// These registers, or those of `trap`, in that order.
fn ordered(
    mut general: kvm_regs,
    special: &kvm_sregs,
    trap: Option<&TrapFrame>,
) -> [u64; REGISTERS] {
    let (mut cs, mut ss) = (u64::from(special.cs.selector), u64::from(special.ss.selector));
    if let Some(trap) = trap {
        (general.rip, general.rsp) = (trap.rip.get(), trap.rsp.get());
        general.rflags = trap.rflags.get();
        (cs, ss) = (trap.cs.get(), trap.ss.get());
    }
    [
        general.r15,
        general.r14,
        general.r13,
        general.r12,
        general.rbp,
        general.rbx,
        general.r11,
        general.r10,
        general.r9,
        general.r8,
        general.rax,
        general.rcx,
        general.rdx,
        general.rsi,
        general.rdi,
        u64::MAX, // orig_rax: not in a system call
        general.rip,
        cs,
        general.rflags,
        general.rsp,
        ss,
        special.fs.base,
        special.gs.base,
        special.ds.selector.into(),
        special.es.selector.into(),
        special.fs.selector.into(),
        special.gs.selector.into(),
    ]
}

/// Maximum stack of a trap handler in bytes.
const HANDLER_STACK: u64 = 0x1000;
/// Maximum depth of calls in a trap handler.
const HANDLER_CALLS: usize = 64;

/// The frame pointer of the code that a trap interrupted, given the registers `inside` the trap's
/// handler. It is the first frame pointer in the chain that does not point into the handler's own
/// stack. A handler compiled without frame pointers leaves it unchanged in `rbp`.
fn interrupted_frame(load: impl Fn(u64) -> Option<u64>, inside: &kvm_regs) -> u64 {
    let own = inside.rsp..inside.rsp.saturating_add(HANDLER_STACK);
    let mut frame = inside.rbp;
    for _ in 0..HANDLER_CALLS {
        if !own.contains(&frame) {
            break;
        }
        match load(frame) {
            Some(caller) => frame = caller,
            None => break,
        }
    }
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interrupted_frame_skips_the_handlers_own_frames() {
        let memory = crate::memory::testing::memory(0x4000, Vec::new());
        let load = |at| memory.load(at).ok();
        let inside = |rbp| kvm_regs { rsp: 0x2000, rbp, ..kvm_regs::default() };
        for (at, caller) in [(0x2100, 0x2200u64), (0x2200, 0x3800), (0x2300, 0x2300)] {
            memory.store(at, &caller).unwrap();
        }
        assert_eq!(interrupted_frame(load, &inside(0x2100)), 0x3800);
        assert_eq!(interrupted_frame(load, &inside(0x3800)), 0x3800);
        for untouched in [0, 0x1fff, u64::MAX] {
            let frame = interrupted_frame(load, &inside(untouched));
            assert_eq!(frame, untouched);
        }
        assert_eq!(interrupted_frame(load, &inside(0x2300)), 0x2300, "a cycle of frames ends");
        let above = kvm_regs { rsp: 0x3ff8, rbp: 0x4000, ..kvm_regs::default() };
        assert_eq!(interrupted_frame(load, &above), 0x4000, "past the end of memory");
    }

    #[test]
    fn a_trap_has_its_own_registers() {
        let trap =
            TrapFrame { rip: 0x10_0456.into(), rsp: 0x1f_0000.into(), ..TrapFrame::default() };
        let general = kvm_regs { rip: 0x10_0123, rax: 7, ..kvm_regs::default() };
        let found = |trap| ordered(general, &kvm_sregs::default(), trap);
        let (now, then) = (found(None), found(Some(&trap)));
        assert_eq!((now[10], now[16], now[19]), (7, 0x10_0123, 0));
        assert_eq!((then[10], then[16], then[19]), (7, 0x10_0456, 0x1f_0000));
    }
}
