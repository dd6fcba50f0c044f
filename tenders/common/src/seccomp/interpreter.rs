//! Runs filters, as the kernel's interpreter does. For tests: no tender interprets its filter.

use super::instruction::{
    ADD_INDEX, DATA_ARCH, DATA_ARGUMENTS, DATA_NUMBER, FROM_INDEX, Instruction, JUMP, JUMP_BITS,
    JUMP_EQUAL, JUMP_GREATER, JUMP_GREATER_EQUAL, JUMP_GREATER_EQUAL_INDEX, LOAD, RETURN, TO_INDEX,
};

/// The program's decision on a call. `None` if the program is not one that
/// [`assemble`](super::assemble) makes.
pub fn decision(
    program: &[Instruction],
    arch: u32,
    number: u32,
    arguments: [u64; 6],
) -> Option<u32> {
    let load = |offset: u32| match offset {
        DATA_NUMBER => Some(number),
        DATA_ARCH => Some(arch),
        _ => {
            let word = offset.checked_sub(DATA_ARGUMENTS)? / 4;
            let value = *arguments.get(word as usize / 2)?;
            Some(if word.is_multiple_of(2) { value as u32 } else { (value >> 32) as u32 })
        }
    };
    let (mut rest, mut accumulator, mut index) = (program, 0u32, 0);
    loop {
        let (instruction, next) = rest.split_first()?;
        let operand = instruction.operand;
        let branch =
            |holds| usize::from(if holds { instruction.if_true } else { instruction.if_false });
        let mut skip = 0;
        match instruction.code {
            LOAD => accumulator = load(operand)?,
            ADD_INDEX => accumulator = accumulator.wrapping_add(index),
            TO_INDEX => index = accumulator,
            FROM_INDEX => accumulator = index,
            JUMP => skip = operand as usize,
            JUMP_EQUAL => skip = branch(accumulator == operand),
            JUMP_GREATER => skip = branch(accumulator > operand),
            JUMP_GREATER_EQUAL => skip = branch(accumulator >= operand),
            JUMP_BITS => skip = branch(accumulator & operand != 0),
            JUMP_GREATER_EQUAL_INDEX => skip = branch(accumulator >= index),
            RETURN => return Some(operand),
            _ => return None,
        }
        rest = next.get(skip..)?;
    }
}
