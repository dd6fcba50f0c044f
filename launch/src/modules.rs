//! The modules of a tender, which decide what options it has.

use solo5_abi::target::Target;

/// The modules of a tender. They decide which options it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Modules {
    /// The tender's target; only spt and hvt can offer an executable heap.
    pub target: Target,
    /// Network interfaces.
    pub net: bool,
    /// Block devices.
    pub block: bool,
    /// Debugging with gdb.
    pub gdb: bool,
    /// Core dumps of the guest.
    pub dumpcore: bool,
}

impl Modules {
    /// The modules of the ordinary tender of `target`.
    pub const fn ordinary(target: Target) -> Modules {
        Modules { target, net: true, block: true, gdb: false, dumpcore: false }
    }

    /// The modules of the debug tender of `target`.
    pub const fn debug(target: Target) -> Modules {
        Modules { gdb: true, dumpcore: true, ..Modules::ordinary(target) }
    }
}

/// The module that an option belongs to. An option exists only if its module is compiled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Module {
    Core,
    /// Offering features, which only a tender that stays between guest and host can do.
    Offer,
    /// Running a virtio machine.
    Runner,
    Confinement,
    ExecHeap,
    Net,
    Block,
    Gdb,
    Dumpcore,
}

impl Module {
    pub(super) fn is_in(self, modules: &Modules) -> bool {
        match self {
            Module::Core => true,
            // `--user` and `--chroot`. spt's guest is the tender's own process and needs neither.
            Module::Confinement => modules.target == Target::Hvt,
            Module::ExecHeap | Module::Offer => {
                matches!(modules.target, Target::Spt | Target::Hvt)
            }
            Module::Runner => modules.target == Target::Virtio,
            Module::Net => modules.net,
            Module::Block => modules.block,
            Module::Gdb => modules.gdb,
            Module::Dumpcore => modules.dumpcore,
        }
    }

    /// The tender that has its options, if not every one has them.
    pub(super) const fn tender(self) -> Option<&'static str> {
        match self {
            Module::Core | Module::Offer | Module::ExecHeap | Module::Net | Module::Block => None,
            Module::Runner => Some("solo5-virtio-run"),
            Module::Confinement => Some("solo5-hvt"),
            Module::Gdb | Module::Dumpcore => Some("solo5-hvt-debug"),
        }
    }
}
