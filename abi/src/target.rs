//! The kinds of tender or hypervisor a unikernel can be linked for.

use crate::{Arch, hvt};

/// Most guest memory in bytes that any host can give: half of what programs can address on x86_64.
const MEMORY_MAX: u64 = 1 << 46;

/// A Solo5 target, the `abi_target` of the ABI note (`docs/reference/notes.md#abi1`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// Hardware-virtualised tender.
    Hvt,
    /// Linux process under seccomp.
    Spt,
    /// Virtio machine without a tender.
    Virtio,
    /// Muen separation kernel.
    Muen,
    /// Genode: a reserved number without bindings.
    Genode,
    /// Xen PVH guest.
    Xen,
}

impl Target {
    /// Every target, by its number.
    pub const ALL: [Target; 6] =
        [Target::Hvt, Target::Spt, Target::Virtio, Target::Muen, Target::Genode, Target::Xen];

    /// The number in the ABI note.
    pub const fn number(self) -> u32 {
        match self {
            Target::Hvt => 1,
            Target::Spt => 2,
            Target::Virtio => 3,
            Target::Muen => 4,
            Target::Genode => 5,
            Target::Xen => 6,
        }
    }

    /// The target with this number.
    pub fn from_number(number: u32) -> Option<Target> {
        Target::ALL.into_iter().find(|target| target.number() == number)
    }

    /// The name used on command lines, in file suffixes and in query output.
    pub const fn name(self) -> &'static str {
        match self {
            Target::Hvt => "hvt",
            Target::Spt => "spt",
            Target::Virtio => "virtio",
            Target::Muen => "muen",
            Target::Genode => "genode",
            Target::Xen => "xen",
        }
    }

    /// The target called `name`.
    pub fn from_name(name: &str) -> Option<Target> {
        Target::ALL.into_iter().find(|target| target.name() == name)
    }

    /// The ABI version that current bindings declare; `None` for a target that never had bindings.
    pub const fn abi_version(self) -> Option<u32> {
        match self {
            Target::Hvt | Target::Spt => Some(2),
            Target::Virtio | Target::Xen => Some(1),
            Target::Muen => Some(4),
            Target::Genode => None,
        }
    }

    /// Lowest address a unikernel of this target is linked at and loaded to
    /// (`docs/reference/toolchain.md#scripts`). A `virt` machine of Arm has its memory from
    /// [`Target::memory_start`] on, and keeps the beginning of it for the device tree.
    pub const fn base(self, arch: Arch) -> u64 {
        match (self, arch) {
            (Target::Virtio, Arch::Aarch64) => self.memory_start(arch) + 0x20_0000,
            (Target::Hvt | Target::Spt | Target::Virtio | Target::Genode | Target::Xen, _) => {
                0x10_0000
            }
            (Target::Muen, _) => 0x20_0000,
        }
    }

    /// The address at which memory begins for a guest of this target, so that a guest with N bytes has those
    /// from there on.
    pub const fn memory_start(self, arch: Arch) -> u64 {
        match (self, arch) {
            (Target::Virtio, Arch::Aarch64) => 0x4000_0000,
            (
                Target::Hvt
                | Target::Spt
                | Target::Virtio
                | Target::Muen
                | Target::Genode
                | Target::Xen,
                _,
            ) => 0,
        }
    }

    /// Most memory in bytes, from address 0, that a tender gives a guest of this target. hvt's ring,
    /// which network interfaces need, lies above the guest's memory.
    pub const fn most_memory(self, nets: bool) -> u64 {
        match self {
            Target::Hvt if nets => hvt::MEMORY_MAX - hvt::MEMORY_GRANULE,
            Target::Hvt => hvt::MEMORY_MAX,
            Target::Spt | Target::Virtio | Target::Muen | Target::Genode | Target::Xen => {
                MEMORY_MAX
            }
        }
    }

    /// Whether this suite has a tender that loads images of the target, so that its loader's rules apply.
    pub const fn has_tender(self) -> bool {
        match self {
            Target::Hvt | Target::Spt => true,
            Target::Virtio | Target::Muen | Target::Genode | Target::Xen => false,
        }
    }

    /// The program of this suite that starts images of the target, after asking policies.
    pub const fn starter(self) -> Option<&'static str> {
        match self {
            Target::Hvt => Some("solo5-hvt"),
            Target::Spt => Some("solo5-spt"),
            Target::Virtio => Some("solo5-virtio-run"),
            Target::Muen | Target::Genode | Target::Xen => None,
        }
    }
}
