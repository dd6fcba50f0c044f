//! The CPU's exceptions, and their messages (`docs/reference/hvt.md#bindings-traps`).

use solo5_abi::hvt::aarch64::TrapFrame;

use crate::message::Message;

/// Number of vectors: four kinds of exception, each for four states of the CPU.
pub const COUNT: usize = 16;

/// Kinds of exception by the low two bits of the vector.
const SYNCHRONOUS: usize = 0;
const KINDS: [&str; 4] = ["", "IRQ", "FIQ", "SERROR"];

/// Bits of ESR_EL1 that say which instruction or access was refused.
const CLASS_SHIFT: u32 = 26;
const CLASS_MASK: u64 = 0x3f;
const CLASS_INSTRUCTION_ABORT: u64 = 0x21;
const CLASS_DATA_ABORT: u64 = 0x25;

/// The classes of synchronous exceptions that a guest can cause. Others are printed as their number.
const CLASSES: [(u64, &str); 14] = [
    (0x00, "UNDEF"),
    (0x07, "FP"),
    (0x0d, "BTI"),
    (0x0e, "ILLEGAL"),
    (0x15, "SVC"),
    (0x18, "MSR"),
    (0x1c, "PAC"),
    (CLASS_INSTRUCTION_ABORT, "IABT"),
    (0x22, "PCALIGN"),
    (CLASS_DATA_ABORT, "DABT"),
    (0x26, "SPALIGN"),
    (0x2c, "FPE"),
    (0x2f, "SERROR"),
    (0x3c, "BRK"),
];

const fn class(frame: &TrapFrame) -> u64 {
    frame.esr.get() >> CLASS_SHIFT & CLASS_MASK
}

/// The message for an exception.
pub fn describe(vector: usize, frame: &TrapFrame) -> Message {
    let mut message = Message::new();
    message.text("Solo5: trap: type=#");
    let class = class(frame);
    match (KINDS.get(vector & 3), CLASSES.iter().find(|(number, _)| *number == class)) {
        (Some(kind), _) if vector & 3 != SYNCHRONOUS => message.text(kind),
        (_, Some((_, name))) => message.text(name),
        (_, None) => message.decimal(class),
    };
    message
        .text(" esr=")
        .hex(frame.esr.get())
        .text(" pc=")
        .hex(frame.pc.get())
        .text(" lr=")
        .hex(frame.x[30].get())
        .text(" sp=")
        .hex(frame.sp.get())
        .text(" pstate=")
        .hex(frame.pstate.get())
        .text("\n");
    message
}

/// The message with the address whose access was refused.
pub fn describe_address(frame: &TrapFrame) -> Message {
    let mut message = Message::new();
    message.text("Solo5: trap: far=").hex(frame.far.get()).text("\n");
    message
}

/// The address whose access was refused and the stack pointer, if that is what the exception means.
pub fn refused(vector: usize, frame: &TrapFrame) -> Option<(u64, u64)> {
    let abort = matches!(class(frame), CLASS_INSTRUCTION_ABORT | CLASS_DATA_ABORT);
    (vector & 3 == SYNCHRONOUS && abort).then(|| (frame.far.get(), frame.sp.get()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vector of a synchronous exception in EL1, on its own stack pointer.
    const CURRENT: usize = 4;

    fn frame(class: u64) -> TrapFrame {
        let mut frame = TrapFrame {
            sp: 0x1f_fff0.into(),
            pc: 0x10_1234.into(),
            pstate: 0x3c5.into(),
            esr: (class << 26 | 0x200_0045).into(),
            far: 0x28.into(),
            ..TrapFrame::default()
        };
        frame.x[30] = 0x10_1000.into();
        frame
    }

    #[test]
    fn lines() {
        for (vector, class, name) in [
            (CURRENT, 0, "UNDEF"),
            (CURRENT, 0x25, "DABT"),
            (CURRENT, 0x21, "IABT"),
            (CURRENT, 0x3c, "BRK"),
            (CURRENT, 0x3f, "63"),
            (CURRENT + 1, 0x25, "IRQ"),
            (CURRENT + 2, 0, "FIQ"),
            (CURRENT + 3, 0x2f, "SERROR"),
        ] {
            let frame = frame(class);
            let expected = std::format!(
                "Solo5: trap: type=#{name} esr={:#x} pc=0x101234 lr=0x101000 sp=0x1ffff0 pstate=0x3c5\n",
                frame.esr.get()
            );
            assert_eq!(describe(vector, &frame).finish(), (expected.as_bytes(), false));
        }
        let message = describe_address(&frame(0x25));
        assert_eq!(message.finish(), (&b"Solo5: trap: far=0x28\n"[..], false));
    }

    #[test]
    fn only_aborts_have_an_address() {
        assert_eq!(refused(CURRENT, &frame(0x25)), Some((0x28, 0x1f_fff0)));
        assert_eq!(refused(CURRENT, &frame(0x21)), Some((0x28, 0x1f_fff0)));
        for (vector, class) in [(CURRENT, 0), (CURRENT, 0x26), (CURRENT + 3, 0x25)] {
            assert_eq!(refused(vector, &frame(class)), None, "{vector} {class:#x}");
        }
    }

    #[test]
    fn names_are_sorted_by_class() {
        assert!(CLASSES.is_sorted_by(|(a, _), (b, _)| a < b));
    }
}
