//! What `solo5-virtio-run` is asked for besides the guest: the program that runs the machine, and the
//! machine's kind.

use solo5_abi::Arch;

/// What is asked of `solo5-virtio-run` besides the guest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Runner {
    /// What runs the machine.
    pub hypervisor: Hypervisor,
    /// The machine, if one is named; else it is the usual one of the image's architecture.
    pub machine: Option<Machine>,
    /// Whether not to show the hypervisor's command line.
    pub quiet: bool,
}

/// What runs the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hypervisor {
    /// QEMU, with KVM if guests can run on it, else in software.
    #[default]
    Best,
    /// QEMU with KVM.
    Kvm,
    /// QEMU, in software.
    Qemu,
    /// FreeBSD's bhyve.
    Bhyve,
}

impl Hypervisor {
    const ALL: [Hypervisor; 4] =
        [Hypervisor::Best, Hypervisor::Kvm, Hypervisor::Qemu, Hypervisor::Bhyve];

    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Hypervisor::Best => "best",
            Hypervisor::Kvm => "kvm",
            Hypervisor::Qemu => "qemu",
            Hypervisor::Bhyve => "bhyve",
        }
    }

    /// The hypervisor that `word` names.
    pub fn from_name(word: &str) -> Option<Hypervisor> {
        Hypervisor::ALL.into_iter().find(|one| one.name() == word)
    }
}

/// Functions of one slot of a PCI bus.
const FUNCTIONS: usize = 8;
/// Devices that a microvm has room for.
const TRANSPORTS: usize = 8;

/// A kind of machine that QEMU makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// A PC with a PCI bus, Solo5 0.12's only kind.
    Pc,
    /// A PC with PCI Express.
    Q35,
    /// A machine without PCI: devices are at fixed addresses in memory.
    Microvm,
    /// A machine of Arm, with PCI Express.
    Virt,
}

impl Machine {
    /// Every kind.
    pub const ALL: [Machine; 4] = [Machine::Pc, Machine::Q35, Machine::Microvm, Machine::Virt];

    /// The machine for images of `arch` if none is named; `None` if there is no such machine.
    pub const fn usual(arch: Arch) -> Option<Machine> {
        match arch {
            Arch::X86_64 => Some(Machine::Pc),
            Arch::Aarch64 => Some(Machine::Virt),
            Arch::Ppc64le => None,
        }
    }

    /// The architecture of its processor.
    pub const fn arch(self) -> Arch {
        match self {
            Machine::Pc | Machine::Q35 | Machine::Microvm => Arch::X86_64,
            Machine::Virt => Arch::Aarch64,
        }
    }

    /// QEMU's name for it.
    pub const fn name(self) -> &'static str {
        match self {
            Machine::Pc => "pc",
            Machine::Q35 => "q35",
            Machine::Microvm => "microvm",
            Machine::Virt => "virt",
        }
    }

    /// The slots that are free for devices on its PCI bus; in slot 31 a q35 has more of its chipset.
    pub const fn slots(self) -> usize {
        match self {
            Machine::Pc => 30,
            Machine::Q35 => 29,
            Machine::Microvm => 0,
            Machine::Virt => 29,
        }
    }

    /// The devices that it has room for.
    pub const fn most_devices(self) -> usize {
        match self {
            Machine::Pc | Machine::Q35 | Machine::Virt => self.slots() * FUNCTIONS,
            Machine::Microvm => TRANSPORTS,
        }
    }

    /// The machine that `word` names.
    pub fn from_name(word: &str) -> Option<Machine> {
        Machine::ALL.into_iter().find(|one| one.name() == word)
    }
}
