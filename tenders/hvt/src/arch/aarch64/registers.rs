//! The registers of a CPU: their numbers in KVM, and those that messages show.

use std::fmt::{self, Write};

use kvm_ioctls::VcpuFd;
pub use solo5_abi::hvt::aarch64::TrapFrame;
pub use solo5_tender::arch::PC;

/// KVM_REG_ARM64 | KVM_REG_SIZE_U64
const REGISTER: u64 = 0x6030_0000_0000_0000;

/// Numbers of registers that KVM has in its `struct kvm_regs`, which it counts in words of 4 bytes.
pub(crate) mod core {
    const CORE: u64 = super::REGISTER | (0x10 << 16);

    /// General register `number`, 0 to 30.
    pub(crate) const fn x(number: u64) -> u64 {
        CORE | (number * 2)
    }

    /// The stack pointer in use if this is PSTATE: bit 0 says whether it is that of the exception level.
    pub(crate) const fn sp(pstate: u64) -> u64 {
        if pstate & 1 == 0 { SP } else { SP_EL1 }
    }

    /// The stack pointer of EL0.
    const SP: u64 = CORE | 62;
    pub(crate) const PC: u64 = CORE | 64;
    pub(crate) const PSTATE: u64 = CORE | 66;
    pub(crate) const SP_EL1: u64 = CORE | 68;

    #[cfg(feature = "debug")]
    pub(crate) use debug::{ELR_EL1, FPCR, FPSR, SPSR_EL1, v};

    #[cfg(feature = "debug")]
    mod debug {
        use std::mem::offset_of;

        use kvm_bindings::{kvm_regs, user_fpsimd_state};

        use super::CORE;

        /// What turns the size in a register's number from 8 bytes into 4, and into 16.
        const WORD: u64 = 0x0010_0000_0000_0000;
        const VECTOR: u64 = 0x0070_0000_0000_0000;

        const FLOATS: usize = offset_of!(kvm_regs, fp_regs);

        pub(crate) const ELR_EL1: u64 = CORE | (offset_of!(kvm_regs, elr_el1) / 4) as u64;
        pub(crate) const SPSR_EL1: u64 = CORE | (offset_of!(kvm_regs, spsr) / 4) as u64;
        pub(crate) const FPSR: u64 = word(offset_of!(user_fpsimd_state, fpsr));
        pub(crate) const FPCR: u64 = word(offset_of!(user_fpsimd_state, fpcr));

        const fn word(offset: usize) -> u64 {
            CORE ^ WORD | ((FLOATS + offset) / 4) as u64
        }

        /// Vector register `number`, 0 to 31.
        pub(crate) const fn v(number: u64) -> u64 {
            let first = (FLOATS + offset_of!(user_fpsimd_state, vregs)) / 4;
            CORE ^ VECTOR | (first as u64 + number * 4)
        }
    }
}

/// Numbers of system registers.
pub(crate) mod system {
    /// The number of the register with this encoding: op0, op1, CRn, CRm, op2.
    const fn of(encoding: [u64; 5]) -> u64 {
        let [op0, op1, crn, crm, op2] = encoding;
        super::REGISTER | 0x13 << 16 | op0 << 14 | op1 << 11 | crn << 7 | crm << 3 | op2
    }

    pub(crate) const SCTLR: u64 = of([3, 0, 1, 0, 0]);
    pub(crate) const CPACR: u64 = of([3, 0, 1, 0, 2]);
    pub(crate) const TTBR0: u64 = of([3, 0, 2, 0, 0]);
    pub(crate) const TCR: u64 = of([3, 0, 2, 0, 2]);
    pub(crate) const MAIR: u64 = of([3, 0, 10, 2, 0]);
    #[cfg(feature = "debug")]
    pub(crate) const ESR: u64 = of([3, 0, 5, 2, 0]);
    #[cfg(feature = "debug")]
    pub(crate) const VBAR: u64 = of([3, 0, 12, 0, 0]);
}

