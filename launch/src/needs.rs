//! What a manifest requires of the launch itself (`docs/reference/manifest.md#requirements`): memory,
//! an executable heap, sector sizes. A tender refuses a launch that lacks any of it, and
//! `solo5-elftool check` says so before.
//!
//! Each text names the option that mends it. What the manifest requires of a device that is open,
//! such as its capacity, is the tender's to check.

use std::fmt;
use std::ops::Range;

use solo5_abi::device::SectorSize;
use solo5_abi::mft2::Mft2;
use solo5_abi::offer::{Feature, Features};
use solo5_abi::stack;
use solo5_abi::target::Target;

use super::launch::Launch;
use super::memory;

/// A requirement that the launch does not meet. Sizes are in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are what the texts print")]
pub enum Unmet {
    /// More guest memory; `enough_mib` is the size to ask for, if one suffices.
    Memory { have: u64, least: u64, enough_mib: Option<u64> },
    /// Memory for image, heap, guard and a stack of `stack` bytes.
    Stack { have: u64, stack: u64, enough_mib: Option<u64> },
    /// An executable heap.
    ExecutableHeap,
    /// Another sector size than the option gives.
    SectorSize { name: String, have: SectorSize, exact: u32 },
}

impl Unmet {
    /// What is required.
    pub fn text(&self) -> String {
        match self {
            Unmet::Memory { have, least, .. } => format!(
                "the manifest asks for at least {} of memory, but the guest would get {}",
                memory::mebibytes(*least),
                memory::mebibytes(*have)
            ),
            Unmet::Stack { have, stack, .. } => format!(
                "{} of memory cannot hold the image, a heap, and a stack of {} with its guard",
                memory::mebibytes(*have),
                memory::kibibytes(*stack)
            ),
            Unmet::ExecutableHeap => "the manifest asks for an executable heap".to_owned(),
            Unmet::SectorSize { name, have, exact } => {
                format!("the manifest asks for sectors of {exact} bytes for '{name}', not {have}")
            }
        }
    }

    /// How to meet it.
    pub fn advice(&self) -> String {
        match self {
            Unmet::Memory { enough_mib: Some(mib), .. }
            | Unmet::Stack { enough_mib: Some(mib), .. } => format!("add --mem={mib}"),
            Unmet::Memory { enough_mib: None, .. } | Unmet::Stack { enough_mib: None, .. } => {
                "no size suffices: a guest of this target cannot have that much".to_owned()
            }
            Unmet::ExecutableHeap => {
                "add --x-exec-heap if you trust the unikernel with one".to_owned()
            }
            Unmet::SectorSize { name, exact, .. } => match SectorSize::new((*exact).into()) {
                Some(_) => format!("leave --block-sector-size:{name} out, or give {exact}"),
                None => {
                    let (least, most) = (SectorSize::MIN, SectorSize::MAX);
                    format!(
                        "no tender offers that size: sizes are powers of two from {least} to {most}"
                    )
                }
            },
        }
    }
}

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.text(), self.advice())
    }
}

impl Launch {
    /// The features to offer to an image whose bindings know `known` and whose manifest needs `needs`.
    /// For an image whose bindings know nothing, nothing changes.
    pub fn features(&self, known: Features, needs: Features) -> Features {
        // A feature that costs the host something is offered only if it is needed.
        let wanted = needs.with(Feature::Transfers);
        known.and(wanted).and(self.offer)
    }

    /// The guard below a stack of `stack` bytes, in `have` bytes of memory with an image that ends at
    /// `image_end`.
    ///
    /// # Errors
    ///
    /// There is no room for them and for a heap.
    pub fn guard(
        &self,
        target: Target,
        have: u64,
        image_end: u64,
        stack: u64,
    ) -> Result<Range<u64>, Unmet> {
        stack::guard(image_end, stack, have).ok_or_else(|| {
            let least = stack::least_memory(image_end, stack);
            let enough_mib = least.and_then(|least| self.enough_memory_mib(target, least));
            Unmet::Stack { have, stack, enough_mib }
        })
    }

    /// What the manifest requires of a launch with `have` bytes of memory and does not get, in the
    /// order in which tenders check it. Devices that are not attached are [`Launch::unattached`].
    pub fn unmet(&self, target: Target, have: u64, properties: Option<&Mft2<'_>>) -> Vec<Unmet> {
        let Some(properties) = properties else {
            return Vec::new();
        };
        let least = properties.memory_minimum().filter(|least| have < *least);
        let memory = least.map(|least| {
            let enough_mib = self.enough_memory_mib(target, least);
            Unmet::Memory { have, least, enough_mib }
        });
        let heap =
            (properties.executable_heap() && !self.exec_heap).then_some(Unmet::ExecutableHeap);
        let sectors = self.blocks.iter().filter_map(|block| {
            let (name, have) = (block.name.clone(), block.sector_size);
            let exact =
                block.sector_size_exact.filter(|exact| *exact != u32::from(have.bytes()))?;
            Some(Unmet::SectorSize { name, have, exact })
        });
        memory.into_iter().chain(heap).chain(sectors).collect()
    }
}
