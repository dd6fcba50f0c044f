//! The machine architectures a unikernel can be built for.

/// A machine architecture. No `match` over it has a wildcard arm, so when a variant is added the
/// compiler lists every place that must handle it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Arch {
    /// 64-bit x86.
    X86_64,
    /// 64-bit Arm.
    Aarch64,
    /// 64-bit Power, little-endian.
    Ppc64le,
}

impl Arch {
    /// Every architecture.
    pub const ALL: [Arch; 3] = [Arch::X86_64, Arch::Aarch64, Arch::Ppc64le];

    /// The architecture this code is compiled for; `None` if the suite does not support it.
    pub const HOST: Option<Arch> = if cfg!(target_arch = "x86_64") {
        Some(Arch::X86_64)
    } else if cfg!(target_arch = "aarch64") {
        Some(Arch::Aarch64)
    } else if cfg!(all(target_arch = "powerpc64", target_endian = "little")) {
        Some(Arch::Ppc64le)
    } else {
        None
    };

    /// The name used on command lines and in toolchain triples.
    pub const fn name(self) -> &'static str {
        match self {
            Arch::X86_64 => "x86_64",
            Arch::Aarch64 => "aarch64",
            Arch::Ppc64le => "ppc64le",
        }
    }

    /// The toolchain triple, `ARCH-solo5-none-static` (`docs/reference/toolchain.md#arguments`).
    pub const fn triple(self) -> &'static str {
        match self {
            Arch::X86_64 => "x86_64-solo5-none-static",
            Arch::Aarch64 => "aarch64-solo5-none-static",
            Arch::Ppc64le => "ppc64le-solo5-none-static",
        }
    }

    /// The architecture called `name`.
    pub fn from_name(name: &str) -> Option<Arch> {
        Arch::ALL.into_iter().find(|arch| arch.name() == name)
    }

    /// `e_machine` of the ELF header: EM_X86_64, EM_AARCH64 or EM_PPC64.
    pub const fn e_machine(self) -> u16 {
        match self {
            Arch::X86_64 => 62,
            Arch::Aarch64 => 183,
            Arch::Ppc64le => 21,
        }
    }

    /// The architecture with this `e_machine`.
    pub fn from_e_machine(e_machine: u16) -> Option<Arch> {
        Arch::ALL.into_iter().find(|arch| arch.e_machine() == e_machine)
    }

    /// Page size in bytes, the unit in which a loader protects memory
    /// (`docs/reference/elf-loading.md#pages`).
    pub const fn page_size(self) -> u64 {
        match self {
            Arch::X86_64 | Arch::Aarch64 => 0x1000,
            Arch::Ppc64le => 0x1_0000,
        }
    }

    /// The largest page size in bytes that a host of this architecture may have. The toolchain aligns
    /// segments to it, so that every host can protect them (`docs/reference/elf-loading.md#pages`).
    pub const fn page_size_max(self) -> u64 {
        match self {
            Arch::X86_64 => 0x1000,
            Arch::Aarch64 | Arch::Ppc64le => 0x1_0000,
        }
    }
}
