//! The registers as gdb numbers and names them: its features `org.gnu.gdb.aarch64.core` and `.fpu` (gdb's manual, G.5.1).
//!
//! The crate `gdbstub_arch` has these too, but sends FPCR where its description has FPSR, and the other way round.

use gdbstub::arch::{Arch, Registers};

/// How gdb numbers the registers.
#[derive(Debug)]
pub(crate) enum Description {}

impl Arch for Description {
    type Usize = u64;
    type Registers = All;
    type RegId = ();
    type BreakpointKind = usize;

    fn target_description_xml() -> Option<&'static str> {
        Some(include_str!("description.xml"))
    }
}

/// The registers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct All {
    /// X0 to X30.
    pub(crate) x: [u64; 31],
    /// The stack pointer in use.
    pub(crate) sp: u64,
    pub(crate) pc: u64,
    /// The lower half of PSTATE, which gdb calls by the name that it has on 32-bit Arm.
    pub(crate) cpsr: u32,
    /// V0 to V31.
    pub(crate) v: [u128; 32],
    pub(crate) fpsr: u32,
    pub(crate) fpcr: u32,
}

/// Takes a number off the beginning of `bytes`.
fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], ()> {
    let (first, rest) = bytes.split_first_chunk().ok_or(())?;
    *bytes = rest;
    Ok(*first)
}

impl Registers for All {
    type ProgramCounter = u64;

    fn pc(&self) -> u64 {
        self.pc
    }

    fn gdb_serialize(&self, mut write: impl FnMut(Option<u8>)) {
        let mut put = |bytes: &[u8]| bytes.iter().for_each(|byte| write(Some(*byte)));
        self.x.iter().for_each(|x| put(&x.to_le_bytes()));
        put(&self.sp.to_le_bytes());
        put(&self.pc.to_le_bytes());
        put(&self.cpsr.to_le_bytes());
        self.v.iter().for_each(|v| put(&v.to_le_bytes()));
        put(&self.fpsr.to_le_bytes());
        put(&self.fpcr.to_le_bytes());
    }

    fn gdb_deserialize(&mut self, mut bytes: &[u8]) -> Result<(), ()> {
        let from = &mut bytes;
        for x in &mut self.x {
            *x = u64::from_le_bytes(take(from)?);
        }
        self.sp = u64::from_le_bytes(take(from)?);
        self.pc = u64::from_le_bytes(take(from)?);
        self.cpsr = u32::from_le_bytes(take(from)?);
        for v in &mut self.v {
            *v = u128::from_le_bytes(take(from)?);
        }
        self.fpsr = u32::from_le_bytes(take(from)?);
        self.fpcr = u32::from_le_bytes(take(from)?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sizes in bits, in the order of the description.
    fn described() -> Vec<(String, usize)> {
        let text = Description::target_description_xml().unwrap();
        let value = |line: &str, key: &str| {
            let (_, rest) = line.split_once(&format!(" {key}=\"")).unwrap();
            rest.split_once('"').unwrap().0.to_owned()
        };
        let lines = text.lines().filter(|line| line.trim_start().starts_with("<reg "));
        lines.map(|line| (value(line, "name"), value(line, "bitsize").parse().unwrap())).collect()
    }

    #[test]
    fn registers_are_sent_as_they_are_described() {
        let mut sent = All { sp: 31, pc: 32, cpsr: 33, fpsr: 66, fpcr: 67, ..All::default() };
        (0..).zip(&mut sent.x).for_each(|(number, x)| *x = number);
        (34..).zip(&mut sent.v).for_each(|(number, v)| *v = number);
        let mut bytes = Vec::new();
        sent.gdb_serialize(|byte| bytes.extend(byte));
        let mut rest = bytes.as_slice();
        let described = described();
        for (number, (name, bits)) in described.iter().enumerate() {
            let (value, behind) = rest.split_at(bits / 8);
            assert_eq!(usize::from(value[0]), number, "{name}");
            assert!(value[1..].iter().all(|byte| *byte == 0), "{name}");
            rest = behind;
        }
        assert!(rest.is_empty());
        let last = described.last().map(|(name, _)| name.as_str());
        assert_eq!((described.len(), last), (68, Some("fpcr")));
        let mut received = All::default();
        received.gdb_deserialize(&bytes).unwrap();
        assert_eq!(received, sent);
        assert_eq!(received.gdb_deserialize(&bytes[..bytes.len() - 1]), Err(()));
    }
}
