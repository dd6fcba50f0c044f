//! Finds possible return addresses on the stack of a guest that has ended.

use std::fmt::{self, Write};

use solo5_tender::memory::Allegation;

use crate::arch::SP;
use crate::memory::{SharedMemory, Use};

/// The guest's code ranges, to tell return addresses from other words.
#[derive(Debug, Default)]
pub struct Code(pub Vec<std::ops::Range<u64>>);

/// Maximum number of stack words that are searched.
const STACK_WORDS: u64 = 1024;
/// Maximum number of return addresses that are shown.
const ADDRESSES_MAX: usize = 24;

impl Code {
    fn contains(&self, address: u64) -> bool {
        self.0.iter().any(|range| range.contains(&address))
    }

    /// Writes the words at and above `stack` that may be return addresses. Guests keep no frame
    /// pointers, so every word that points into code counts; some of them may not be return
    /// addresses.
    pub fn write_stack(
        &self,
        out: &mut impl Write,
        program: &str,
        memory: &SharedMemory,
        stack: u64,
    ) -> fmt::Result {
        let mut shown = 0;
        for index in 0..STACK_WORDS {
            let at = Allegation::new(stack.saturating_add(index * 8), 8);
            let Ok(piece) = memory.piece(at, Use::Read) else {
                break;
            };
            let mut word = [0; 8];
            piece.copy_to(&mut word);
            let word = u64::from_le_bytes(word);
            if !self.contains(word) {
                continue;
            }
            writeln!(out, "{program}:   return address? {word:#x} at {SP}+{:#x}", index * 8)?;
            shown += 1;
            if shown == ADDRESSES_MAX {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::testing::memory;

    #[test]
    fn words_that_point_into_code_are_shown_up_to_the_end_of_memory() {
        let memory = memory(256, Vec::new());
        let words = [0x1005u64, 0x17, 0x1fff, 0x2000];
        for (at, word) in (192..).step_by(8).zip(words) {
            memory.store(at, &word).unwrap();
        }
        let code = Code(std::iter::once(0x1000..0x2000).collect());
        let mut out = String::new();
        code.write_stack(&mut out, "p", &memory, 192).unwrap();
        let expected = "p:   return address? 0x1005 at rsp+0x0\n\
                        p:   return address? 0x1fff at rsp+0x10\n";
        assert_eq!(out, expected.replace("rsp", SP));
        for stack in [256, 1 << 40, u64::MAX] {
            let mut out = String::new();
            code.write_stack(&mut out, "p", &memory, stack).unwrap();
            assert_eq!(out, "", "{stack:#x}");
        }
    }
}