/// Sets a register.
pub(crate) fn set(vcpu: &VcpuFd, register: u64, value: u64) -> Result<(), kvm_ioctls::Error> {
    vcpu.set_one_reg(register, &value.to_ne_bytes()).map(drop)
}

/// Reads a register.
pub(crate) fn get(vcpu: &VcpuFd, register: u64) -> Result<u64, kvm_ioctls::Error> {
    get_bytes(vcpu, register).map(u64::from_ne_bytes)
}

/// Reads a register of this size.
pub(crate) fn get_bytes<const N: usize>(
    vcpu: &VcpuFd,
    register: u64,
) -> Result<[u8; N], kvm_ioctls::Error> {
    let mut value = [0; N];
    vcpu.get_one_reg(register, &mut value)?;
    Ok(value)
}

/// The general registers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registers {
    /// X0 to X30.
    pub x: [u64; 31],
    /// The stack pointer in use.
    pub sp: u64,
    /// The instruction pointer.
    pub pc: u64,
    /// The processor's state.
    pub pstate: u64,
}

/// Name of the stack pointer in messages.
pub const SP: &str = "sp";

/// KVM's request that reads a register, and what the guest's thread may ask the CPU for.
pub const READ_REGISTERS: (u32, &str) = (0x4010_aeab, "KVM_RUN or KVM_GET_ONE_REG");

/// The registers of a CPU that does not run. Does not allocate.
pub fn registers(vcpu: &VcpuFd) -> Option<Registers> {
    let get = |register| get(vcpu, register).ok();
    let mut found =
        Registers { pc: get(core::PC)?, pstate: get(core::PSTATE)?, ..Registers::default() };
    for (number, x) in (0..).zip(&mut found.x) {
        *x = get(core::x(number))?;
    }
    found.sp = get(core::sp(found.pstate))?;
    Some(found)
}

/// The instruction pointer.
pub fn pc(registers: &Registers) -> u64 {
    registers.pc
}

/// The stack pointer.
pub fn sp(registers: &Registers) -> u64 {
    registers.sp
}

/// The instruction pointer at a trap.
pub fn trap_pc(trap: &TrapFrame) -> u64 {
    trap.pc.get()
}

/// The stack pointer at a trap.
pub fn trap_sp(trap: &TrapFrame) -> u64 {
    trap.sp.get()
}

/// The address whose access trapped, if one did.
pub fn trap_address(trap: &TrapFrame) -> u64 {
    trap.far.get()
}

/// Writes the general registers, on lines of their own.
pub fn write_registers(out: &mut impl Write, program: &str, regs: &Registers) -> fmt::Result {
    let Registers { x, sp, pc, pstate } = regs;
    writeln!(out, "{program}:   pc ={pc:#018x} sp ={sp:#018x} pstate={pstate:#x}")?;
    for (row, values) in x.chunks(3).enumerate() {
        write!(out, "{program}:  ")?;
        for (column, value) in values.iter().enumerate() {
            let number = 3 * row + column;
            write!(out, " x{number:<2}={value:#018x}")?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// Writes the trap frame that the guest reported.
pub fn write_trap(out: &mut impl Write, program: &str, frame: &TrapFrame) -> fmt::Result {
    let [.., lr] = frame.x;
    writeln!(
        out,
        "{program}: guest trap: pc={:#x} sp={:#x} lr={:#x} pstate={:#x} esr={:#x} far={:#x}",
        frame.pc.get(),
        frame.sp.get(),
        lr.get(),
        frame.pstate.get(),
        frame.esr.get(),
        frame.far.get(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_are_shown_three_in_a_row() {
        let regs = Registers { pc: 0x10_0018, sp: 0x1f_fff0, pstate: 0x3c5, x: [7; 31] };
        let mut out = String::new();
        write_registers(&mut out, "p", &regs).unwrap();
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!(lines.len(), 12);
        assert_eq!(lines[0], "p:   pc =0x0000000000100018 sp =0x00000000001ffff0 pstate=0x3c5");
        assert_eq!(lines[11], "p:   x30=0x0000000000000007");
    }
}
