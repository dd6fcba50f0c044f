//! Descriptor tables as the CPU reads them. Selectors are those of `solo5_abi::hvt::x86_64`.

use solo5_abi::hvt::x86_64::{GDT, SELECTOR_CODE};

/// Selector of the task state segment, which follows the segments set up at entry.
pub const SELECTOR_TASK: u16 = size_of_val(&GDT) as u16;
/// Number of stacks that a task state segment can name.
pub const STACKS: usize = 7;
/// 32-bit words of a task state segment.
pub const TASK_WORDS: usize = 26;

/// The present bit, and the kinds of system segment.
const PRESENT: u64 = 1 << 47;
const KIND_TASK: u64 = 9 << 40;
const KIND_INTERRUPT_GATE: u64 = 14 << 40;

/// The descriptor of a task state segment at `base`.
pub const fn task(base: u64) -> [u64; 2] {
    // A limit is the offset of the last byte.
    let limit = TASK_WORDS as u64 * 4 - 1;
    let low = base & 0xff_ffff;
    let high = (base >> 24) & 0xff;
    [limit | low << 16 | KIND_TASK | PRESENT | high << 56, base >> 32]
}

/// A task state segment with these interrupt stacks, numbered from 1, each given by its end. It has
/// no stacks for changes of privilege and no port permissions, because nothing runs unprivileged.
pub const fn task_state(stacks: [u64; STACKS]) -> [u32; TASK_WORDS] {
    let mut words = [0; TASK_WORDS];
    let mut at = 0;
    while at < STACKS {
        words[9 + 2 * at] = stacks[at] as u32;
        words[10 + 2 * at] = (stacks[at] >> 32) as u32;
        at += 1;
    }
    // Port permissions begin where the segment ends, so there are none.
    words[TASK_WORDS - 1] = (TASK_WORDS as u32 * 4) << 16;
    words
}

/// A gate to `handler` on interrupt stack `stack`. Going through it disables interrupts.
pub const fn gate(handler: u64, stack: u8) -> [u64; 2] {
    let low = handler & 0xffff;
    let middle = (handler >> 16) & 0xffff;
    [
        low | (SELECTOR_CODE as u64) << 16
            | (stack as u64) << 32
            | KIND_INTERRUPT_GATE
            | PRESENT
            | middle << 48,
        handler >> 32,
    ]
}

/// The operand of the instructions that load a table.
#[derive(Clone, Copy, Debug)]
#[repr(C, packed)]
pub struct Pointer {
    limit: u16,
    base: u64,
}

impl Pointer {
    /// The operand for a table at `base` of `size` bytes.
    pub const fn new(base: u64, size: usize) -> Pointer {
        Pointer { limit: size.wrapping_sub(1) as u16, base }
    }
}

const _: () = assert!(size_of::<Pointer>() == 10);
const _: () = assert!(SELECTOR_TASK == 0x18);

#[cfg(test)]
mod tests {
    use super::*;

    /// A descriptor's bytes, in the order of the CPU manual's figure.
    fn bytes(words: [u64; 2]) -> [u8; 16] {
        let mut out = [0; 16];
        let (low, high) = out.split_at_mut(8);
        low.copy_from_slice(&words[0].to_le_bytes());
        high.copy_from_slice(&words[1].to_le_bytes());
        out
    }

    #[test]
    fn a_gate_by_its_bytes() {
        let gate = bytes(gate(0x1122_3344_5566_7788, 2));
        let expected =
            [0x88, 0x77, 0x08, 0x00, 0x02, 0x8e, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0, 0, 0, 0];
        assert_eq!(gate, expected);
    }

    #[test]
    fn a_task_by_its_bytes() {
        let task = bytes(task(0x1122_3344_5566_7788));
        let expected =
            [103, 0, 0x88, 0x77, 0x66, 0x89, 0x00, 0x55, 0x44, 0x33, 0x22, 0x11, 0, 0, 0, 0];
        assert_eq!(task, expected);
    }

    #[test]
    fn stacks_are_where_the_cpu_looks() {
        let words = task_state([0x1111_1111_2222_2222, 0x33, 0, 0, 0, 0, 0x7777_7777_8888_8888]);
        let bytes: std::vec::Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        assert_eq!(bytes.len(), 104);
        // Interrupt stack 1 is at 36, 7 at 84; the offset of the port permissions at 102.
        assert_eq!(bytes[36..44], 0x1111_1111_2222_2222u64.to_le_bytes());
        assert_eq!(bytes[44..52], 0x33u64.to_le_bytes());
        assert_eq!(bytes[84..92], 0x7777_7777_8888_8888u64.to_le_bytes());
        assert_eq!(bytes[102..104], 104u16.to_le_bytes());
        assert!(bytes[..36].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn limits_are_last_bytes() {
        let pointer = Pointer::new(0x1234, 40);
        assert_eq!((pointer.limit, { pointer.base }), (39, 0x1234));
    }
}
