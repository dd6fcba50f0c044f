//! The filter of a block device under spt: the proof that a transfer is whole sectors on the device.

use solo5_abi::Arch;
use solo5_tender::seccomp::interpreter::decision;
use solo5_tender::seccomp::{
    ALLOW, Condition, KILL_PROCESS, Rule, Sectors, Test, assemble, audit_arch, calls,
};

use crate::Target;

pub(crate) const TARGET: Target = Target { name: "filter", run, seeds, words };

/// The device's descriptor.
const FD: i32 = 3;

/// Two bytes: logarithm of the sector size, sectors in one transfer at most. Then capacity, size and
/// offset, 8 bytes each.
fn run(data: &[u8]) -> bool {
    let Some(([shift, sectors], rest)) = data.split_first_chunk() else {
        return false;
    };
    let words: Vec<u64> = rest
        .chunks_exact(8)
        .filter_map(|word| word.first_chunk())
        .map(|word| u64::from_le_bytes(*word))
        .collect();
    let [capacity, size, offset] = words[..] else {
        return false;
    };
    let sector = 512 << (shift % 7);
    let most = sector * (1 + u32::from(*sectors));
    let allowed = Sectors { sector, most, capacity };
    let when = vec![
        Condition::descriptor(FD, "the file"),
        Condition::new(2, "size", Test::Sectors(allowed)),
    ];
    let rules = [Rule::allow(calls::PREAD64, when, "")];
    let program = assemble(&rules, Arch::X86_64).expect("a short program");
    let call = [FD as u64, 0, size, offset, 0, 0];
    let decided = decision(&program, audit_arch(Arch::X86_64), 17, call);
    let decided = decided.expect("one of our programs");
    // The same in a wider number, where no sum overflows.
    let end = u128::from(size) + u128::from(offset);
    let expected = size != 0
        && size % u64::from(sector) == 0
        && size <= u64::from(most)
        && end <= u128::from(capacity);
    assert_eq!(decided, if expected { ALLOW } else { KILL_PROCESS }, "{allowed:?} {call:x?}");
    expected
}

fn input(sector: u8, sectors: u8, words: [u64; 3]) -> Vec<u8> {
    let mut data = vec![sector, sectors];
    data.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    data
}

fn seeds() -> Vec<Vec<u8>> {
    let top = 0u64.wrapping_sub(512);
    vec![
        input(0, 0, [512, 512, 0]),
        input(0, 255, [1 << 20, 1 << 16, 1 << 16]),
        input(3, 31, [1 << 32, 4096, (1 << 32) - 4096]),
        input(3, 31, [1 << 32, 8192, (1 << 32) - 4096]),
        input(0, 3, [1 << 63, 1024, (1 << 63) - 1024]),
        input(0, 3, [top, 1024, top]),
        input(6, 1, [0, 0, 0]),
    ]
}

fn words() -> Vec<Vec<u8>> {
    let numbers = [512u64, 1 << 20, (1 << 32) - 512, 1 << 32, 1 << 63, u64::MAX];
    numbers.iter().map(|number| number.to_le_bytes().to_vec()).collect()
}
