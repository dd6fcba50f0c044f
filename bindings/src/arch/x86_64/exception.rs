//! The CPU's exceptions, and their messages (`docs/reference/hvt.md#bindings-traps`).

use solo5_abi::hvt::x86_64::TrapFrame;

use crate::message::Message;

/// Number of exception vectors.
pub const COUNT: usize = 32;
/// Bit N: the CPU pushes an error code for vector N.
pub const WITH_ERROR_CODE: u32 = 0x6022_7d00;
/// Non-maskable interrupt.
pub const NMI: usize = 2;
/// Double fault.
pub const DOUBLE_FAULT: usize = 8;
/// Page fault.
pub const PAGE_FAULT: usize = 14;

/// Mnemonics by vector. A vector without one is printed as its number.
const NAMES: [&str; 21] = [
    "DE", "DB", "NMI", "BP", "OF", "BR", "UD", "NM", "DF", "", "TS", "NP", "SS", "GP", "PF", "",
    "MF", "AC", "MC", "XM", "VE",
];

/// The message for an exception.
pub fn describe(vector: usize, frame: &TrapFrame) -> Message {
    let mut message = Message::new();
    message.text("Solo5: trap: type=#");
    match NAMES.get(vector) {
        Some(name) if !name.is_empty() => message.text(name),
        _ => message.decimal(vector as u64),
    };
    message
        .text(" ec=")
        .hex(frame.error_code.get())
        .text(" rip=")
        .hex(frame.rip.get())
        .text(" rsp=")
        .hex(frame.rsp.get())
        .text(" rflags=")
        .hex(frame.rflags.get())
        .text("\n");
    message
}

/// The message with the address of a page fault.
pub fn describe_address(frame: &TrapFrame) -> Message {
    let mut message = Message::new();
    message.text("Solo5: trap: cr2=").hex(frame.cr2.get()).text("\n");
    message
}

/// The address whose access was refused and the stack pointer, if that is what the exception means.
pub fn refused(vector: usize, frame: &TrapFrame) -> Option<(u64, u64)> {
    (vector == PAGE_FAULT).then(|| (frame.cr2.get(), frame.rsp.get()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: [u64; 7] = [0x28, 2, 0x10_1234, 8, 0x10246, 0x1f_fff8, 0x10];

    fn frame() -> TrapFrame {
        let [cr2, error_code, rip, cs, rflags, rsp, ss] = FRAME.map(Into::into);
        TrapFrame { cr2, error_code, rip, cs, rflags, rsp, ss }
    }

    #[test]
    fn lines() {
        for (vector, name) in [
            (0, "DE"),
            (2, "NMI"),
            (9, "9"),
            (14, "PF"),
            (15, "15"),
            (20, "VE"),
            (21, "21"),
            (31, "31"),
        ] {
            let expected = std::format!(
                "Solo5: trap: type=#{name} ec=0x2 rip=0x101234 rsp=0x1ffff8 rflags=0x10246\n"
            );
            let message = describe(vector, &frame());
            assert_eq!(message.finish(), (expected.as_bytes(), false));
        }
        assert_eq!(refused(PAGE_FAULT, &frame()), Some((0x28, 0x1f_fff8)));
        assert_eq!(refused(DOUBLE_FAULT, &frame()), None);
        let message = describe_address(&frame());
        assert_eq!(message.finish(), (&b"Solo5: trap: cr2=0x28\n"[..], false));
    }

    #[test]
    fn vectors_with_an_error_code() {
        let vectors: std::vec::Vec<_> =
            (0..COUNT).filter(|vector| WITH_ERROR_CODE & 1 << vector != 0).collect();
        assert_eq!(vectors, [8, 10, 11, 12, 13, 14, 17, 21, 29, 30]);
    }
}
