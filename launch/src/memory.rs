//! Guest memory: how much a launch asks for, and how much of it the guest gets.

use std::fmt;

use solo5_abi::target::Target;
use solo5_abi::{DEFAULT_MEMORY, hvt};

/// Guest memory in MiB when `--mem` is not given.
pub const MEMORY_DEFAULT_MIB: u64 = DEFAULT_MEMORY >> 20;

/// Most guest memory in bytes that any host can give: half of what programs can address on x86_64.
const MEMORY_MAX: u64 = 1 << 46;

/// How many MiB to ask for with `--mem` so that a guest of any target has `least` bytes; `None` if no
/// host can give that much. Whole granules of hvt: it rounds other sizes down.
pub fn enough_memory_mib(least: u64) -> Option<u64> {
    let granules = least.div_ceil(hvt::MEMORY_GRANULE);
    (least <= MEMORY_MAX).then_some(granules * (hvt::MEMORY_GRANULE >> 20))
}

/// More memory than a guest of this target can have. Both numbers are in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMuchMemory {
    /// The memory asked for, rounded as the tender rounds it.
    pub bytes: u64,
    /// The most there can be.
    pub most: u64,
}

impl fmt::Display for TooMuchMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TooMuchMemory { bytes, most } = self;
        write!(f, "guest memory size {bytes} bytes exceeds the max size {most} bytes")
    }
}

impl std::error::Error for TooMuchMemory {}

/// `asked` bytes as the tender of `target` counts them: for hvt whole granules, rounded down, and at
/// least one (`docs/reference/hvt.md#memory`).
pub fn rounded(target: Target, asked: u64) -> u64 {
    match target {
        Target::Hvt => (asked - asked % hvt::MEMORY_GRANULE).max(hvt::MEMORY_GRANULE),
        _ => asked,
    }
}

/// Guest memory in bytes that a guest of `target` gets of `asked` bytes. hvt's ring, which network
/// interfaces need, lies above it; at hvt's most the guest gives up one granule for the ring.
pub(super) fn guest_memory(target: Target, asked: u64, nets: bool) -> Result<u64, TooMuchMemory> {
    let bytes = rounded(target, asked);
    if target != Target::Hvt {
        return Ok(bytes);
    }
    if bytes > hvt::MEMORY_MAX {
        return Err(TooMuchMemory { bytes, most: hvt::MEMORY_MAX });
    }
    let ring = if nets { hvt::MEMORY_GRANULE } else { 0 };
    Ok(bytes.min(hvt::MEMORY_MAX - ring))
}
