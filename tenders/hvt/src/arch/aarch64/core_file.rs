//! The registers in a core file.

use std::os::fd::RawFd;

use kvm_ioctls::VcpuFd;
use solo5_abi::hvt::aarch64::TrapFrame;
use solo5_tender::seccomp::Rule;

use super::registers::{Registers, registers as current};

/// `EM_AARCH64`
pub const MACHINE: u16 = 183;
/// How many registers there are.
pub const REGISTERS: usize = 34;

/// The system calls that reading them needs besides those of the guest's thread: none.
pub fn rules(_: RawFd) -> Vec<Rule> {
    Vec::new()
}

/// The guest's current registers, or those of `trap`, in the order of Linux's `user_pt_regs`.
pub fn registers(
    vcpu: &VcpuFd,
    trap: Option<&TrapFrame>,
    _: impl Fn(u64) -> Option<u64>,
) -> [u64; REGISTERS] {
    ordered(&current(vcpu).unwrap_or_default(), trap)
}

/// These registers, or those of `trap`, in that order.
fn ordered(found: &Registers, trap: Option<&TrapFrame>) -> [u64; REGISTERS] {
    let (mut x, mut others) = (found.x, [found.sp, found.pc, found.pstate]);
    if let Some(trap) = trap {
        x = trap.x.map(|value| value.get());
        others = [trap.sp.get(), trap.pc.get(), trap.pstate.get()];
    }
    let mut all = [0; REGISTERS];
    for (to, from) in all.iter_mut().zip(x.into_iter().chain(others)) {
        *to = from;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trap_has_its_own_registers() {
        let trap = TrapFrame { pc: 0x10_0456.into(), sp: 8.into(), ..TrapFrame::default() };
        let found = Registers { x: [7; 31], sp: 16, pc: 0x10_0123, pstate: 0x3c5 };
        let (now, then) = (ordered(&found, None), ordered(&found, Some(&trap)));
        assert_eq!((now[30], now[31], now[32], now[33]), (7, 16, 0x10_0123, 0x3c5));
        assert_eq!((then[30], then[31], then[32], then[33]), (0, 8, 0x10_0456, 0));
    }
}
