//! Guest memory: how much a launch asks for, and how much of it the guest gets.

use std::fmt;

use solo5_abi::target::Target;
use solo5_abi::{Arch, DEFAULT_MEMORY, hvt};

/// Guest memory in MiB when `--mem` is not given. For virtio it is that of Solo5 0.12's runner.
pub const fn memory_default_mib(target: Target) -> u64 {
    match target {
        Target::Virtio => 128,
        Target::Hvt | Target::Spt | Target::Muen | Target::Genode | Target::Xen => {
            DEFAULT_MEMORY >> 20
        }
    }
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

/// Guest memory in bytes that a guest of `target` gets if `asked` bytes are asked for. hvt's ring,
/// which network interfaces need, lies above guest memory; if hvt's maximum is asked for, the guest
/// gets one granule less to make room for the ring.
///
/// # Errors
///
/// If it is more than the target allows.
pub fn guest_memory(target: Target, asked: u64, nets: bool) -> Result<u64, TooMuchMemory> {
    let bytes = rounded(target, asked);
    if target != Target::Hvt {
        return Ok(bytes);
    }
    if bytes > hvt::MEMORY_MAX {
        return Err(TooMuchMemory { bytes, most: hvt::MEMORY_MAX });
    }
    Ok(bytes.min(target.most_memory(nets)))
}

/// Addresses that a guest of `target` can have at most on a machine of `arch`, whatever the host. A process
/// has these by default; a virtual machine has those of its bus.
pub(super) const fn addresses(target: Target, arch: Arch) -> u64 {
    match (target, arch) {
        (Target::Virtio, _) => 1 << 52,
        (_, Arch::Aarch64) => 1 << 48,
        (_, Arch::X86_64 | Arch::Ppc64le) => 1 << 47,
    }
}

/// How many MiB to ask for with `--mem` so that a guest gets `least` bytes; `None` if no size
/// suffices. For hvt it is a whole number of granules, because the tender rounds down to that.
pub(super) fn enough_memory_mib(target: Target, least: u64, nets: bool) -> Option<u64> {
    let unit = if matches!(target, Target::Hvt) { hvt::MEMORY_GRANULE } else { 1 << 20 };
    (least <= target.most_memory(nets)).then(|| least.div_ceil(unit).max(1) * (unit >> 20))
}

/// A size for messages that is a whole number of KiB: in MiB if it is a whole number of these.
pub(super) fn kibibytes(bytes: u64) -> String {
    if bytes.is_multiple_of(1 << 20) { mebibytes(bytes) } else { format!("{} KiB", bytes >> 10) }
}

/// A size for messages: in MiB if it is a whole number of MiB, else in bytes.
pub fn mebibytes(bytes: u64) -> String {
    if bytes.is_multiple_of(1 << 20) {
        format!("{} MiB", bytes >> 20)
    } else {
        format!("{bytes} bytes")
    }
}
