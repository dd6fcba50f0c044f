//! How the CPU takes an exception to EL1 (Arm's manual, D1.3).

/// PSTATE as SPSR_EL1 has it: a single step is in progress.
pub(super) const STEP: u64 = 1 << 21;

/// What an exception keeps of PSTATE: condition flags, data-independent timing, privileged access never.
const KEPT: u64 = 0b1111 << 28 | 1 << 24 | PAN;
/// Privileged access never, and the bit of SCTLR_EL1 that keeps exceptions from setting it.
const PAN: u64 = 1 << 22;
const SPAN: u64 = 1 << 23;
/// Speculative store bypass safe, and what an exception makes of it, in SCTLR_EL1.
const SSBS: u64 = 1 << 12;
const DSSBS: u64 = 1 << 44;
/// All masks: debug, SError, IRQ, FIQ.
const MASKS: u64 = 0b1111 << 6;
/// The level and the stack pointer, as in PSTATE.
const MODE: u64 = 0b1_1111;
const EL0T: u64 = 0;
const EL1T: u64 = 0b0100;
const EL1H: u64 = 0b0101;

/// Offset from VBAR_EL1 of the handler for synchronous exceptions; `None` if no 64-bit code of EL0 or EL1 runs.
pub(super) fn handler(pstate: u64) -> Option<u64> {
    match pstate & MODE {
        EL1T => Some(0),
        EL1H => Some(0x200),
        EL0T => Some(0x400),
        _ => None,
    }
}

/// PSTATE in the handler.
pub(super) fn entered(pstate: u64, sctlr: u64) -> u64 {
    let pan = if sctlr & SPAN == 0 { PAN } else { 0 };
    let ssbs = if sctlr & DSSBS == 0 { 0 } else { SSBS };
    pstate & KEPT | pan | ssbs | MASKS | EL1H
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exception_masks_everything_and_keeps_the_flags() {
        assert_eq!(handler(0x3c5), Some(0x200));
        assert_eq!(handler(0x3c4), Some(0));
        assert_eq!(handler(0x6000_0000), Some(0x400));
        assert_eq!(handler(0x10), None, "32-bit code");
        // As a unikernel runs: SCTLR_EL1 is 0x1005.
        assert_eq!(entered(0x6020_03c5, 0x1005), 0x6040_03c5);
        assert_eq!(entered(0, 0x1005 | SPAN | DSSBS), 0x13c5);
        assert_eq!(entered(u64::MAX, SPAN) & !KEPT, 0x3c5);
    }
}
