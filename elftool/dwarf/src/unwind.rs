//! Finds the caller of a function with the call frame information that compilers leave in
//! `.eh_frame` and `.debug_frame`. Only x86_64: no other machine's registers are dumped.

use gimli::{
    BaseAddresses, CfaRule, DebugFrame, EhFrame, Register, RegisterRule, SectionId, UnwindContext,
    UnwindSection,
};

use crate::info::DebugInfo;
use crate::meter::Metered;

/// How many registers are kept, by their numbers in DWARF: rax rdx rcx rbx rsi rdi rbp rsp r8–r15,
/// and rip.
const COUNT: usize = 17;
/// Registers that a function must preserve, besides the stack pointer: rbx, rbp, r12–r15.
const PRESERVED: [usize; 6] = [3, 6, 12, 13, 14, 15];

/// The registers of x86_64 in one function, as far as they are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registers([Option<u64>; COUNT]);

impl Registers {
    /// DWARF's number of the frame pointer.
    pub const RBP: u16 = 6;
    /// DWARF's number of the stack pointer.
    pub const RSP: u16 = 7;
    /// DWARF's number of the instruction pointer, the return address of a caller.
    pub const RIP: u16 = 16;

    /// A register by DWARF's number.
    pub fn get(&self, register: u16) -> Option<u64> {
        self.0.get(usize::from(register)).copied().flatten()
    }

    /// Sets a register; an unknown number is ignored.
    pub fn set(&mut self, register: u16, value: Option<u64>) {
        if let Some(place) = self.0.get_mut(usize::from(register)) {
            *place = value;
        }
    }
}

impl DebugInfo {
    /// The registers of the caller of a function that is at `address` with these registers.
    /// `memory` gives the word at an address. `None` if there is no call frame information, or it
    /// does not give the return address.
    pub fn caller(
        &self,
        address: u64,
        registers: &Registers,
        memory: &dyn Fn(u64) -> Option<u64>,
    ) -> Option<Registers> {
        let mut bases = BaseAddresses::default();
        if !self.section(SectionId::EhFrame).is_empty() {
            bases = bases.set_eh_frame(self.address_of(SectionId::EhFrame));
        }
        let eh_frame = EhFrame::from(self.reader(SectionId::EhFrame));
        let found = step(&eh_frame, &bases, address, registers, memory);
        found.or_else(|| {
            let debug_frame = DebugFrame::from(self.reader(SectionId::DebugFrame));
            step(&debug_frame, &bases, address, registers, memory)
        })
    }
}

fn step<'a, S: UnwindSection<Metered<'a>>>(
    section: &S,
    bases: &BaseAddresses,
    address: u64,
    registers: &Registers,
    memory: &dyn Fn(u64) -> Option<u64>,
) -> Option<Registers> {
    let fde = section.fde_for_address(bases, address, S::cie_from_offset);
    let fde = fde.ok()?;
    let mut context = UnwindContext::new();
    let row = fde.unwind_info_for_address(section, bases, &mut context, address);
    let row = row.ok()?;
    let CfaRule::RegisterAndOffset { register, offset } = row.cfa() else {
        // Expressions occur only in the jump tables of dynamic linking, which images do not have.
        return None;
    };
    let cfa = registers.get(register.0)?.wrapping_add_signed(*offset);
    let mut caller = Registers::default();
    for number in 0..COUNT {
        let number = u16::try_from(number).ok()?;
        let value = match row.register(Register(number)) {
            Some(RegisterRule::Offset(offset)) => memory(cfa.wrapping_add_signed(offset)),
            Some(RegisterRule::ValOffset(offset)) => Some(cfa.wrapping_add_signed(offset)),
            Some(RegisterRule::Register(other)) => registers.get(other.0),
            Some(RegisterRule::SameValue) => registers.get(number),
            None if number == Registers::RSP => Some(cfa),
            None if PRESERVED.contains(&usize::from(number)) => registers.get(number),
            _ => None,
        };
        caller.set(number, value);
    }
    // A function that never returns says that its return address is undefined.
    caller.get(Registers::RIP)?;
    Some(caller)
}
