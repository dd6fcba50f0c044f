//! What a plan says, the command lines of tenders that it stands for, and its sums.

use std::sync::Arc;

use solo5_launch::{Access, Mac};
use solo5_policy::model::At;
use solo5_report::SourceText;

/// The unit in which a tender takes guest memory.
pub(super) const MIB: u64 = 1 << 20;

/// Unikernels that run together.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Its text, which every span refers to.
    pub source: Arc<SourceText>,
    /// Its name.
    pub name: Option<String>,
    /// Paths of policies for all, relative to the plan's folder; this host's apply if there are none.
    pub policies: Vec<At<String>>,
    /// Whether at least one policy must apply to each.
    pub require_policy: bool,
    /// The limits on the sums.
    pub limits: Limits,
    /// The unikernels.
    pub unikernels: Vec<Unikernel>,
}

/// Limits on the sums over all unikernels of a plan.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// How many there may be.
    pub unikernels: Option<At<u64>>,
    /// Bytes of guest memory.
    pub memory: Option<At<u64>>,
    /// Network interfaces.
    pub net: Option<At<u64>>,
    /// Block devices.
    pub block: Option<At<u64>>,
}

/// One unikernel of a plan.
#[derive(Clone, Debug)]
pub struct Unikernel {
    /// Its name in the plan.
    pub name: At<String>,
    /// Path of its image, relative to the plan's folder.
    pub image: At<String>,
    /// Guest memory in bytes to ask for: whole MiB, at least one.
    pub memory: At<u64>,
    /// Whether heap and stack are to be executable.
    pub executable_heap: bool,
    /// Arguments of the guest.
    pub arguments: Vec<String>,
    /// Labels that policies may match.
    pub labels: Vec<(String, String)>,
    /// Further policies, relative to the plan's folder.
    pub policies: Vec<At<String>>,
    /// Network interfaces.
    pub nets: Vec<Net>,
    /// Block devices.
    pub blocks: Vec<Block>,
    /// Optional network interfaces that it goes without.
    pub without_nets: Vec<At<String>>,
    /// Optional block devices that it goes without.
    pub without_blocks: Vec<At<String>>,
}

/// A network interface of a plan.
#[derive(Clone, Debug)]
pub struct Net {
    /// The device's name in the manifest.
    pub name: At<String>,
    /// The tap.
    pub tap: At<String>,
    /// Its address; `None` means a random one.
    pub mac: Option<At<Mac>>,
}

/// A block device of a plan.
#[derive(Clone, Debug)]
pub struct Block {
    /// The device's name in the manifest.
    pub name: At<String>,
    /// The file or block device on the host: absolute, without `.` and `..`.
    pub path: At<String>,
    /// The access asked for; the manifest may allow less.
    pub access: Access,
    /// Sector size in bytes, if one is asked for.
    pub sector_size: Option<u64>,
}

/// The sums over all unikernels of a plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Unikernels.
    pub unikernels: u64,
    /// Bytes of memory that the guests get.
    pub memory: u64,
    /// Network interfaces.
    pub net: u64,
    /// Block devices.
    pub block: u64,
}

impl Plan {
    /// The options and arguments of a tender that starts `unikernel`, its image left out: options,
    /// `--`, arguments.
    pub fn words(&self, unikernel: &Unikernel) -> Vec<String> {
        let mut words = Vec::new();
        if self.require_policy {
            words.push("--require-policy".to_owned());
        }
        words.push(format!("--mem={}", unikernel.memory.value / MIB));
        if unikernel.executable_heap {
            words.push("--x-exec-heap".to_owned());
        }
        for (key, value) in &unikernel.labels {
            words.push(format!("--label={key}={value}"));
        }
        for Net { name, tap, mac } in &unikernel.nets {
            let name = &name.value;
            words.push(format!("--net:{name}={}", tap.value));
            let mac = mac.as_ref().map(|mac| mac.value);
            words.extend(mac.map(|mac| format!("--net-mac:{name}={mac}")));
        }
        for block in &unikernel.blocks {
            let name = &block.name.value;
            words.push(format!("--block:{name}={}", block.path.value));
            if block.access == Access::ReadOnly {
                words.push(format!("--block-access:{name}={}", block.access.name()));
            }
            let size = block.sector_size;
            words.extend(size.map(|size| format!("--block-sector-size:{name}={size}")));
        }
        for name in &unikernel.without_nets {
            words.push(format!("--without-net:{}", name.value));
        }
        for name in &unikernel.without_blocks {
            words.push(format!("--without-block:{}", name.value));
        }
        words.push("--".to_owned());
        words.extend(unikernel.arguments.iter().cloned());
        words
    }

    /// The sums over all unikernels. `memory` gives the bytes of memory that a guest gets, by the index
    /// of its unikernel: a tender may round what is asked for.
    pub fn sums(&self, memory: impl Fn(usize) -> u64) -> Sums {
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let start = Sums { unikernels: count(self.unikernels.len()), ..Sums::default() };
        self.unikernels.iter().enumerate().fold(start, |sums, (index, one)| Sums {
            memory: sums.memory.saturating_add(memory(index)),
            net: sums.net.saturating_add(count(one.nets.len())),
            block: sums.block.saturating_add(count(one.blocks.len())),
            ..sums
        })
    }
}
