//! The registers that messages show.

use std::fmt::{self, Write};

use kvm_bindings::kvm_regs;
use kvm_ioctls::VcpuFd;
pub use solo5_abi::hvt::x86_64::TrapFrame;
pub use solo5_tender::arch::PC;

/// The general registers.
pub type Registers = kvm_regs;

/// Name of the stack pointer in messages.
pub const SP: &str = "rsp";

/// KVM's request that reads them, and what the guest's thread may ask the CPU for.
pub const READ_REGISTERS: (u32, &str) = (0x8090_ae81, "KVM_RUN or KVM_GET_REGS");

/// The registers of a CPU that does not run.
pub fn registers(vcpu: &VcpuFd) -> Option<Registers> {
    vcpu.get_regs().ok()
}

/// The instruction pointer.
pub fn pc(registers: &Registers) -> u64 {
    registers.rip
}

/// The stack pointer.
pub fn sp(registers: &Registers) -> u64 {
    registers.rsp
}

/// The instruction pointer at a trap.
pub fn trap_pc(trap: &TrapFrame) -> u64 {
    trap.rip.get()
}

/// The stack pointer at a trap.
pub fn trap_sp(trap: &TrapFrame) -> u64 {
    trap.rsp.get()
}

/// The address whose access trapped, if one did.
pub fn trap_address(trap: &TrapFrame) -> u64 {
    trap.cr2.get()
}

/// Writes the general registers, on lines of their own.
pub fn write_registers(out: &mut impl Write, program: &str, regs: &kvm_regs) -> fmt::Result {
    let rows: [[(&str, u64); 3]; 6] = [
        [("rip", regs.rip), ("rsp", regs.rsp), ("rfl", regs.rflags)],
        [("rax", regs.rax), ("rbx", regs.rbx), ("rcx", regs.rcx)],
        [("rdx", regs.rdx), ("rsi", regs.rsi), ("rdi", regs.rdi)],
        [("rbp", regs.rbp), ("r8 ", regs.r8), ("r9 ", regs.r9)],
        [("r10", regs.r10), ("r11", regs.r11), ("r12", regs.r12)],
        [("r13", regs.r13), ("r14", regs.r14), ("r15", regs.r15)],
    ];
    for row in rows {
        write!(out, "{program}:  ")?;
        for (name, value) in row {
            write!(out, " {name}={value:#018x}")?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// Writes the trap frame that the guest reported.
pub fn write_trap(out: &mut impl Write, program: &str, frame: &TrapFrame) -> fmt::Result {
    writeln!(
        out,
        "{program}: guest trap: rip={:#x} rsp={:#x} rflags={:#x} cs={:#x} ss={:#x} ec={:#x} cr2={:#x}",
        frame.rip.get(),
        frame.rsp.get(),
        frame.rflags.get(),
        frame.cs.get(),
        frame.ss.get(),
        frame.error_code.get(),
        frame.cr2.get(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_are_shown_three_in_a_row() {
        let regs = kvm_regs { rip: 0x10_0018, r15: u64::MAX, ..kvm_regs::default() };
        let mut out = String::new();
        write_registers(&mut out, "solo5-hvt", &regs).unwrap();
        let text = out.as_str();
        let lines: Vec<&str> = text.lines().collect();
        let zero = "0x0000000000000000";
        assert_eq!(lines.len(), 6);
        assert_eq!(lines[0], format!("solo5-hvt:   rip=0x0000000000100018 rsp={zero} rfl={zero}"));
        assert_eq!(lines[3], format!("solo5-hvt:   rbp={zero} r8 ={zero} r9 ={zero}"));
        assert_eq!(lines[5], format!("solo5-hvt:   r13={zero} r14={zero} r15=0xffffffffffffffff"));
    }

    #[test]
    fn a_trap_is_one_line() {
        let frame = TrapFrame {
            cr2: 0x28.into(),
            error_code: 2.into(),
            rip: 0x10_0020.into(),
            cs: 8.into(),
            rflags: 0x246.into(),
            rsp: 0x1ff_fff0.into(),
            ss: 0x10.into(),
        };
        let mut out = String::new();
        write_trap(&mut out, "p", &frame).unwrap();
        let expected = "p: guest trap: rip=0x100020 rsp=0x1fffff0 rflags=0x246 cs=0x8 ss=0x10 \
                        ec=0x2 cr2=0x28\n";
        assert_eq!(out, expected);
    }
}
